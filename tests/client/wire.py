"""The wire client: it writes and reads bytes, and so can misbehave as no official client does.

Every wait has a deadline, so that a server without an answer fails a test instead of hanging it.
"""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple, TypeVar

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerConnectionDelegate
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from chatio.realtime import Endpoint
from chatio.server.http.accept import LimitedHTTPServer
from chatio.server.serve import HTTP_SERVER_OPTIONS
from tests.client.protocol import ENGINE_IO as ENGINE_IO
from tests.client.protocol import SOCKET_IO as SOCKET_IO
from tests.client.protocol import client_frame as client_frame
from tests.client.protocol import http_request, websocket_request
from tests.client.protocol import text as text

T = TypeVar("T")
PATIENCE_SECONDS = 5.0


async def soon(awaitable: Awaitable[T], seconds: float = PATIENCE_SECONDS) -> T:
    """The result of `awaitable`, or TimeoutError."""
    return await asyncio.wait_for(awaitable, seconds)


@asynccontextmanager
async def serving(
    handler: "type[RequestHandler] | HTTPServerConnectionDelegate",
    path: str = "/socket.io/",
    http_options: Mapping[str, Any] = HTTP_SERVER_OPTIONS,
) -> AsyncIterator[int]:
    """A real server; yields its port."""
    direct = {"endpoint": handler} if isinstance(handler, Endpoint) else {}
    kind = partial(LimitedHTTPServer, **direct) if http_options else HTTPServer
    server = kind(Application([(path, handler)]), **http_options)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    try:
        yield sockets[0].getsockname()[1]
    finally:
        server.stop()
        cut_all()
        engine: Any = getattr(handler, "engine", None)
        if engine is not None:
            await soon(engine.disconnect())
            await until(lambda: not len(engine.lingering))
        await server.close_all_connections()


