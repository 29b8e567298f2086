"""Probes of the WebSocket and of the memory that a connection holds."""

import asyncio
import gc
import socket
import struct
from typing import Any

from tornado.httputil import HTTPServerRequest

from benchmarks.findings.probe import Row, Subject, fate
from tests.client.protocol import websocket_request
from tests.client.wire import Http, join, open_ws
from tests.integration.realtime.churn import rss_kib


def living(kind: type[Any]) -> list[Any]:
    return [item for item in gc.get_objects() if type(item) is kind]


def accepted(item: socket.socket, port: int) -> bool:
    try:
        return item.family == socket.AF_INET and item.getsockname()[1] == port and bool(item.getpeername())
    except OSError:
        return False


async def nodelay(subject: Subject) -> str:
    await join(subject.port, "/chat")
    sockets = [item for item in living(socket.socket) if item.fileno() >= 0 and accepted(item, subject.port)]
    return "on" if any(item.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for item in sockets) else "off"


async def deflate(subject: Subject) -> str:
    http = await Http.open(subject.port)
    http.writer.write(websocket_request(Sec_WebSocket_Extensions="permessage-deflate"))
    head = await http.reader.readuntil(b"\r\n\r\n")
    return "on" if b"permessage-deflate" in head else "off"


async def huge(subject: Subject) -> str:
    ws = await open_ws(subject.port)
    ws.raw(b"\x81\xff" + struct.pack(">Q", 12_000_000) + b"mask")
    return await fate(ws)


async def large(subject: Subject) -> str:
    ws = await open_ws(subject.port)
    ws.raw(b"\x82\xff" + struct.pack(">Q", 5_000_000) + b"mask")
    return await fate(ws)


async def held(subject: Subject) -> str:
    ws = await join(subject.port, "/chat")
    ws.send('42/chat,1["echo"]')
    await ws.receive()
    await asyncio.sleep(0.1)
    gc.collect()
    return str(len(living(HTTPServerRequest)))


async def slow(subject: Subject) -> str:
    await join(subject.port, "/chat")
    await asyncio.sleep(0.05)
    before = rss_kib()
    for _ in range(200):
        await subject.server.emit("news", "x" * 100_000, namespace="/chat")
        await asyncio.sleep(0)
    return f"{max(0, rss_kib() - before) / 1024:.0f} MiB"  # the memory may also shrink meanwhile


ROWS = (
    Row("TCP_NODELAY on a WebSocket", nodelay),
    Row("permessage-deflate when offered", deflate),
    Row("the header of a 12 MB WebSocket message before CONNECT", huge),
    Row("5 MB in one WebSocket message before CONNECT", large),
    Row("Tornado requests held by an idle WebSocket", held),
    Row("a client that never reads, 20 MB sent to it: held", slow),
)
