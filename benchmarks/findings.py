"""Behaviour of plain python-socketio on Tornado and of the seam side by side, as one Markdown table.

    python -m benchmarks.findings

Each row is one probe, run against a fresh server of either kind on a real port. The probes only observe; the tests
in tests/integration/realtime assert.
"""

import asyncio
import gc
import json
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import socketio
from tornado.httputil import HTTPServerRequest

from chatio.realtime import RealtimeOptions, create_server
from tests.client.wire import SOCKET_IO, Closed, Http, Ws, join, open_polling, open_ws, request, serving

WAIT_SECONDS = 0.7
DEFAULTS = RealtimeOptions()
Probe = Callable[["Subject"], Awaitable[str]]
PROBES: list[tuple[str, Probe, RealtimeOptions]] = []


class Subject(NamedTuple):
    """A server under observation."""

    server: Any
    port: int
    calls: list[tuple[Any, ...]]


def row(title: str, options: RealtimeOptions = DEFAULTS) -> Callable[[Probe], Probe]:
    """Make a function a probe, whose result is the row's cell."""

    def add(probe: Probe) -> Probe:
        PROBES.append((title, probe, options))
        return probe

    return add


async def within(awaitable: Awaitable[Any], otherwise: str) -> str:
    """The result as text, or `otherwise` when there is none in time."""
    try:
        return str(await asyncio.wait_for(awaitable, WAIT_SECONDS))
    except TimeoutError:
        return otherwise
    except (OSError, EOFError):
        return "connection dropped"


async def fate(ws: Ws) -> str:
    """How the server closes a WebSocket, or that it stays open."""

    async def end() -> str:
        code = await ws.closed()
        return "closed" if code is None else f"closed, {code}"

    return await within(end(), "stays open")


@row("`pingInterval` of 0.3 s is announced as", RealtimeOptions(ping_interval=0.3))
async def announced_interval(subject: Subject) -> str:
    answer = await request(subject.port, "GET", f"{SOCKET_IO}polling")
    return f"{json.loads(answer.text[1:])['pingInterval']} ms"


@row("GET without `transport`")
async def missing_transport(subject: Subject) -> str:
    return str((await request(subject.port, "GET", "/socket.io/?EIO=4")).status)


@row("PUT")
async def put(subject: Subject) -> str:
    return str((await request(subject.port, "PUT", f"{SOCKET_IO}polling")).status)


@row("WebSocket with a bad EIO")
async def bad_version(subject: Subject) -> str:
    ws = await Ws.open(subject.port, "/socket.io/?EIO=3&transport=websocket")
    return "400" if ws.status == 400 else f"{ws.status}, {await fate(ws)}"


@row("WebSocket with an unknown sid")
async def bad_sid(subject: Subject) -> str:
    ws = await Ws.open(subject.port, f"{SOCKET_IO}websocket&sid=unknown")
    return "400" if ws.status == 400 else f"{ws.status}, {await fate(ws)}"


@row("answer to a polling POST")
async def post_answer(subject: Subject) -> str:
    target = await open_polling(subject.port)
    return (await request(subject.port, "POST", target, b"40")).text


@row("malformed polling body")
async def malformed_body(subject: Subject) -> str:
    target = await open_polling(subject.port)
    return str((await request(subject.port, "POST", target, b"abc")).status)


@row("two GETs at once on one session")
async def two_gets(subject: Subject) -> str:
    target = await open_polling(subject.port)
    first, second = await Http.open(subject.port), await Http.open(subject.port)
    first.send("GET", target)
    await asyncio.sleep(0.05)
    second.send("GET", target)
    both = [await within(status(one), "waits") for one in (first, second)]
    return " and ".join(both)


async def status(http: Http) -> int:
    return (await http.answer()).status


@row("unanswered ping on polling", RealtimeOptions(ping_interval=0.1, ping_timeout=0.1))
async def polling_timeout(subject: Subject) -> str:
    target = await open_polling(subject.port)
    http = await Http.open(subject.port)
    await http.request("GET", target)
    http.send("GET", target)
    return "the GET is answered" if await within(status(http), "") else "the GET waits"


@row("what comes on the WebSocket right after the upgrade")
async def polling_after_upgrade(subject: Subject) -> str:
    target = await open_polling(subject.port)
    ws = await Ws.open(subject.port, target.replace("polling", "websocket"))
    ws.send("2probe", "5")
    await within(ws.receive(), "nothing")
    return await within(ws.receive(), "nothing")


@row("CONNECT to an unknown namespace")
async def unknown_namespace(subject: Subject) -> str:
    ws = await open_ws(subject.port)
    ws.send("40/random")
    return f"`{await within(ws.receive(), 'nothing')}`"


