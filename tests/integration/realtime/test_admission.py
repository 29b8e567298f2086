"""Admission on the wire, over each transport: nothing is left of a client that was refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chatio.realtime import RealtimeOptions, Refusal, Server, TemporarilyUnavailable, create_server, handshake_rate
from chatio.realtime.close_reasons import DRAINING, OVERLOADED, SERVER_FULL
from chatio.realtime.limits import HEAD_BYTES, MAX_REFUSED_CONNECTS
from chatio.throttling.client_ip import parse_networks
from chatio.throttling.rate_limiter import RateLimiter
from tests.client.wire import (
    SOCKET_IO,
    Http,
    Ws,
    client_frame,
    join,
    leftovers,
    open_polling,
    open_ws,
    request,
    serving,
    soon,
    text,
    until,
)

PAGE = "https://page.example"


class Shutter:
    """A gate that is shut by hand."""

    refusal: Refusal | None = None

    def admit(self, address: str) -> Refusal | None:
        return self.refusal


async def statuses(port: int) -> tuple[int, int]:
    """How a handshake is answered over polling and over WebSocket."""
    http = await Http.open(port)
    polling = (await http.request("GET", f"{SOCKET_IO}polling")).status
    http.close()
    ws = await Ws.open(port, f"{SOCKET_IO}websocket")
    if ws.status == 101:
        await ws.receive()
        ws.close()
    return polling, ws.status


async def test_refusal_is_a_503_that_a_page_may_read_and_says_when_to_come_back() -> None:
    shutter = Shutter()
    server, handler = create_server(RealtimeOptions(cors_allowed_origins=PAGE, admission_checks=(shutter,)))
    async with serving(handler) as port:
        shutter.refusal = Refusal(DRAINING, 7)
        answer = await request(port, "GET", f"{SOCKET_IO}polling", Origin=PAGE)
        assert answer.status == 503
        assert answer.headers["retry-after"] == "7"
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert json.loads(answer.body) == {"code": 3, "message": "Shutting down", "retry_after_seconds": 7}
        assert answer.headers["access-control-expose-headers"] == "Retry-After"
        ws = await Http.open(port)
        head = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13", "Origin": PAGE}
        key = {"Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        answer = await ws.request("GET", f"{SOCKET_IO}websocket", None, **head, **key)
        assert (answer.status, answer.headers["retry-after"]) == (503, "7")
        assert not leftovers(server)
        shutter.refusal = None
        assert await statuses(port) == (200, 101)


async def test_open_session_may_upgrade_when_the_gate_is_shut() -> None:
    shutter = Shutter()
    _server, handler = create_server(RealtimeOptions(admission_checks=(shutter,)))
    async with serving(handler) as port:
        target = await open_polling(port)
        shutter.refusal = Refusal(SERVER_FULL, 1)
        assert (await request(port, "POST", target, b"40")).status == 200
        assert (await request(port, "GET", target)).status == 200
        ws = await Ws.open(port, target.replace("polling", "websocket"))
        ws.send("2probe")
        assert await ws.receive() == "3probe"
        ws.close()


async def test_reason_of_each_refusal_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "chatio.realtime")
    first, second = Shutter(), Shutter()
    _server, handler = create_server(RealtimeOptions(admission_checks=(first, second), max_connections=1))
    async with serving(handler) as port:
        second.refusal = Refusal(OVERLOADED, 1)
        await statuses(port)
        first.refusal = Refusal(DRAINING, 1)
        await statuses(port)
        first.refusal = second.refusal = None
        ws = await open_ws(port)
        await statuses(port)
        ws.close()
    told = [record.getMessage().lower().rpartition(": ")[2] for record in caplog.records]
    assert told == ["overloaded"] * 2 + ["shutting down"] * 2 + ["too many connections"] * 2


@pytest.mark.parametrize("bound", ["max_connections", "max_connections_per_address"])
async def test_a_place_is_free_again_whichever_way_its_connection_ended(bound: str) -> None:
    """Not before: a client that is half-open, silent, upgrading or refused by the application has a place."""
    options: dict[str, Any] = {bound: 2}
    server, handler = create_server(RealtimeOptions(**options))

    @server.on("connect", namespace="/chat")
    async def connect(sid: str, environ: Any, auth: Any) -> bool:
        return auth is None

    async with serving(handler) as port:
        for kind in ("joined", "silent", "refused", "polling", "upgraded", "cut", "malformed"):
            one = await open_polling(port)
            two = await open_ws(port)
            assert await statuses(port) == (503, 503), kind
            if kind == "joined":
                two.send("40/chat,", "41/chat,", "1")
            elif kind == "refused":
                two.send('40/chat,{"token":1}')
            elif kind == "malformed":
                two.send("abc")
            elif kind == "cut":
                two.cut()
            if kind == "upgraded":
                up = await Ws.open(port, one.replace("polling", "websocket"))
                up.send("2probe", "5")
                await until(lambda: any(connection.upgraded for connection in server.eio.sockets.values()))
                assert await statuses(port) == (503, 503)
                up.close()
            elif kind != "polling":
                await request(port, "POST", one, b"1")
            else:
                http = await Http.open(port)
                http.send("GET", one)
                await http.writer.drain()
                await until(lambda: any(c.is_writable_now for c in server.eio.sockets.values()))
                http.cut()
            if kind != "cut":
                two.close()
            await until(lambda: len(server.eio.connection_limit) == 0)
            assert await statuses(port) == (200, 101), kind
            await server.eio.disconnect()
            await until(lambda: len(server.eio.connection_limit) == 0)
        await until(lambda: not leftovers(server), 10)


async def test_of_two_that_come_for_the_last_place_one_gets_it() -> None:
    """Even if the head of both was read before either had it, since a GET may have a body to wait for."""
    server, handler = create_server(RealtimeOptions(max_connections=1))
    async with serving(handler) as port:
        both = [await Http.open(port) for _ in range(2)]
        for http in both:
            http.send("GET", f"{SOCKET_IO}polling", b"", Content_Length="0")
        assert sorted([(await http.answer()).status for http in both]) == [200, 503]
        assert server.eio.connection_limit.total == 1


async def test_handshakes_are_held_to_a_rate_for_each_address_and_line() -> None:
    rate = handshake_rate(RateLimiter(1, 60, burst=2))
    _server, handler = create_server(
        RealtimeOptions(trusted_proxies=parse_networks(["127.0.0.1"]), admission_checks=(rate,))
    )
    async with serving(handler) as port:

        async def status(address: str) -> tuple[int, str | None]:
            answer = await request(port, "GET", f"{SOCKET_IO}polling", X_Forwarded_For=address)
            return answer.status, answer.headers.get("retry-after")

        assert await status("2001:db8::1") == (200, None)
        assert await status("2001:db8::2") == (200, None)
        assert await status("2001:db8::ffff:3") == (503, "60")
        assert await status("2001:db8:0:1::1") == (200, None)
        assert await status("192.0.2.1") == (200, None)


@asynccontextmanager
async def full_server() -> AsyncIterator[tuple[Server, int, asyncio.Event]]:
    """A server whose connect handler tells each client to come later, until the event is set."""
    server, handler = create_server()
    has_room = asyncio.Event()

    @server.on("connect", namespace="/chat")
    async def connect(sid: str, environ: Any) -> None:
        if not has_room.is_set():
            raise TemporarilyUnavailable(SERVER_FULL)

    async with serving(handler) as port:
        yield server, port, has_room


@pytest.mark.parametrize("polling", [False, True])
async def test_client_of_a_full_server_is_closed_with_1013(polling: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatio.realtime.limits.LATER_SECONDS", 0.05)
    async with full_server() as (server, port, _gate):
        if polling:
            target = await open_polling(port)
            await request(port, "POST", target, b"40/chat,")
            assert (await request(port, "GET", target)).text == "1"
        else:
            ws = await open_ws(port)
            ws.send("40/chat,")
            assert await ws.receive_or_end() == "closed, 1013"
            ws.close()
        await until(lambda: not leftovers(server))


async def test_nothing_is_kept_of_client_that_is_to_come_later_and_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatio.realtime.limits.LATER_SECONDS", 60.0)
    async with full_server() as (server, port, _gate):
        ws = await open_ws(port)
        ws.send("40/chat,")
        await until(lambda: server.table_sizes()["later"] == 1)
        ws.cut()
        await until(lambda: not leftovers(server))


@pytest.mark.parametrize("namespace", ["/chat", "/unknown"])
async def test_connection_with_many_refused_connects_is_closed(namespace: str) -> None:
    server, handler = create_server()
    asked = 0

    async def refuse(*_: Any) -> bool:
        nonlocal asked
        asked += 1
        return False

    server.on("connect", refuse, namespace="/chat")
    async with serving(handler) as port:
        ws = await open_ws(port)
        ws.send(*[f"40{namespace},"] * 1000)
        answers = []
        while not (said := await ws.receive_or_end()).startswith("closed"):
            answers.append(said)
        assert len(answers) == MAX_REFUSED_CONNECTS
        assert all(answer.startswith(f"44{namespace},") for answer in answers)
        ws.cut()
        assert asked <= MAX_REFUSED_CONNECTS
        await until(lambda: not leftovers(server))


async def test_client_that_asks_again_before_it_is_closed_may_be_admitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatio.realtime.limits.LATER_SECONDS", 0.5)
    async with full_server() as (server, port, gate):
        server.on("echo", lambda sid: "here", namespace="/chat")
        ws = await open_ws(port)
        ws.send("40/chat,")
        await until(lambda: server.table_sizes()["later"] == 1)
        gate.set()
        ws.send("40/chat,")
        assert str(await ws.receive()).startswith("40/chat,")
        await until(lambda: server.table_sizes()["later"] == 0)
        ws.send('42/chat,1["echo"]')
        assert await ws.receive() == '43/chat,1["here"]'
        ws.close()


# Bytes in


@asynccontextmanager
async def paced(**options: Any) -> AsyncIterator[tuple[Any, int, list[int]]]:
    """A server that reads 100 kB of each at once, then 200 kB a second; the numbers of the "count" events.

    In the end it must have forgotten all clients.
    """
    server, handler = create_server(
        RealtimeOptions(input_bytes_per_second=200_000, input_burst_bytes=100_000, **options)
    )
    server.on("connect", lambda sid, environ: None, namespace="/chat")
    counted: list[int] = []

    @server.on("count", namespace="/chat")
    async def count(sid: str, number: int, _filling: str) -> int:
        counted.append(number)
        return number

    async with serving(handler) as port:
        yield server, port, counted
        await until(lambda: not leftovers(server))


def events(count: int, size: int = 5000) -> list[str]:
    return [f'42/chat,["count",{number},"{"x" * size}"]' for number in range(count)]


async def test_client_that_sends_too_fast_is_read_slowly_and_loses_nothing() -> None:
    async with paced() as (_server, port, counted):
        ws, other = await join(port, "/chat"), await join(port, "/chat")
        began = asyncio.get_running_loop().time()
        ws.send(*events(100))
        other.send('42/chat,1["count",-1,""]')
        assert await other.receive() == "43/chat,1[-1]"
        assert len(counted) < 100
        await until(lambda: len(counted) == 101)
        assert [number for number in counted if number >= 0] == list(range(100))
        assert asyncio.get_running_loop().time() - began > 1.9  # 500 kB, of which 400 kB at the rate
        ws.close()
        other.close()


async def test_message_that_is_larger_than_the_burst_is_read_slowly_before_it_is_whole() -> None:
    async with paced() as (_server, port, counted):
        ws = await join(port, "/chat")
        began = asyncio.get_running_loop().time()
        ws.send(*events(1, size=300_000))
        await until(lambda: counted == [0])
        assert asyncio.get_running_loop().time() - began > 0.95
        ws.close()


async def test_polling_body_beyond_the_burst_is_answered_when_it_is_paid_for() -> None:
    async with paced() as (_server, port, counted):
        target = await open_polling(port)
        await request(port, "POST", target, b"40/chat,")
        began = asyncio.get_running_loop().time()
        answer = await request(port, "POST", target, "\x1e".join(events(60)).encode())
        assert (answer.status, len(counted)) == (200, 60)
        assert asyncio.get_running_loop().time() - began > 0.95  # 300 kB, of which 200 kB at the rate
        await request(port, "POST", target, b"1")


async def test_head_of_a_polling_request_counts_too() -> None:
    async with paced() as (server, port, _counted):
        target = await open_polling(port)
        (connection,) = server.eio.sockets.values()
        await request(port, "POST", target, b"40/chat,")
        before = connection.received.paid_at
        await request(port, "POST", target, b"3")
        cost = (HEAD_BYTES + 1) / 200_000
        latest = max(before, asyncio.get_running_loop().time()) + cost  # it is counted from now on if all was paid
        assert before + cost <= connection.received.paid_at + 1e-6
        assert connection.received.paid_at <= latest
        await request(port, "POST", target, b"1")


async def test_answer_to_a_ping_that_waits_behind_too_much_is_no_timeout() -> None:
    """The pong is sent at once, behind 1 MB of which 900 kB wait for 4.5 s: fifteen times the timeout."""
    async with paced(ping_interval=0.2, ping_timeout=0.3) as (server, port, counted):
        ws = await join(port, "/chat")
        ws.send(*events(200))
        while len(counted) < 200:
            if await ws.receive() == "2":
                ws.send("3")
        await until(lambda: len(counted) == 200, 10)
        await server.eio.disconnect()
        ws.http.close()


async def test_client_that_sent_too_fast_and_is_gone_times_out() -> None:
    async with paced(ping_interval=0.1, ping_timeout=0.2) as (server, port, counted):
        ws = await join(port, "/chat")
        ws.send(*events(40))
        await until(lambda: len(counted) == 40)
        await until(lambda: not server.eio.sockets)  # it never answered a ping
        ws.http.close()


async def test_connection_that_is_not_read_may_be_closed() -> None:
    async with paced() as (server, port, _counted):
        ws = await join(port, "/chat")
        ws.send(*events(200))
        (connection,) = server.eio.sockets.values()
        await until(lambda: connection.received.is_rate_limited)
        closing = ws.closed()
        await soon(server.eio.disconnect())
        await soon(closing)
        assert not connection.received.is_rate_limited


async def test_pings_of_a_websocket_count_even_on_an_upgrade_that_is_not_done() -> None:
    async with paced() as (server, port, _counted):
        target = await open_polling(port)
        ws = await Ws.open(port, target.replace("polling", "websocket"))
        ws.raw(client_frame(9, b"x" * 100) * 2000)
        await soon(ws.http.reader.read(-1))
        assert not server.eio.upgrades
        ws.close()
        assert (await request(port, "POST", target, b"1")).status == 200


async def test_upgrade_of_a_connection_whose_messages_wait_to_be_handled_goes_through() -> None:
    may_go_on = asyncio.Event()

    async def wait(sid: str, _filling: str) -> None:
        await may_go_on.wait()

    async with paced() as (server, port, _counted):
        server.on("wait", wait, namespace="/chat")
        target = await open_polling(port)
        await request(port, "POST", target, b"40/chat,")
        assert (await request(port, "GET", target)).status == 200
        posting = await Http.open(port)
        posting.send("POST", target, f'42/chat,["wait","{"x" * 80_000}"]'.encode())
        await until(lambda: any(connection.received.is_full for connection in server.eio.sockets.values()))
        ws = await Ws.open(port, target.replace("polling", "websocket"))
        ws.send("2probe")
        assert await ws.receive() == "3probe"
        may_go_on.set()
        assert (await posting.answer()).status == 200
        ws.send("5", '42/chat,1["count",1,""]')
        assert await ws.receive() == "43/chat,1[1]"
        ws.close()


async def test_a_megabyte_of_empty_arrays_is_refused() -> None:
    async with paced() as (_server, port, _counted):
        ws = await join(port, "/chat")
        ws.raw(text(f'42/chat,["count",[{",".join(["[]"] * 30_000)}]]'))
        assert await ws.closed() == 1002
