"""The door: a Tornado handler for the handshake, polling, and the way to a WebSocket.

Everything is checked in `prepare`, before a byte of a body is read and before 101 is sent: the library's handler
sends 101 first, and then keeps what it should have refused. Bodies come in pieces, counted as they come.
"""

import base64
import binascii
import hashlib
import json
import socket
from typing import Any, ClassVar

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError
from tornado.web import RequestHandler, stream_request_body

from chatio.realtime.addresses import client_address
from chatio.realtime.connection import Connection, SessionClosed
from chatio.realtime.engine import EngineServer
from chatio.realtime.environ import build_environ
from chatio.realtime.limits import BODY_SECONDS
from chatio.realtime.outgoing import Outgoing, polling_body
from chatio.realtime.packets import SEPARATOR, ProtocolError
from chatio.realtime.upgrade import Upgrade
from chatio.realtime.websocket import WebSocket

_WEBSOCKET_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A request that is answered with an error. Codes and texts are Node's (engine.io, Server.errorMessages)."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def _bad(code: int, message: str) -> Refused:
    return Refused(400, code, message)


@stream_request_body
class RealtimeHandler(RequestHandler):
    """Mount a subclass with `engine` set (`handler_for`) at "/socket.io/" or "/engine.io/"."""

    engine: ClassVar[EngineServer]

    def initialize(self) -> None:
        self.environ: dict[str, Any] = {}
        self.connection: Connection | None = (
            None  # whose request this is, while it must hear of our client's end
        )
        self.refusal: Refused | None = None
        self.body = bytearray()
        self.sid = ""
        self.transport = ""

    # Before the body

    async def prepare(self) -> None:
        try:
            self._admit()
            if self.transport == "websocket" and self.request.method == "GET":
                await self._open_websocket()
        except Refused as refusal:
            self._refuse(refusal)

    def _admit(self) -> None:
        """Raises Refused; afterwards the request is one that its method can answer."""
        request = self.request
        peer = request.remote_ip or ""
        forwarded = request.headers.get("X-Forwarded-For", "")
        self.environ = build_environ(request, client_address(peer, forwarded, self.engine.trusted_proxies))
        self.transport = self._argument("transport")
        self.sid = self._argument("sid")
        self._set_body_limit()
        if request.method == "OPTIONS":
            return
        self._check_origin()
        if not self.engine.accepting:
            raise Refused(503, 3, "Shutting down")
        if self.transport not in self.engine.transports:
            raise _bad(0, "Transport unknown")
        if request.method not in ("GET", "POST"):
            raise _bad(2, "Bad handshake method")
        if self._argument("j"):
            raise _bad(3, "JSONP is not supported")
        self._check_session()

    def _argument(self, name: str) -> str:
        values = self.request.query_arguments.get(name)
        return values[0].decode("latin-1") if values else ""

    def _check_origin(self) -> None:
        origin = self.environ.get("HTTP_ORIGIN")
        if origin is None or self.engine.cors_allowed_origins == []:
            return
        allowed = self.engine._cors_allowed_origins(self.environ)
        if allowed is not None and origin not in allowed:
            raise Refused(403, 4, "Forbidden")

    def _check_session(self) -> None:
        request, is_websocket = self.request, self.transport == "websocket"
        if is_websocket != (request.headers.get("Upgrade", "").lower() == "websocket"):
            raise _bad(3, "Bad request")
        if not self.sid:
            if self._argument("EIO") != "4":
                raise _bad(5, "Unsupported protocol version")
            if request.method != "GET":
                raise _bad(2, "Bad handshake method")
            return
        connection = self.engine.sockets.get(self.sid)
        if connection is None or connection.closing:
            raise _bad(1, "Session ID unknown")
        if connection.websocket is not None:
            raise _bad(3, "Bad request")
        if is_websocket and (connection.upgrade is not None or not self.engine.can_upgrade):
            raise _bad(3, "Bad request")
        if request.method == "POST":
            self._begin_post(connection)

    def _set_body_limit(self) -> None:
        """Tornado itself must not take more than `data_received` would; it counts what it does not hand on."""
        http: Any = self.request.connection
        http.set_max_body_size(1 << 62)  # counted here, to answer in the protocol's own words
        http.set_body_timeout(BODY_SECONDS)

    def _begin_post(self, connection: Connection) -> None:
        if connection.posting:
            connection.refuse("two POSTs at once")
            raise _bad(3, "Bad request")
        length = self.request.headers.get("Content-Length", "0")
        if length.isascii() and length.isdigit() and int(length) > connection.max_input_bytes:
            connection.refuse("polling body size")
            raise Refused(413, 3, "Payload too large")
        connection.posting = True
        self.connection = connection

    # The body

    def data_received(self, chunk: bytes) -> None:
        if self.refusal is not None:
            return
        if self.connection is None:
            self._refuse(_bad(3, "Bad request"))  # only a POST to a session has a body
        elif len(self.body) + len(chunk) > self.connection.max_input_bytes:
            self.connection.refuse("polling body size")
            self._refuse(Refused(413, 3, "Payload too large"))
        else:
            self.body += chunk

    # The methods

    async def get(self) -> None:
        if self._answered():
            return
        try:
            packets = await (self._poll() if self.sid else self._open_polling())
        except SessionClosed:
            return self._answer(_bad(1, "Session ID unknown"))
        except Refused as refusal:
            return self._answer(refusal)
        if not self.request.connection.stream.closed():  # type: ignore[union-attr]
            self._send_packets(packets)
        return None

    async def post(self) -> None:
        if self._answered():
            return
        connection, self.connection = self.connection, None
        assert connection is not None
        try:
            for raw in bytes(self.body).decode().split(SEPARATOR):
                connection.receive_encoded(raw)
            if connection.is_full:
                await connection.until_room()
        except (ProtocolError, UnicodeDecodeError):
            connection.refuse("polling body")
            return self._answer(_bad(3, "Bad request"))
        finally:
            connection.posting = False
        self._send(200, "text/html", b"ok")
        return None

    async def options(self) -> None:
        if not self._answered():
            self._set_headers("text/plain")
            self.clear_header("Content-Type")
            self.set_status(204)
            self.finish()

    async def refused_method(self) -> None:
        self._answered()

    put = patch = delete = head = refused_method

    # Polling

    async def _open_polling(self) -> list[Outgoing]:
        connection = self.engine.new_connection(self.environ["REMOTE_ADDR"])
        self.connection = connection  # so that a client which leaves while it is decided leaves nothing
        if await self.engine.open_session(self.environ, connection) is None:
            raise Refused(401, 4, "Unauthorized")
        self.connection = None
        cookie = self.engine.cookie_header(connection)
        if cookie is not None:
            self.add_header("Set-Cookie", cookie)
        return [self.engine.greeting(connection, "polling"), *connection.take_outbox()]

    async def _poll(self) -> list[Outgoing]:
        connection = self.engine.sockets.get(self.sid)
        if connection is None:
            raise SessionClosed
        if self.request.connection.stream.closed():  # type: ignore[union-attr]
            connection.drop(self.engine.reason.TRANSPORT_ERROR)
            raise SessionClosed
        self.connection = connection
        try:
            packets: list[Outgoing] = await connection.poll()
        finally:
            self.connection = None
        return packets

    def on_connection_close(self) -> None:
        """Our client is gone before it was answered: with it goes its session, as in Node."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.posting = False
            connection.drop(self.engine.reason.TRANSPORT_ERROR)
        super().on_connection_close()

    # WebSocket

    async def _open_websocket(self) -> None:
        answer = self._accept_header()
        if isinstance(self.request.connection.stream, SSLIOStream):  # type: ignore[union-attr]
            raise Refused(400, 3, "WebSocket needs TLS to end at a proxy")
        if self.sid:
            connection = self.engine.sockets[self.sid]
            upgrade = Upgrade(connection)
            opened = self._detached(upgrade)
            if opened is None:
                upgrade.abandon()
                return
            websocket, early = opened
            upgrade.websocket = websocket
            websocket.send(self._switching(answer, None))
            websocket.start(early)
            return
        connection = await self._open_session()
        opened = self._detached(connection)
        if opened is None:
            connection.drop(self.engine.reason.TRANSPORT_CLOSE)
            return
        websocket, early = opened
        websocket.send(self._switching(answer, self.engine.cookie_header(connection)))
        connection.use_websocket(websocket, [self.engine.greeting(connection, "websocket")])
        websocket.start(early)

    async def _open_session(self) -> Connection:
        connection = await self.engine.open_session(self.environ)
        if connection is None:
            raise Refused(401, 4, "Unauthorized")
        return connection

    def _accept_header(self) -> str:
        """The Sec-WebSocket-Accept value (RFC 6455, section 4.2.2). Raises Refused for a bad handshake."""
        headers = self.request.headers
        key = headers.get("Sec-WebSocket-Key", "")
        tokens = [token.strip().lower() for token in headers.get("Connection", "").split(",")]
        try:
            is_key = len(binascii.a2b_base64(key, strict_mode=True)) == 16
        except ValueError:
            is_key = False
        if "upgrade" not in tokens or not is_key or headers.get("Sec-WebSocket-Version") != "13":
            raise _bad(3, "Bad request")
        return base64.b64encode(hashlib.sha1(key.encode() + _WEBSOCKET_KEY).digest()).decode()  # noqa: S324

    def _switching(self, accept: str, cookie: str | None) -> bytes:
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines.append(f"Sec-WebSocket-Accept: {accept}")
        if cookie is not None:
            lines.append(f"Set-Cookie: {cookie}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _detached(self, owner: Any) -> tuple[WebSocket, bytes] | None:
        """The socket, taken from Tornado; None if the client is gone. Tornado's objects are free afterwards."""
        stream: IOStream = self.detach()
        try:
            sock, early = take_socket(stream)
        except (OSError, StreamClosedError):
            return None
        return WebSocket(sock, owner, self.engine.lingering), early

    # Answers

    def _answered(self) -> bool:
        """The request was refused: answer so, unless that is done."""
        if self.refusal is None:
            return False
        if not self._finished:
            self._answer(self.refusal)
        return True

    def _refuse(self, refusal: Refused) -> None:
        """Refuse before the body is read: at once if there is one, and close, since it would have to be read."""
        self.refusal = refusal
        self.engine.refusals.refused(self.environ.get("REMOTE_ADDR", "?"), refusal.message)
        headers = self.request.headers
        if "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0":
            self.set_header("Connection", "close")
            self._answer(refusal)

    def _answer(self, refusal: Refused) -> None:
        body = json.dumps({"code": refusal.code, "message": refusal.message}).encode()
        self._send(refusal.status, "application/json", body)

    def _send_packets(self, packets: list[Outgoing]) -> None:
        body = polling_body(packets)
        engine = self.engine
        if engine.http_compression and len(body) >= engine.compression_threshold:
            accepted = self.request.headers.get("Accept-Encoding", "")
            if "gzip" in [token.split(";")[0].strip() for token in accepted.split(",")]:
                body = engine._gzip(body)
                self.set_header("Content-Encoding", "gzip")
        self._send(200, "text/plain; charset=UTF-8", body)

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.set_status(status)
        self._set_headers(content_type)
        self.finish(body)

    def _set_headers(self, content_type: str) -> None:
        self.set_header("Content-Type", content_type)
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")
        if not self.environ:
            return
        for name, value in self.engine._cors_headers(self.environ):
            self.set_header(name, value)
        if self.engine.cors_allowed_origins != []:
            self.add_header("Vary", "Origin")

    def compute_etag(self) -> None:
        return None

    def check_xsrf_cookie(self) -> None:
        """Not ours to check: a session is named by its sid, which no other site can know."""

    def _log(self) -> None:
        """Not in the access log: the query holds the sid, which is as good as a password."""


def take_socket(stream: IOStream) -> tuple[socket.socket, bytes]:
    """A socket of our own for the connection of `stream`, and what the stream had read already; closes the stream.

    Raises OSError or StreamClosedError if the connection is gone.
    """
    early = b""
    while (future := stream.read_bytes(1 << 16, partial=True)).done():
        early += future.result()
    own = stream.socket.dup()
    own.setblocking(False)
    stream.close()
    return own, early


def handler_for(engine: EngineServer) -> type[RealtimeHandler]:
    """The handler class to mount for `engine`."""
    return type("Handler", (RealtimeHandler,), {"engine": engine})