@row("`emit` inside the connect handler reaches the client")
async def emit_in_connect(subject: Subject) -> str:
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        await subject.server.emit("hi", to=sid, namespace="/chat")

    subject.server.on("connect", connect, namespace="/chat")
    ws = await open_ws(subject.port)
    ws.send("40/chat,")
    first = await within(ws.receive(), "nothing")
    return "after CONNECT" if first.startswith("40") else "before CONNECT"


@row("TCP_NODELAY on a WebSocket")
async def nodelay(subject: Subject) -> str:
    await join(subject.port, "/chat")
    sockets = [item for item in living(socket.socket) if item.fileno() >= 0 and accepted(item, subject.port)]
    return "on" if any(item.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for item in sockets) else "off"


def living(kind: type[Any]) -> list[Any]:
    return [item for item in gc.get_objects() if type(item) is kind]


def accepted(item: socket.socket, port: int) -> bool:
    try:
        return item.family == socket.AF_INET and item.getsockname()[1] == port and bool(item.getpeername())
    except OSError:
        return False


@row("40 events in one polling POST")
async def many_packets(subject: Subject) -> str:
    target = await open_polling(subject.port)
    await request(subject.port, "POST", target, b"40/chat,")
    body = "\x1e".join(f'42/chat,["say",{number}]' for number in range(40))
    answer = await request(subject.port, "POST", target, body.encode())
    await asyncio.sleep(0.1)
    return f"{answer.status}, {len(subject.calls)} handled"


@row("chunked polling POST")
async def chunked(subject: Subject) -> str:
    target = await open_polling(subject.port)
    http = await Http.open(subject.port)
    http.send("POST", target, b"8\r\n40/chat,\r\n0\r\n\r\n", Transfer_Encoding="chunked")
    answer = await http.answer()
    await asyncio.sleep(0.1)
    joined = "joined" if subject.server.manager.rooms.get("/chat") else "ignored"
    return f"{answer.status}, {joined}"


@row("aborted polling GET, then a message")
async def aborted_get(subject: Subject) -> str:
    target = await open_polling(subject.port)
    http = await Http.open(subject.port)
    http.send("GET", target)
    await asyncio.sleep(0.05)
    http.cut()
    await asyncio.sleep(0.05)
    answer = await request(subject.port, "POST", target, b"40/chat,")
    if answer.status == 400:
        return "session closed at once: the client comes back and recovers"
    again = await Http.open(subject.port)
    again.send("GET", target)
    return "the message " + ("is lost" if await within(status(again), "") == "" else "arrives")


@row("`NaN` in an event that is echoed")
async def nan(subject: Subject) -> str:
    ws = await join(subject.port, "/chat")
    ws.send('42/chat,1["echo",NaN]')
    return await within(echoed(ws), "nothing")


async def echoed(ws: Ws) -> str:
    try:
        return f"`{await ws.receive()!s}` sent on"
    except Closed:
        return "closed, not sent on"


@row("nothing after the handshake (connect timeout 0.3 s)", RealtimeOptions(connect_timeout=0.3))
async def silent(subject: Subject) -> str:
    return await fate(await open_ws(subject.port))


@row("a refused CONNECT, 1.6 s later")
async def refused(subject: Subject) -> str:
    ws = await open_ws(subject.port)
    ws.send("40/random")
    await within(ws.receive(), "nothing")
    await asyncio.sleep(1)
    return await fate(ws)


@row("`abc`, then a good packet")
async def deaf(subject: Subject) -> str:
    ws = await open_ws(subject.port)
    ws.send("abc", "40/chat,")
    ending = await within(ws.receive_or_end(), "deaf, stays open")
    return "answers" if ending.startswith("40") else ending


@row('CONNECT with auth `"x"`, and the rooms it leaves')
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


@row("polling POST over the limit")
async def large_post(subject: Subject) -> str:
    target = await open_polling(subject.port)
    http = await Http.open(subject.port)
    http.send("POST", target, b"4" * 1_100_000)
    return await within(status(http), "hangs for ever")


@row('`42["connect"]` and `42["disconnect"]` from the wire')
async def reserved(subject: Subject) -> str:
    ran: list[str] = []
    subject.server.on("disconnect", lambda *args: ran.append("disconnect"), namespace="/chat")
    ws = await join(subject.port, "/chat")
    subject.server.on("connect", lambda *args: ran.append("connect"), namespace="/chat")
    ws.send('42/chat,["connect",{}]', '42/chat,["disconnect"]')
    await asyncio.sleep(0.2)
    return f"runs the {' and '.join(ran)} handlers" if "connect" in ran else "closed, no handler is run by it"


@row("a polling client leaves while CONNECT is decided")
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


@row("an event that claims 9999999999 attachments")
async def attachments(subject: Subject) -> str:
    ws = await join(subject.port, "/chat")
    ws.send('459999999999-/chat,["echo"]')
    return await fate(ws)


