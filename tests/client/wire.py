"""A client that can do what well-behaved ones do not: it writes bytes, and reads what comes.

Everything it waits for has a deadline, so that a server which never answers fails a test instead of hanging
it.
"""

import asyncio
import base64
import json
import os
import struct
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from chatio.server.serve import HTTP_SERVER_OPTIONS

T = TypeVar("T")
PATIENCE_SECONDS = 5.0


async def soon(awaitable: Awaitable[T], seconds: float = PATIENCE_SECONDS) -> T:
    """The result of `awaitable`, or TimeoutError."""
    return await asyncio.wait_for(awaitable, seconds)


@asynccontextmanager
async def serving(handler: type[RequestHandler], path: str = "/socket.io/") -> AsyncIterator[int]:
    """A real server on a real port, which is yielded."""
    server = HTTPServer(Application([(path, handler)]), **HTTP_SERVER_OPTIONS)
    server.listen(0, address="127.0.0.1")
    port = next(iter(server._sockets.values())).getsockname()[1]
    try:
        yield port
    finally:
        server.stop()
        cut_all()
        engine: Any = getattr(handler, "engine", None)
        if engine is not None:
            await soon(engine.disconnect())
            await until(lambda: not len(engine.lingering))
        await server.close_all_connections()


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


_OPENED: "set[Http]" = set()


def cut_all() -> None:
    """Cut what is still open of all that was opened here."""
    for http in list(_OPENED):
        http.cut()


class Http:
    """One HTTP connection, request by request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        _OPENED.add(self)

    @property
    def port(self) -> int:
        """The server's."""
        return int(self.writer.get_extra_info("peername")[1])

    @classmethod
    async def open(cls, port: int) -> "Http":
        return cls(*await soon(asyncio.open_connection("127.0.0.1", port)))

    def send(self, method: str, target: str, body: bytes | None = None, **headers: str) -> None:
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body is not None and "Content_Length" not in headers and "Transfer_Encoding" not in headers:
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + (body or b""))

    async def answer(self) -> Answer:
        head = (await soon(self.reader.readuntil(b"\r\n\r\n"))).decode().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await soon(self.reader.readexactly(int(headers.get("content-length", "0"))))
        return Answer(int(head[0].split()[1]), headers, body)

    async def request(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        self.send(method, target, body, **headers)
        return await self.answer()

    async def closed(self) -> bytes:
        """What still comes until the server closes the connection."""
        try:
            return await soon(self.reader.read(-1))
        except ConnectionError:
            return b""

    def cut(self) -> None:
        """Go without a word (RST)."""
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


def client_frame(
    opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True, reserved: int = 0
) -> bytes:
    """A frame as a client sends it, or, on purpose, as it must not."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    size, bit = len(payload), 0x80 if masked else 0
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 1 << 16:
        head = struct.pack(">BBH", first, bit | 126, size)
    else:
        head = struct.pack(">BBQ", first, bit | 127, size)
    if not masked:
        return head + payload
    mask = int.from_bytes((b"mask" * (size // 4 + 1))[:size])
    return head + b"mask" + (int.from_bytes(payload) ^ mask).to_bytes(size)


def text(message: str) -> bytes:
    return client_frame(1, message.encode())


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
        """A handshake, and `early` right behind it; `status` says how it was answered."""
        return await cls.over(await Http.open(port), target, early, **headers)

    @classmethod
    async def over(cls, http: Http, target: str, early: bytes = b"", **headers: str) -> "Ws":
        """The same on a connection that is open."""
        key = base64.b64encode(os.urandom(16)).decode()
        wanted = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec_WebSocket_Key": key,
            "Sec_WebSocket_Version": "13",
        } | headers
        http.send("GET", target, None, **wanted)
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
        """The next message, or how the connection ended, in words; `short`: only that there was a message."""
        try:
            message = await self.receive()
        except Closed as end:
            return "closed" if end.code is None else f"closed, {end.code}"
        return "answers" if short else str(message)

    async def closed(self) -> int | None:
        """Wait for the server to close; the code it gave."""
        try:
            while True:
                await self.receive()
        except Closed as end:
            self.http.close()
            return end.code

    def cut(self) -> None:
        self.http.cut()

    def close(self) -> None:
        """The well-behaved end."""
        self.raw(client_frame(8, struct.pack(">H", 1000)))
        self.http.close()


SOCKET_IO = "/socket.io/?EIO=4&transport="
ENGINE_IO = "/engine.io/?EIO=4&transport="


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
