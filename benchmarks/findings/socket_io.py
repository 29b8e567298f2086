"""Probes of Socket.IO: CONNECT, events and acks."""

import asyncio
from typing import Any

import socketio

from benchmarks.findings.probe import Row, Subject, fate, within
from chatio.realtime import RealtimeOptions
from tests.client.wire import Closed, Ws, join, open_polling, open_ws, request


async def unknown_namespace(subject: Subject) -> str:
    ws = await open_ws(subject.port)
    ws.send("40/random")
    return f"`{await within(ws.receive(), 'nothing')}`"


async def emit_in_connect(subject: Subject) -> str:
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        await subject.server.emit("hi", to=sid, namespace="/chat")

    subject.server.on("connect", connect, namespace="/chat")
    ws = await open_ws(subject.port)
    ws.send("40/chat,")
    first = await within(ws.receive(), "nothing")
    return "after CONNECT" if first.startswith("40") else "before CONNECT"


async def silent(subject: Subject) -> str:
    return await fate(await open_ws(subject.port))


async def refused(subject: Subject) -> str:
    ws = await open_ws(subject.port)
    ws.send("40/random")
    await within(ws.receive(), "nothing")
    await asyncio.sleep(1)
    return await fate(ws)


async def deaf(subject: Subject) -> str:
    ws = await open_ws(subject.port)
    ws.send("abc", "40/chat,")
    ending = await within(ws.receive_or_end(), "deaf, stays open")
    return "answers" if ending.startswith("40") else ending


async def auth_string(subject: Subject) -> str:
    def connect(sid: str, environ: Any, auth: Any) -> None:
        auth.get("token")

    subject.server.on("connect", connect, namespace="/chat")
    ws = await open_ws(subject.port)
    ws.send('40/chat,"x"')
    await fate(ws)
    ws.cut()
    await asyncio.sleep(0.1)
    return f"{sum(map(len, subject.server.manager.rooms.get('/chat', {}).values()))} entries leak"


async def ghost(subject: Subject) -> str:
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        await asyncio.sleep(0.2)

    gone: list[str] = []
    subject.server.on("connect", connect, namespace="/chat")
    subject.server.on("disconnect", lambda sid, *reason: gone.append(sid), namespace="/chat")
    target = await open_polling(subject.port)
    joining = asyncio.ensure_future(request(subject.port, "POST", target, b"40/chat,"))
    await asyncio.sleep(0.05)
    await within(request(subject.port, "POST", target, b"1"), "")
    await asyncio.gather(joining, return_exceptions=True)
    await asyncio.sleep(0.4)
    return "a ghost stays" if subject.server.manager.rooms.get("/chat") else f"gone, {len(gone)} disconnect event"


async def raising_connect(subject: Subject) -> str:
    subject.server.on("connect", lambda *args: 1 / 0, namespace="/chat")
    ws = await open_ws(subject.port)
    ws.send("40/chat,")
    return f"`{await within(ws.receive(), 'with nothing')}`"


async def raising_event(subject: Subject) -> str:
    subject.server.on("broken", lambda *args: 1 / 0, namespace="/chat")
    ws = await join(subject.port, "/chat")
    ws.send('42/chat,1["broken"]')
    answer = await within(ws.receive(), "")
    return "with an error" if '"internal_error"' in answer else "never"


async def unhandled(subject: Subject) -> str:
    class Empty(socketio.AsyncNamespace):
        """No handlers."""

    make: Any = Empty
    subject.server.register_namespace(make("/empty"))
    ws = await join(subject.port, "/empty")
    ws.send('42/empty,1["unheard of"]')
    answer = str(await within(ws.receive(), ""))
    return "with an error" if "unknown_event" in answer else "acknowledged as a success" if answer else "no ack"


async def reserved(subject: Subject) -> str:
    ran: list[str] = []
    subject.server.on("disconnect", lambda *args: ran.append("disconnect"), namespace="/chat")
    ws = await join(subject.port, "/chat")
    subject.server.on("connect", lambda *args: ran.append("connect"), namespace="/chat")
    ws.send('42/chat,["connect",{}]', '42/chat,["disconnect"]')
    await asyncio.sleep(0.2)
    return f"runs the {' and '.join(ran)} handlers" if "connect" in ran else "closed, no handler is run by it"


async def nan(subject: Subject) -> str:
    ws = await join(subject.port, "/chat")
    ws.send('42/chat,1["echo",NaN]')
    return await within(echoed(ws), "nothing")


async def echoed(ws: Ws) -> str:
    try:
        return f"`{await ws.receive()!s}` sent on"
    except Closed:
        return "closed, not sent on"


async def deep(subject: Subject) -> str:
    ws = await join(subject.port, "/chat")
    ws.send('42/chat,1["echo",' + "[" * 500 + "]" * 500 + "]")
    return await within(ws.receive_or_end(short=True), "nothing")


async def attachments(subject: Subject) -> str:
    ws = await join(subject.port, "/chat")
    ws.send('459999999999-/chat,["echo"]')
    return await fate(ws)


async def no_attachments(subject: Subject) -> str:
    ws = await join(subject.port, "/chat")
    ws.send('450-/chat,["echo"]', '42/chat,1["echo"]')
    return "deaf" if await within(ws.receive(), "deaf") == "deaf" else "answers"


async def ack_zero(subject: Subject) -> str:
    got: list[Any] = []
    ws = await join(subject.port, "/chat")
    sid = next(iter(subject.server.manager.get_participants("/chat", None)))[0]
    await subject.server.emit("a", to=sid, namespace="/chat", callback=got.append)
    ws.send("43/chat,0[1]", "43/chat,1[1]")
    await asyncio.sleep(0.1)
    try:
        await subject.server.emit("b", to=sid, namespace="/chat", callback=got.append)
    except KeyError:
        return "later callbacks raise KeyError"
    return f"{len(got)} callback run, later ones work"


ROWS = (
    Row("CONNECT to an unknown namespace", unknown_namespace),
    Row("`emit` inside the connect handler reaches the client", emit_in_connect),
    Row("nothing after the handshake (connect timeout 0.3 s)", silent, RealtimeOptions(connect_timeout=0.3)),
    Row("a refused CONNECT, 1.6 s later", refused),
    Row("`abc`, then a good packet", deaf),
    Row('CONNECT with auth `"x"`, and the rooms it leaves', auth_string),
    Row("a polling client leaves while CONNECT is decided", ghost),
    Row("the raising connect handler is answered", raising_connect),
    Row("the raising event handler is acknowledged", raising_event),
    Row("an event for which a class-based namespace has no handler", unhandled),
    Row('`42["connect"]` and `42["disconnect"]` from the wire', reserved),
    Row("`NaN` in an event that is echoed", nan),
    Row("JSON 500 levels deep, echoed", deep),
    Row("an event that claims 9999999999 attachments", attachments),
    Row("`450-` and then an event", no_attachments),
    Row("ack id 0, then a real ack", ack_zero),
)