@row("`450-` and then an event")
async def no_attachments(subject: Subject) -> str:
    ws = await join(subject.port, "/chat")
    ws.send('450-/chat,["echo"]', '42/chat,1["echo"]')
    return "deaf" if await within(ws.receive(), "deaf") == "deaf" else "answers"


@row("JSON 500 levels deep, echoed")
async def deep(subject: Subject) -> str:
    ws = await join(subject.port, "/chat")
    ws.send('42/chat,1["echo",' + "[" * 500 + "]" * 500 + "]")
    return await within(ws.receive_or_end(short=True), "nothing")


@row("ack id 0, then a real ack")
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


@row("the header of a 12 MB WebSocket message before CONNECT")
async def huge(subject: Subject) -> str:
    ws = await open_ws(subject.port)
    ws.raw(b"\x81\xff" + struct.pack(">Q", 12_000_000) + b"mask")
    return await fate(ws)


@row("5 MB in one WebSocket message before CONNECT")
async def large(subject: Subject) -> str:
    ws = await open_ws(subject.port)
    ws.raw(b"\x82\xff" + struct.pack(">Q", 5_000_000) + b"mask")
    return await fate(ws)


@row("permessage-deflate when offered")
async def deflate(subject: Subject) -> str:
    http = await Http.open(subject.port)
    http.send(
        "GET",
        f"{SOCKET_IO}websocket",
        Upgrade="websocket",
        Connection="Upgrade",
        Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==",
        Sec_WebSocket_Version="13",
        Sec_WebSocket_Extensions="permessage-deflate",
    )
    head = await http.reader.readuntil(b"\r\n\r\n")
    return "on" if b"permessage-deflate" in head else "off"


@row("the raising connect handler is answered")
async def raising_connect(subject: Subject) -> str:
    subject.server.on("connect", lambda *args: 1 / 0, namespace="/chat")
    ws = await open_ws(subject.port)
    ws.send("40/chat,")
    return f"`{await within(ws.receive(), 'with nothing')}`"


@row("the raising event handler is acknowledged")
async def raising_event(subject: Subject) -> str:
    subject.server.on("broken", lambda *args: 1 / 0, namespace="/chat")
    ws = await join(subject.port, "/chat")
    ws.send('42/chat,1["broken"]')
    answer = await within(ws.receive(), "")
    return "with an error" if '"internal_error"' in answer else "never"


@row("an event of a class-based namespace that nobody handles")
async def unhandled(subject: Subject) -> str:
    class Empty(socketio.AsyncNamespace):
        """No handlers."""

    make: Any = Empty
    subject.server.register_namespace(make("/empty"))
    ws = await join(subject.port, "/empty")
    ws.send('42/empty,1["unheard of"]')
    return "no ack" if await within(ws.receive(), "") == "" else "acknowledged as a success"


@row("Tornado requests held by an idle WebSocket")
async def held(subject: Subject) -> str:
    ws = await join(subject.port, "/chat")
    ws.send('42/chat,1["echo"]')
    await ws.receive()
    await asyncio.sleep(0.1)
    gc.collect()
    return str(len(living(HTTPServerRequest)))


@row("a client that never reads, 20 MB sent to it: held")
async def slow(subject: Subject) -> str:
    await join(subject.port, "/chat")
    await asyncio.sleep(0.05)
    before = rss_kib()
    for _ in range(200):
        await subject.server.emit("news", "x" * 100_000, namespace="/chat")
        await asyncio.sleep(0)
    return f"{(rss_kib() - before) / 1024:.0f} MiB"


def rss_kib() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4


def make(kind: str, options: RealtimeOptions) -> tuple[Any, Any]:
    """A server and its handler class."""
    if kind == "seam":
        return create_server(options)
    server = socketio.AsyncServer(
        async_mode="tornado",
        async_handlers=False,
        ping_interval=options.ping_interval,
        ping_timeout=options.ping_timeout,
    )
    return server, socketio.get_tornado_handler(server)


async def observe(kind: str, probe: Probe, options: RealtimeOptions) -> str:
    server, handler = make(kind, options)
    calls: list[tuple[Any, ...]] = []
    server.on("connect", lambda sid, environ, auth: None, namespace="/chat")
    server.on("say", lambda *args: calls.append(args), namespace="/chat")
    server.on("echo", lambda sid, *args: args, namespace="/chat")
    async with serving(handler) as port:
        return await within_all(probe(Subject(server, port, calls)))


async def within_all(probe: Awaitable[str]) -> str:
    try:
        return await asyncio.wait_for(probe, 10)
    except (TimeoutError, Closed) as end:
        return f"({type(end).__name__})"


def main() -> None:
    logging.disable(logging.CRITICAL)
    print("| what is sent | python-socketio as it comes | the seam |\n| --- | --- | --- |")
    for title, probe, options in PROBES:
        cells = [title]
        for kind in ("stock", "seam"):
            cells.append(asyncio.run(observe(kind, probe, options)))
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
