"""Who is shown out: told why, disconnected, and closed soon after, whatever they do."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatio.log.message_log import Entry, MessageLog
from chatio.realtime import LogStart, RealtimeOptions, Server, create_server
from chatio.stores.records import Message
from tests.client.wire import Ws, join, leftovers, open_polling, open_ws, request, serving, until

GOODBYE = '42["bye",{"reason":"late"}]'
DISCONNECT = "41"


@contextlib.asynccontextmanager
async def house(monkeypatch: pytest.MonkeyPatch, *, entries: int = 0) -> AsyncIterator[tuple[Server, int]]:
    """A server whose clients follow a log with so many messages of 10 kB; a refused client has 50 ms."""
    monkeypatch.setattr("chatio.realtime.limits.REFUSED_SECONDS", 0.05)
    monkeypatch.setattr("chatio.realtime.engineio.server.LINGER_SECONDS", 0.05)
    server, handler = create_server(RealtimeOptions(ping_interval=60.0))
    log = MessageLog()
    for number in range(entries):
        log.append(Message(f"{number}", "x" * 10_000, "1", "Ann", "10:00", "2026-01-01T00:00:00.000Z"))

    def as_event(entry: Entry) -> list[object]:
        return ["entry", entry.sequence]  # its number only, or 10 kB of it where they are to fill a socket

    server.create_fanout("/", log, as_event if entries < 100 else lambda entry: ["entry", entry.message.content])

    async def connect(sid: str, environ: Any, auth: Any = None) -> LogStart:
        return LogStart(log.tail, "p")

    async def echo(sid: str, *args: Any) -> Any:
        return args

    server.on("connect", connect)
    server.on("echo", echo)
    async with serving(handler) as port:
        yield server, port


async def dismiss(server: Server) -> None:
    ((sid, _),) = server.manager.get_participants("/", None)
    await server.dismiss(sid, "/", "bye", {"reason": "late"})


async def ends(ws: Ws) -> list[str | bytes]:
    """What still comes, and then the code of the close."""
    received = []
    while (message := await ws.receive_or_end())[:6] != "closed":
        received.append(message)
    return [*received, message]


async def test_dismissed_client_is_told_disconnected_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(monkeypatch) as (server, port):
        ws = await join(port)
        await dismiss(server)
        assert await ends(ws) == [GOODBYE, DISCONNECT, "closed, 1000"]
        await until(lambda: not leftovers(server))


async def test_dismissed_client_may_still_have_packets_on_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(monkeypatch) as (server, port):
        ws = await join(port)
        await dismiss(server)
        ws.send('421["echo"]', '42["other",1]', '451-["echo",{"_placeholder":true,"num":0}]', b"x")
        assert await ends(ws) == [GOODBYE, DISCONNECT, "closed, 1000"]


async def test_a_polling_client_is_told_in_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(monkeypatch) as (server, port):
        target = await open_polling(port)
        await request(port, "POST", target, b"40")
        assert (await request(port, "GET", target)).text.startswith("40{")
        waiting = asyncio.ensure_future(request(port, "GET", target))
        await until(lambda: next(iter(server.eio.sockets.values())).is_writable_now)
        await dismiss(server)
        assert (await waiting).text == f"{GOODBYE}\x1e{DISCONNECT}"
        assert (await request(port, "GET", target)).text == "1"
        await until(lambda: not leftovers(server))


async def test_a_client_that_lags_behind_the_log_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has not taken what it was given of the log, which would go before all that is for it alone."""
    async with house(monkeypatch, entries=3) as (server, port):
        target = await open_polling(port)
        await request(port, "POST", target, b'40\x1e421["echo",7]')
        await until(lambda: any(True for _ in server.manager.get_participants("/", None)))
        await dismiss(server)
        packets = (await request(port, "GET", target)).text.split("\x1e")
        assert packets[-2:] == [GOODBYE, DISCONNECT]
        assert packets[0].startswith("40{")


async def test_a_client_that_reads_nothing_is_gone_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(monkeypatch, entries=2000) as (server, port):
        ws = await join(port)
        ws.http.reader._transport.pause_reading()  # type: ignore[attr-defined]
        own: socket.socket = ws.http.writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection = next(iter(server.eio.sockets.values()))
        await until(lambda: connection.websocket.pending_output_bytes > 0)
        await dismiss(server)
        await until(lambda: not leftovers(server))
        ws.cut()


async def test_client_that_joins_again_on_its_connection_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(monkeypatch) as (server, port):
        ws = await join(port)
        await dismiss(server)
        assert [await ws.receive(), await ws.receive()] == [GOODBYE, DISCONNECT]
        ws.send("40")
        assert json.loads(str(await ws.receive())[2:])["pid"] == "p"
        await until(lambda: not server.table_sizes()["refused"])
        ws.send('421["echo",7]')
        assert await ws.receive() == "431[7]"


async def test_client_that_has_left_is_not_dismissed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house(monkeypatch) as (server, port):
        ws = await join(port)
        ((sid, _),) = server.manager.get_participants("/", None)
        ws.cut()
        await until(lambda: not leftovers(server))
        await server.dismiss(sid, "/", "bye", {})
        await server.dismiss("nobody", "/", "bye", {})
        assert not leftovers(server)


async def test_client_dismissed_before_the_log_began_does_not_follow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a connect handler sends holds the log back a moment, and the client is shown out in it."""
    async with house(monkeypatch, entries=3) as (server, port):

        async def connect(sid: str, environ: Any, auth: Any = None) -> LogStart:
            await server.emit("welcome", to=sid)
            asyncio.get_running_loop().call_soon(shown_out.set)
            return LogStart(0, "p")

        shown_out = asyncio.Event()
        server.on("connect", connect)
        ws = await open_ws(port)
        ws.send("40")
        await shown_out.wait()
        await dismiss(server)
        assert str(await ws.receive()).startswith("40{")
        assert await ends(ws) == ['42["welcome"]', GOODBYE, DISCONNECT, "closed, 1000"]
        await until(lambda: not leftovers(server))
