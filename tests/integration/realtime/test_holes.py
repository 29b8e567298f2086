"""Malformed, oversized and stalled input: the connection ends as with Node, and leaves nothing."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chatio.realtime import NO_ACK, RealtimeOptions, Server, create_server
from chatio.realtime.engineio.packets import decode
from chatio.realtime.limits import PACKETS_PER_TURN
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
from tests.conftest import ExpectedLogs


class Doors:
    """What the application saw."""

    def __init__(self) -> None:
        self.connected: list[str] = []
        self.disconnected: list[str] = []
        self.gate: asyncio.Event | None = None


@asynccontextmanager
async def chat(**options: Any) -> AsyncIterator[tuple[Server, int, Doors]]:
    """A server whose namespace answers "echo", and a bystander who must be able to use it in the end."""
    doors = Doors()
    server, handler = create_server(RealtimeOptions(**options))

    @server.on("connect", namespace="/chat")
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        doors.connected.append(sid)
        if doors.gate is not None:
            await doors.gate.wait()

    @server.on("disconnect", namespace="/chat")
    async def disconnect(sid: str, reason: str) -> None:
        doors.disconnected.append(sid)

    @server.on("echo", namespace="/chat")
    async def echo(sid: str, *args: Any) -> Any:
        return args

    async with serving(handler) as port:
        bystander = await join(port, "/chat")
        await until(lambda: not server.table_sizes()["connecting"])
        before = leftovers(server)
        yield server, port, doors
        await until(lambda: leftovers(server) == before)
        bystander.send('42/chat,1["echo","still here"]')
        assert await bystander.receive() == '43/chat,1["still here"]'


async def second(server: Server) -> tuple[Any, str]:
    """The connection and the sid of the client that joined after the bystander."""
    await until(lambda: not server.table_sizes()["connecting"])
    return list(server.eio.sockets.values())[1], list(server.manager.get_participants("/chat", None))[1][0]


BEFORE_CONNECT = [
    *map(text, ("4abc", "abc", "", "4", "4[[[[", "40/" + "n" * 5000, "bnonsense!", "2")),
    *map(text, ('40/chat,"x"', "40/chat,[1]", "40/chat,true", "40/chat,null", "41/chat,", "43/chat,1[]")),
    *map(text, ('42["echo"]', '42/chat,["echo"]', '44/chat,{"message":"x"}')),
    text('451-/chat,["echo",{"_placeholder":true,"num":0}]'),
    text("40/chat,") + text("40/chat,"),
    client_frame(2, b"stray"),
    client_frame(1, b"\xff\xfe"),
    client_frame(1, b"\xed\xa0\x80"),  # half a surrogate pair in UTF-8
    client_frame(1, b"40/chat,", masked=False),
    client_frame(1, b"40/chat,", reserved=4),
    client_frame(3, b"40/chat,"),
    client_frame(9, b"x" * 126),
    client_frame(0, b"40/chat,"),
    client_frame(8, b"\x03"),
    b"\x81\xff" + struct.pack(">Q", 12_000_000),
    client_frame(2, b"x" * 16_385),
]


@pytest.mark.parametrize("data", BEFORE_CONNECT, ids=lambda data: repr(data[:24]))
async def test_nonsense_before_connect_closes_the_connection(data: bytes) -> None:
    async with chat() as (_server, port, _doors):
        ws = await open_ws(port)
        ws.raw(data)
        await ws.closed()


AFTER_CONNECT = [
    *('42/chat,["connect",{},{}]', '42/chat,["disconnect"]', '42/chat,["connect_error"]'),
    *('42/chat,["newListener"]', '42/chat,["echo",NaN]', '42/chat,["echo",1e999]'),
    *('42/chat,["echo",' + "9" * 5000 + "]", '42/chat,["echo",' + "[" * 500 + "]" * 500 + "]"),
    *('42/chat,["echo",' + "[" * 20_000, '42/chat,12345678901234567890["echo"]', '42/chat,{"echo":1}'),
    *("42/chat,[]", "42/chat,[null]", '42/other,["echo"]', "40/chat,", "43/chat,[1]"),
    *('459999999999-/chat,["echo"]', '45-/chat,["echo"]', "47"),
]


@pytest.mark.parametrize("message", AFTER_CONNECT, ids=lambda message: str(message[:24]))
async def test_nonsense_after_connect_closes_the_connection_and_runs_no_handler(message: str) -> None:
    async with chat() as (_server, port, doors):
        ws = await join(port, "/chat")
        ws.send(message)
        await ws.closed()
        await until(lambda: len(doors.disconnected) == 1)
        assert len(doors.connected) == 2  # the bystander's and this one's, and none from the wire


@pytest.mark.parametrize(
    "messages",
    [
        ('451-/chat,["echo",{"_placeholder":true,"num":7}]', b"x"),
        ('451-/chat,["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]', b"x"),
        ('452-/chat,["echo",{"_placeholder":true,"num":0}]', b"x", '42/chat,["echo"]'),
        ('452-/chat,["echo",{"_placeholder":true,"num":0}]', b"x" * 600_000, b"x" * 600_000),
        ('450-/chat,["echo",{"_placeholder":true,"num":0}]',),
    ],
)
async def test_attachments_that_do_not_fit_close_the_connection(messages: tuple[Any, ...]) -> None:
    async with chat() as (_server, port, _doors):
        ws = await join(port, "/chat")
        ws.send(*messages)
        await ws.closed()


async def test_large_message_passes_after_connect_and_a_larger_is_refused_by_its_header() -> None:
    async with chat() as (_server, port, _doors):
        ws = await join(port, "/chat")
        ws.send('42/chat,1["echo","' + "x" * 900_000 + '"]')
        assert len(await ws.receive()) > 900_000
        ws.raw(b"\x81\xff" + struct.pack(">Q", 12_000_000))
        assert await ws.closed() == 1009


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_client_that_leaves_during_connect_is_no_ghost(transport: str) -> None:
    async with chat() as (server, port, doors):
        doors.gate = asyncio.Event()
        if transport == "websocket":
            ws = await open_ws(port)
            ws.send("40/chat,")
            await until(lambda: len(doors.connected) == 2)
            ws.cut()
        else:
            target = await open_polling(port)
            posting = asyncio.ensure_future(request(port, "POST", target, b"40/chat,"))
            await until(lambda: len(doors.connected) == 2)
            await posting
            assert (await request(port, "POST", target, b"1")).status == 200
        await until(lambda: sum(c.closing for c in server.eio.sockets.values()))
        doors.gate.set()
        doors.gate = None
        await until(lambda: doors.disconnected == doors.connected[1:])


async def test_client_holds_no_more_than_sixteen_kib_before_connect() -> None:
    async with chat() as (server, port, doors):
        doors.gate = asyncio.Event()
        ws = await open_ws(port)
        ws.send("40/chat,", *["40/chat,"] * 4000)
        ws.raw(b"\x82\xfe" + struct.pack(">H", 16_000) + b"mask")
        await until(lambda: any(c.is_paused for c in server.eio.sockets.values()))
        connection = next(c for c in server.eio.sockets.values() if c.is_paused)
        most_bytes = 16 * 1024 + 16 * 1024 * 72 // 14  # one read of the smallest messages
        assert connection.received.size_bytes <= most_bytes
        assert connection.websocket is not None
        assert connection.websocket.held_input_bytes < 16 * 1024
        doors.gate.set()
        await ws.closed()


@pytest.mark.parametrize("size", [16_385, 3_000_000])
async def test_polling_body_over_the_limit_is_answered_413(size: int) -> None:
    async with chat() as (_server, port, _doors):
        target = await open_polling(port)
        assert (await request(port, "POST", target, b"4" * size)).status == 413
        assert (await request(port, "GET", target)).status == 400


async def test_polling_body_far_over_the_limit_is_refused_by_its_length() -> None:
    async with chat() as (_server, port, _doors):
        target = await open_polling(port)
        http = await Http.open(port)
        http.send("POST", target, b"4", Content_Length="90000000")
        assert (await http.answer()).status == 413
        await http.closed()
        assert (await request(port, "GET", target)).status == 400


async def test_chunked_polling_body_over_the_limit_is_cut_off() -> None:
    async with chat() as (_server, port, _doors):
        target = await open_polling(port)
        http = await Http.open(port)
        http.send("POST", target, Transfer_Encoding="chunked")
        for _ in range(1100):
            http.writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        await http.closed()  # without the last chunk: what is thrown away is bounded too
        assert (await request(port, "GET", target)).status == 400


async def test_polling_body_may_be_as_large_as_a_message_after_connect() -> None:
    async with chat() as (_server, port, _doors):
        target = await open_polling(port)
        await request(port, "POST", target, b"40/chat,")
        assert (await request(port, "GET", target)).text.startswith("40/chat,")
        body = b'42/chat,1["echo",' + b'"' + b"x" * 900_000 + b'"]'
        assert (await request(port, "POST", target, body)).status == 200
        assert len((await request(port, "GET", target)).body) > 900_000
        assert (await request(port, "POST", target, b"41/chat,\x1e1")).status == 200


async def test_polling_body_of_many_packets_lets_others_have_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    async with chat() as (_server, port, _doors):
        target = await open_polling(port)
        await request(port, "POST", target, b"40/chat,")
        await request(port, "GET", target)
        turn = 0
        pongs: Counter[int] = Counter()

        def turn_over() -> None:
            nonlocal turn
            turn += 1

        def decoded(raw: str | bytes) -> Any:
            if not pongs[turn]:
                asyncio.get_running_loop().call_soon(turn_over)
            pongs[turn] += 1
            return decode(raw)

        monkeypatch.setattr("chatio.realtime.engineio.connection.decode", decoded)
        assert (await request(port, "POST", target, b"\x1e".join([b"3"] * 5000))).status == 200
        assert pongs.total() == 5000
        assert max(pongs.values()) <= PACKETS_PER_TURN
        assert (await request(port, "POST", target, b"1")).status == 200


@pytest.mark.parametrize(
    ("method", "target"), [("GET", f"{SOCKET_IO}polling"), ("POST", f"{SOCKET_IO}polling&sid=x")]
)
async def test_body_without_a_session_is_not_read(method: str, target: str) -> None:
    async with chat() as (_server, port, _doors):
        http = await Http.open(port)
        http.send(method, target, b"x" * 1000, Content_Length="90000000")
        assert (await http.answer()).status == 400
        await http.closed()


async def test_post_that_stalls_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatio.realtime.engineio.handler.BODY_SECONDS", 0.05)
    async with chat() as (_server, port, _doors):
        target = await open_polling(port)
        http = await Http.open(port)
        http.send("POST", target, b"4", Content_Length="100")
        await http.closed()


async def test_client_that_does_not_read_is_dropped_and_its_backlog_with_it() -> None:
    async with chat() as (server, port, _doors):
        ws = await join(port, "/chat")
        connection, sid = await second(server)
        for _ in range(200):
            await server.emit("news", "x" * 100_000, to=sid, namespace="/chat")
            assert connection.websocket.pending_output_bytes <= 4_000_000
        await until(lambda: connection.closed)
        ws.cut()


async def test_client_that_reads_late_gets_all_of_it_in_order_and_then_the_close() -> None:
    async with chat() as (server, port, _doors):
        ws = await join(port, "/chat")
        ws.http.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection, sid = await second(server)
        connection.websocket.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        for number in range(35):
            await server.emit("news", f"{number} " + "x" * 100_000, to=sid, namespace="/chat")
        assert connection.websocket.pending_output_bytes > 1_000_000
        connection.drop("server disconnect", drain_input=False)
        for number in range(35):
            assert str(await ws.receive()).startswith(f'42/chat,["news","{number} x')
        assert await ws.closed() == 1000


async def test_polling_client_that_does_not_poll_is_dropped() -> None:
    async with chat() as (server, port, _doors):
        target = await open_polling(port)
        await request(port, "POST", target, b"40/chat,")
        await request(port, "GET", target)
        _connection, sid = await second(server)
        for _ in range(50):
            await server.emit("news", "x" * 100_000, namespace="/chat", room=sid)
        await until(lambda: len(server.eio.sockets) == 1)


async def test_what_is_sent_while_connect_is_decided_is_bounded_too() -> None:
    async with chat() as (server, port, doors):
        doors.gate = asyncio.Event()
        ws = await open_ws(port)
        ws.send("40/chat,")
        await until(lambda: len(doors.connected) == 2)
        for _ in range(50):
            await server.emit("news", "x" * 100_000, namespace="/chat", to=doors.connected[1])
        await ws.closed()
        doors.gate.set()


async def test_slow_handler_holds_back_only_its_own_connection() -> None:
    gate = asyncio.Event()
    handled: list[int] = []
    async with chat() as (server, port, _doors):

        async def slow(sid: str, number: int, _filling: str) -> None:
            await gate.wait()
            handled.append(number)

        server.on("slow", slow, namespace="/chat")
        ws, other = await join(port, "/chat"), await join(port, "/chat")
        ws.send(*(f'42/chat,["slow",{number},"{"x" * 10_000}"]' for number in range(100)))
        await until(lambda: any(c.is_paused for c in server.eio.sockets.values()))
        other.send('42/chat,1["echo"]')
        assert await other.receive() == "43/chat,1[]"
        assert not handled
        gate.set()
        await until(lambda: len(handled) == 100)
        assert handled == list(range(100))
        ws.close()
        other.close()


async def test_flood_of_small_messages_leaves_every_turn_of_the_loop_to_others() -> None:
    async with chat() as (server, port, _doors):
        turns = most_in_one_turn = 0

        async def count(sid: str) -> None:
            nonlocal turns
            turns += 1

        server.on("count", count, namespace="/chat")
        flood = await join(port, "/chat")
        flood.raw(text('42/chat,["count"]') * 5_000)
        while turns < 5_000:
            before = turns
            await asyncio.sleep(0)
            most_in_one_turn = max(most_in_one_turn, turns - before)
        assert most_in_one_turn <= 32
        flood.cut()


@pytest.mark.parametrize("error", [KeyError, TypeError])
async def test_raising_connect_handler_runs_once_and_leaves_nothing(
    logs: ExpectedLogs, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    name = error.__name__
    logs.expect(rf"^connect handler failed: {name} at [a-z.]+\.test_holes:\d+ connect \(reference \w+\)$")
    monkeypatch.setattr("chatio.realtime.limits.REFUSED_SECONDS", 0.02)
    runs = 0

    async def connect(sid: str, environ: Any, auth: Any = None) -> None:
        nonlocal runs
        runs += 1
        raise error(auth["token"])

    async with chat() as (server, port, _doors):
        server.on("connect", connect, namespace="/chat")
        ws = await open_ws(port)
        ws.send('40/chat,{"token":"hidden"}')
        assert await ws.receive() == '44/chat,{"message":"Internal server error"}'
        await ws.closed()
    assert runs == 1
    assert not [record for record in logs.records if "hidden" in record.getMessage() or record.exc_info]


async def test_raising_event_handler_is_acknowledged_as_failed_and_connection_lives(logs: ExpectedLogs) -> None:
    logs.expect(r"^event handler failed: RuntimeError at .+ broken \(reference \w+\)$")
    async with chat() as (server, port, _doors):

        async def broken(sid: str, *args: Any) -> None:
            raise RuntimeError("hidden")

        server.on("broken", broken, namespace="/chat")
        ws = await join(port, "/chat")
        ws.send('42/chat,["broken"]', '42/chat,7["broken"]')
        answer = str(await ws.receive())
        assert answer.startswith(
            '43/chat,7[{"ok":false,"error":{"code":"internal_error","message":"Internal server'
        )
        assert logs.records[-1].getMessage().rpartition("reference ")[2].rstrip(")") in answer
        assert "hidden" not in answer
        ws.send('42/chat,8["echo"]')
        assert await ws.receive() == "43/chat,8[]"
        ws.close()
    assert len(logs.records) == 2


async def test_result_that_is_no_json_is_acknowledged_as_failed(logs: ExpectedLogs) -> None:
    logs.expect("event handler failed: ValueError")
    async with chat() as (server, port, _doors):
        server.on("nan", lambda sid: float("nan"), namespace="/chat")
        ws = await join(port, "/chat")
        ws.send('42/chat,7["nan"]')
        assert '"internal_error"' in str(await ws.receive())
        ws.close()


async def test_event_without_a_handler_is_acknowledged_as_refused() -> None:
    async with chat() as (_server, port, _doors):
        ws = await join(port, "/chat")
        ws.send('42/chat,["unheard of"]', '42/chat,7["unheard of"]', '42/chat,8["echo"]')
        unknown = '{"code":"unknown_event","message":"This server knows no such event."}'
        assert await ws.receive() == f'43/chat,7[{{"ok":false,"error":{unknown}}}]'
        assert await ws.receive() == "43/chat,8[]"
        ws.close()


async def test_event_whose_handler_withholds_the_ack_is_not_acknowledged() -> None:
    async with chat() as (server, port, _doors):
        server.on("again", lambda sid: NO_ACK, namespace="/chat")
        ws = await join(port, "/chat")
        ws.send('42/chat,7["again"]', '42/chat,8["echo"]')
        assert await ws.receive() == "43/chat,8[]"
        ws.close()


async def test_raising_disconnect_handler_and_ack_callback_are_only_reported(logs: ExpectedLogs) -> None:
    logs.expect("disconnect handler failed: RuntimeError")
    logs.expect("ack callback failed: RuntimeError")

    def broken(*args: Any) -> None:
        raise RuntimeError

    async with chat() as (server, port, _doors):
        ws = await join(port, "/chat")
        _connection, sid = await second(server)
        await server.emit("question", to=sid, namespace="/chat", callback=broken)
        await ws.receive()
        server.on("disconnect", broken, namespace="/chat")
        ws.send("43/chat,1[]", "41/chat,", "1")
        await ws.closed()


async def test_close_does_not_wait_for_a_peer_that_never_answers() -> None:
    async with chat() as (server, port, _doors):
        await join(port, "/chat")  # never reads, never closes
        await soon(server.eio.disconnect(list(server.eio.sockets)[1]), 1.0)
        assert len(server.eio.sockets) == 1


async def test_a_client_that_sends_on_and_on_behind_our_close_frame_is_cut_off() -> None:
    async with chat() as (server, port, _doors):
        server.eio.lingering.seconds = 3600
        ws = await join(port, "/chat")
        ws.raw(client_frame(1, b"9") + client_frame(9, b"") * 500_000)
        await until(lambda: len(server.eio.sockets) == 1 and not len(server.eio.lingering))
        ws.cut()


async def test_websocket_cut_in_the_middle_of_a_frame_leaves_nothing() -> None:
    async with chat() as (_server, port, _doors):
        ws = await join(port, "/chat")
        ws.raw(client_frame(2, b"x" * 500)[:100])
        ws.cut()


async def test_each_refusal_is_one_line_without_what_the_client_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "chatio.realtime")
    async with chat() as (_server, port, _doors):
        for _ in range(3):
            ws = await Ws.open(port, f"{SOCKET_IO}websocket&sid=secret")
            assert ws.status == 400
    records = [record for record in caplog.records if record.name == "chatio.realtime"]
    lines = [record.getMessage() for record in records]
    assert lines == ["connection from 127.0.0.1 refused or closed: Session ID unknown"] * 3
    fields = {"event": "connection_refused", "address": "127.0.0.1", "reason": "Session ID unknown"}
    assert vars(records[0]).items() >= fields.items()


@pytest.mark.parametrize("end", ["close packet", "close frame", "cut"])
async def test_what_a_client_said_before_it_left_is_heard(end: str) -> None:
    heard: list[int] = []
    async with chat() as (server, port, doors):

        async def say(sid: str, number: int) -> None:
            await asyncio.sleep(0)
            assert sid not in doors.disconnected
            heard.append(number)

        server.on("say", say, namespace="/chat")
        ws = await join(port, "/chat")
        ws.send(*(f'42/chat,["say",{number}]' for number in range(50)))
        if end == "close packet":
            ws.send("1")
        elif end == "close frame":
            ws.close()
        else:
            await until(lambda: heard)
            ws.cut()
        await until(lambda: len(doors.disconnected) == 1)
    assert heard == list(range(50))


async def test_client_that_the_server_closes_is_not_heard_out() -> None:
    heard: list[int] = []
    async with chat() as (server, port, doors):

        async def say(sid: str, number: int) -> None:
            heard.append(number)
            await server.eio.disconnect(server.manager.eio_sid_from_sid(sid, "/chat"))

        server.on("say", say, namespace="/chat")
        ws = await join(port, "/chat")
        ws.send('42/chat,["say",1]', '42/chat,["say",2]')
        await ws.closed()
        await until(lambda: len(doors.disconnected) == 1)
    assert heard == [1]