class Answer(NamedTuple):
    """An HTTP answer; the names of its headers, which are in `fields` as they came, are in lower case."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.fields)

    def header(self, name: str) -> str | None:
        """The one value of a header; two of one name are a defect wherever this is asked."""
        values = [value for other, value in self.fields if other == name]
        assert len(values) <= 1, f"{name} stands there {len(values)} times"
        return values[0] if values else None

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        assert self.header("content-type") == "application/json; charset=utf-8"
        return json.loads(self.body)


_OPENED: "set[Http]" = set()


def cut_all() -> None:
    """Cut all connections of this module that are still open."""
    for http in list(_OPENED):
        http.cut()


class Http:
    """One HTTP connection, request by request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        _OPENED.add(self)

    @property
    def port(self) -> int:
        """The server's port."""
        return int(self.writer.get_extra_info("peername")[1])

    @classmethod
    async def open(cls, port: int) -> "Http":
        return cls(*await soon(asyncio.open_connection("127.0.0.1", port)))

    def send(self, method: str, target: str, body: bytes | None = None, **headers: str) -> None:
        self.writer.write(http_request(method, target, body, **headers))

    async def answer(self, *, to_head: bool = False) -> Answer:
        """The next answer. One to HEAD has the length of a body, and none."""
        first, *lines = (await soon(self.reader.readuntil(b"\r\n\r\n"))).decode("latin-1").split("\r\n")[:-2]
        fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        length = 0 if to_head else int(dict(fields).get("content-length", "0"))
        body = await soon(self.reader.readexactly(length))
        if dict(fields).get("transfer-encoding") == "chunked" and not to_head:
            while chunk := await self._chunk():
                body += chunk
        return Answer(int(first.split()[1]), fields, body)

    async def _chunk(self) -> bytes:
        """The next chunk of an answer (RFC 9112, 7.1); empty at its end. Raises EOFError where it has no end."""
        size = int(await soon(self.reader.readuntil(b"\r\n")), 16)
        return (await soon(self.reader.readexactly(size + 2)))[:-2]

    async def request(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        self.send(method, target, body, **headers)
        return await self.answer()

    async def closed(self) -> bytes:
        """The bytes that arrive until the server closes the connection."""
        try:
            return await soon(self.reader.read(-1))
        except ConnectionError:
            return b""

    def cut(self) -> None:
        """Abort the connection (RST)."""
        _OPENED.discard(self)
        self.writer.transport.abort()

    def close(self) -> None:
        _OPENED.discard(self)
        self.writer.close()


async def request(port: int, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
    """One request on a connection of its own."""
    http = await Http.open(port)
    try:
        return await http.request(method, target, body, **headers)
    finally:
        http.close()


class Closed(Exception):
    """The server closed the WebSocket, with `code` if it said one."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Ws:
    """One WebSocket."""

    def __init__(self, http: Http, status: int) -> None:
        self.http, self.status = http, status

    @classmethod
    async def open(cls, port: int, target: str, early: bytes = b"", **headers: str) -> "Ws":
        """Send a handshake, and `early` right behind it; `status` is that of the answer."""
        return await cls.over(await Http.open(port), target, early, **headers)

    @classmethod
    async def over(cls, http: Http, target: str, early: bytes = b"", **headers: str) -> "Ws":
        """As `open`, on a connection that is open."""
        http.writer.write(websocket_request(target, **headers))
        if early:
            http.writer.write(early)
        status = int((await soon(http.reader.readuntil(b"\r\n\r\n"))).split()[1])
        return cls(http, status)

    def send(self, *messages: str | bytes) -> None:
        self.raw(b"".join(text(m) if isinstance(m, str) else client_frame(2, m) for m in messages))

    def raw(self, data: bytes) -> None:
        self.http.writer.write(data)

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame. Raises Closed when the connection ends without one."""
        reader = self.http.reader

        async def read() -> tuple[int, bytes]:
            first, size = await reader.readexactly(2)
            if size >= 126:
                size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8))
            return first & 0x0F, await reader.readexactly(size)

        try:
            return await soon(read())
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Closed(None) from None

    async def receive(self) -> str | bytes:
        """The next message. Raises Closed."""
        while True:
            opcode, payload = await self.frame()
            if opcode == 8:
                raise Closed(int.from_bytes(payload[:2]) if payload else None)
            if opcode == 1:
                return payload.decode()
            if opcode == 2:
                return payload

    async def receive_or_end(self, *, short: bool = False) -> str:
        """The next message, or the end of the connection in words; `short`: "answers" for any message."""
        try:
            message = await self.receive()
        except Closed as end:
            return "closed" if end.code is None else f"closed, {end.code}"
        return "answers" if short else str(message)

    async def closed(self) -> int | None:
        """Wait for the server to close the WebSocket. Returns its close code."""
        try:
            while True:
                await self.receive()
        except Closed as end:
            self.http.close()
            return end.code

    def cut(self) -> None:
        self.http.cut()

    def close(self) -> None:
        """End the WebSocket with a close frame."""
        self.raw(client_frame(8, struct.pack(">H", 1000)))
        self.http.close()


async def open_ws(port: int, base: str = SOCKET_IO) -> Ws:
    """A WebSocket after its OPEN packet."""
    ws = await Ws.open(port, f"{base}websocket")
    assert str(await ws.receive()).startswith("0")
    return ws


async def join(port: int, namespace: str = "", auth: Any = None) -> Ws:
    """A WebSocket that is connected to `namespace` ("" or "/name")."""
    ws = await open_ws(port)
    prefix = f"{namespace}," if namespace else ""
    ws.send(f"40{prefix}{json.dumps(auth) if auth is not None else ''}")
    answer = str(await ws.receive())
    assert answer.startswith(f"40{prefix}"), answer
    return ws


async def open_polling(port: int, base: str = SOCKET_IO) -> str:
    """The target of a new polling session."""
    answer = await request(port, "GET", f"{base}polling")
    assert answer.status == 200
    return f"{base}polling&sid={json.loads(answer.text[1:])['sid']}"


async def until(condition: Any, seconds: float = PATIENCE_SECONDS) -> None:
    """Let the loop turn until `condition()` holds; TimeoutError if it does not in time."""

    async def turn() -> None:
        while not condition():  # noqa: ASYNC110 - what is waited for has no event to wait on
            await asyncio.sleep(0.002)

    await asyncio.wait_for(turn(), seconds)


def leftovers(server: Any) -> dict[str, int]:
    """The entries of each table of a server; empty when no client is connected."""
    return {name: size for name, size in server.table_sizes().items() if size}
