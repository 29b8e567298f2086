"""Requests for a WebSocket: taken right from the socket, or read by Tornado where something about them is odd."""

from typing import Any

import pytest

from chatio.realtime import RealtimeOptions, create_server
from chatio.realtime.engineio import opening
from chatio.realtime.websocket.transport import WebSocket
from chatio.server.http import connection
from chatio.throttling.timeouts import TimeoutQueue
from tests.client.protocol import client_frame, websocket_request
from tests.client.wire import ENGINE_IO, SOCKET_IO, Http, Ws, leftovers, open_polling, serving, until
from tests.conftest import ExpectedLogs
from tests.integration.realtime.engine import echoing


def many(count: int) -> bytes:
    return b"".join(b"X-%d: y\r\n" % number for number in range(count))


PLAIN = websocket_request()
ECHO = websocket_request(f"{ENGINE_IO}websocket")
ODD = {
    "absolute form": PLAIN.replace(b"GET /", b"GET http://localhost/"),
    "bare line feeds": PLAIN.replace(b"\r\n", b"\n"),
    "an empty line before": b"\r\n" + PLAIN,
    "no slash": PLAIN.replace(b"socket.io/", b"socket.io"),
    "an underscore in the host": PLAIN.replace(b"localhost", b"my_host"),
    "an empty body": PLAIN.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"),
    "names in lower case": PLAIN.replace(b"Sec-WebSocket", b"sec-websocket").replace(b"Upgrade:", b"upgrade:"),
    "a hundred headers": PLAIN.replace(b"\r\n\r\n", b"\r\n" + many(95) + b"\r\n"),
}
REFUSED = {
    "no host": (PLAIN.replace(b"Host: localhost\r\n", b""), 400),
    "two hosts": (PLAIN.replace(b"\r\n\r\n", b"\r\nHost: other\r\n\r\n"), 400),
    "a space before the colon": (PLAIN.replace(b"Host:", b"Host :"), 400),
    "a folded line": (PLAIN.replace(b"\r\n\r\n", b"\r\nX: y\r\n z\r\n\r\n"), 400),
    "too many headers": (PLAIN.replace(b"\r\n\r\n", b"\r\n" + many(200) + b"\r\n"), 431),
    "another version": (PLAIN.replace(b"Version: 13", b"Version: 8"), 400),
    "a bad key": (PLAIN.replace(b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Key: x"), 400),
    "an unknown session": (websocket_request(f"{SOCKET_IO}websocket&sid=unknown"), 400),
    "POST": (PLAIN.replace(b"GET", b"POST"), 400),
}


async def answered(port: int, data: bytes) -> tuple[Http, int]:
    http = await Http.open(port)
    http.writer.write(data)
    return http, (await http.answer()).status


async def test_a_whole_request_needs_no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    async with echoing() as (_, port):
        monkeypatch.setattr(connection, "HttpStream", None)
        http = await Http.open(port)
        http.writer.write(ECHO + client_frame(1, b"4early"))
        assert (await http.answer()).status == 101
        ws = Ws(http, 101)
        assert str(await ws.receive()).startswith("0{")
        assert await ws.receive() == "4early"


async def test_a_polling_session_is_upgraded_right_from_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    async with echoing() as (engine, port):
        sid = (await open_polling(port, ENGINE_IO)).rpartition("sid=")[2]
        monkeypatch.setattr(connection, "HttpStream", None)
        ws = await Ws.open(port, f"{ENGINE_IO}websocket&sid={sid}")
        ws.send("2probe")
        assert await ws.receive() == "3probe"
        ws.send("5", "4late")
        assert await ws.receive() == "4late"
        assert engine.server.upgraded == 1


@pytest.mark.parametrize("kind", ODD)
async def test_an_odd_request_is_served_as_well(kind: str) -> None:
    server, endpoint = create_server()
    async with serving(endpoint, r"/socket.io/?") as port:
        http, status = await answered(port, ODD[kind])
        assert status == 101
        assert str(await Ws(http, 101).receive()).startswith("0{")
        http.cut()
        await until(lambda: not leftovers(server))


async def test_a_request_that_comes_in_pieces_or_second_on_its_connection_is_served_as_well() -> None:
    _, endpoint = create_server()
    async with serving(endpoint) as port:
        pieces = await Http.open(port)
        for start in range(0, len(PLAIN), 40):
            pieces.writer.write(PLAIN[start : start + 40])
            await pieces.writer.drain()
        assert (await pieces.answer()).status == 101
        kept = await Http.open(port)
        assert (await kept.request("GET", f"{SOCKET_IO}polling&sid=unknown")).status == 400
        kept.writer.write(PLAIN)
        assert (await kept.answer()).status == 101


@pytest.mark.parametrize("kind", REFUSED)
async def test_a_refused_request_is_answered_as_any_other(kind: str) -> None:
    server, endpoint = create_server()
    async with serving(endpoint) as port:
        data, status = REFUSED[kind]
        http, found = await answered(port, data)
        assert found == status
        http.close()
        assert not leftovers(server)


async def test_a_foreign_page_is_refused_and_logged_once(logs: ExpectedLogs) -> None:
    server, endpoint = create_server(RealtimeOptions(cors_allowed_origins="https://page.example"))
    async with serving(endpoint) as port:
        http, status = await answered(port, websocket_request(Origin="https://other.example"))
        assert status == 403
        http.close()
    refusals: Any = server.eio.refusals
    assert refusals["origin"] == 1


async def test_a_failure_of_ours_closes_the_connection_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect(r"^taking a request failed: ZeroDivisionError")

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    server, endpoint = create_server()
    monkeypatch.setattr(server.eio, "begin", fail)
    async with serving(endpoint) as port:
        http, status = await answered(port, PLAIN)
        assert status == 101
        await http.closed()
        await until(lambda: not leftovers(server))
        monkeypatch.undo()
        assert (await answered(port, PLAIN))[1] == 101


@pytest.mark.parametrize("is_upgrade", [False, True])
async def test_a_failure_once_input_is_waited_for_keeps_no_later_client_unread(
    monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs, *, is_upgrade: bool
) -> None:
    """The next client's socket has the same descriptor."""
    logs.expect(r"^taking a request failed: ZeroDivisionError")
    start = WebSocket.start

    def fail_once_started(*arguments: Any) -> None:
        start(*arguments)
        raise ZeroDivisionError

    async with echoing() as (_, port):
        sid = "&" + (await open_polling(port, ENGINE_IO)).rpartition("&")[2] if is_upgrade else ""
        monkeypatch.setattr(WebSocket, "start", fail_once_started)
        http, _ = await answered(port, websocket_request(f"{ENGINE_IO}websocket{sid}"))
        await http.closed()
        monkeypatch.undo()
        ws = Ws((await answered(port, ECHO))[0], 101)
        assert str(await ws.receive()).startswith("0{")
        ws.send("4still read")
        assert await ws.receive() == "4still read"
        ws.cut()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_session_that_has_no_timeouts_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs, transport: str
) -> None:
    logs.expect("^(taking a request|realtime request) failed: MemoryError ")
    server, endpoint = create_server()
    add = TimeoutQueue.add

    def fail_for_pings(queue: TimeoutQueue[Any], key: Any) -> None:
        if queue is server.eio.pings:
            raise MemoryError
        add(queue, key)

    monkeypatch.setattr(TimeoutQueue, "add", fail_for_pings)
    async with serving(endpoint, r"/socket.io/?") as port:
        http = await Http.open(port)
        if transport == "websocket":
            http.writer.write(websocket_request())
            await http.closed()
        else:
            assert (await http.request("GET", f"{SOCKET_IO}polling")).status == 500
        await until(lambda: not leftovers(server))
        http.cut()


def test_headers_are_looked_for_where_lines_begin_and_nowhere_else() -> None:
    """Elsewhere too, 4 kB without a colon took 140 ms: each letter might have been the first of a name."""
    assert opening._FIELD.findall("(Host: a\r\nHost: b\r\n") == [("Host", "b")]
