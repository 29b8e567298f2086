"""A client that leaves a namespace and enters it again while the server still handles one of the two."""

import asyncio
from typing import Any

import pytest

from chatio.log.message_log import MessageLog
from chatio.realtime import LogStart, Server
from chatio.stores.records import Message
from tests.client.wire import Ws, join, open_polling, open_ws, request, until
from tests.conftest import ExpectedLogs
from tests.integration.realtime.test_holes import chat

ENTRY = Message("1", "hello", "7", "Ann", "10:00", "2026-01-01T00:00:00.000Z")


def logged(server: Server) -> MessageLog:
    """A log that each client of /chat follows."""
    log = MessageLog()
    fanout = server.create_fanout("/chat", log, lambda entry: ["news", entry.message.content])

    @server.on("say", namespace="/chat")
    def say(sid: str) -> None:
        log.append(ENTRY)
        fanout.wake()

    return log


async def answers(ws: Ws, last: str) -> list[str]:
    """The messages up to the one that begins with `last`."""
    received = [str(await ws.receive())]
    while not received[-1].startswith(last):
        received.append(str(await ws.receive()))
    return received


async def test_burst_of_connect_disconnect_connect_is_answered_in_order_and_follows_the_log() -> None:
    async with chat() as (server, port, _doors):
        logged(server)

        async def connect(sid: str, environ: Any) -> LogStart:
            await server.emit("hi", to=sid, namespace="/chat")
            await asyncio.sleep(0.01)  # longer than the gap behind the answer to the first CONNECT
            return LogStart(0, f"pid of {sid}")

        server.on("connect", connect, namespace="/chat")
        ws = await open_ws(port)
        ws.send("40/chat,", "41/chat,", "40/chat,")
        first = await answers(ws, '42/chat,["hi"]')
        second = await answers(ws, '42/chat,["hi"]')
        assert [text[:10] for text in first + second] == ['40/chat,{"', '42/chat,["'] * 2
        assert '"pid":"pid of ' in second[0]
        ws.send('42/chat,["say"]')
        assert await ws.receive() == '42/chat,["news","hello"]'
        ws.close()


BINARY = '452-/chat,1["say",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'


@pytest.mark.parametrize(
    "packets",
    [('42/chat,1["say"]',), ("41/chat,",), ("40/chat,",), ("cut",), (BINARY, b"one", b"two")],
    ids=lambda packets: str(packets[0])[:12],
)
async def test_what_crosses_a_slow_disconnect_is_not_of_the_next_session(packets: tuple[Any, ...]) -> None:
    """An event, its attachments and a DISCONNECT are ignored, a CONNECT is answered when the handler has run."""
    packet = packets[0]
    async with chat() as (server, port, _doors):
        logged(server)
        handled = asyncio.Event()

        async def disconnect(sid: str, reason: str) -> None:
            await handled.wait()

        server.on("disconnect", disconnect, namespace="/chat")
        ws = await join(port, "/chat")
        sid = list(server.manager.get_participants("/chat", None))[-1][0]
        leaving = asyncio.ensure_future(server.disconnect(sid, "/chat"))
        assert await ws.receive() == "41/chat,"
        ws.send("40/other,")
        assert str(await ws.receive()).startswith("44/other,")
        if packet == "cut":
            ws.send("40/chat,")
            ws.cut()
            await until(lambda: any(connection.closing for connection in server.eio.sockets.values()))
        elif packet == "40/chat,":
            ws.send(packet)
        else:
            ws.send(*packets, "40/other,")
            assert str(await ws.receive()).startswith("44/other,")
        handled.set()
        await leaving
        if packet != "cut":
            if packet != "40/chat,":
                ws.send("40/chat,")
            assert str(await ws.receive()).startswith("40/chat,")
            ws.cut()


async def test_attachments_that_follow_when_the_server_has_begun_to_disconnect_are_ignored() -> None:
    async with chat() as (server, port, _doors):
        logged(server)
        handled = asyncio.Event()

        async def disconnect(sid: str, reason: str) -> None:
            await handled.wait()

        server.on("disconnect", disconnect, namespace="/chat")
        ws = await join(port, "/chat")
        ws.send(BINARY, b"one")
        sid = list(server.manager.get_participants("/chat", None))[-1][0]
        leaving = asyncio.ensure_future(server.disconnect(sid, "/chat"))
        assert await ws.receive() == "41/chat,"
        ws.send(b"two", "40/other,")
        assert str(await ws.receive()).startswith("44/other,")
        handled.set()
        await leaving
        ws.send("40/chat,")
        assert str(await ws.receive()).startswith("40/chat,")
        ws.cut()


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
async def test_client_that_cannot_be_sent_the_log_behind_its_connect_answer_is_closed(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect(f"^the log's beginning failed: {error.__name__}")
    async with chat() as (server, port, _doors):
        logged(server)

        async def connect(sid: str, environ: Any) -> LogStart:
            await server.emit("hi", to=sid, namespace="/chat")
            return LogStart(0, "pid")

        def join(*_: Any) -> None:
            raise error

        server.on("connect", connect, namespace="/chat")
        monkeypatch.setattr("chatio.realtime.broadcast.fanout.Fanout.join", join)
        ws = await open_ws(port)
        ws.send("40/chat,")
        assert (await answers(ws, '42/chat,["hi"]'))[0].startswith("40/chat,")
        assert await ws.closed() == 1011


async def test_post_is_no_handshake_of_a_websocket() -> None:
    async with chat() as (_server, port, _doors):
        polling = await open_polling(port)
        target = polling.replace("polling", "websocket")
        head = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
        key = {"Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        assert (await request(port, "POST", target, b"", **head, **key)).status == 400
        await request(port, "POST", polling, b"1")


async def test_catch_all_handler_is_refused() -> None:
    async with chat() as (server, _port, _doors):
        with pytest.raises(ValueError, match="catch-all"):
            server.on("*", lambda sid: None, namespace="/chat")
