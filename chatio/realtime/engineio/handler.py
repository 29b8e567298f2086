"""HTTP endpoint of Engine.IO: the handshake, polling, and the way to a WebSocket.

Bodies are counted as they arrive, so that neither Tornado nor the server ever holds more than the limit (Tornado
alone takes 100 MB before it asks).
"""

import asyncio
import json
import sys
from typing import Any, ClassVar, Final

from tornado.httputil import HTTPServerRequest
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError
from tornado.web import HTTPError

from chatio.realtime.close_reasons import protocol_violation
from chatio.realtime.engineio import admission, http_errors, payload
from chatio.realtime.engineio.connection import Connection, SessionClosed
from chatio.realtime.engineio.http_errors import BAD_REQUEST_CODE, HandshakeError, HttpError
from chatio.realtime.engineio.packets import SEPARATOR, ProtocolError
from chatio.realtime.engineio.payload import EncodedPacket, encode, encode_payload
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.engineio.upgrade import Upgrade
from chatio.realtime.library import DisconnectReason
from chatio.realtime.limits import BODY_SECONDS, DISCARDED_BODY_BYTES, HEAD_BYTES, PACKETS_PER_TURN
from chatio.realtime.log import report
from chatio.realtime.websocket.frames import message_frame
from chatio.realtime.websocket.handshake import accept_value, switching_protocols, take_socket
from chatio.realtime.websocket.transport import WebSocket, WebSocketListener
from chatio.server.http_handler import BoundedBodyHandler
from chatio.server.lifecycle import Phase
from chatio.throttling.client_ip import client_address

# Headers that matter to the handshake only.
_NOT_KEPT: Final = frozenset(
    f"HTTP_{name}"
    for name in (
        "CONNECTION",
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "KEEP_ALIVE",
        "SEC_WEBSOCKET_EXTENSIONS",
        "SEC_WEBSOCKET_KEY",
        "SEC_WEBSOCKET_PROTOCOL",
        "SEC_WEBSOCKET_VERSION",
        "TRANSFER_ENCODING",
        "UPGRADE",
    )
)


class RealtimeHandler(BoundedBodyHandler):
    """Mount a subclass with `engine` set (`handler_for`) at "/socket.io/" or "/engine.io/"."""

    MAX_DISCARDED_BYTES = DISCARDED_BODY_BYTES
    engine: ClassVar[EngineServer]

    def initialize(self) -> None:
        self.environ: dict[str, Any] = {}
        self.cors_headers: list[tuple[str, str]] = []
        self.session: Connection | None = None  # that the request belongs to
        self.owned: Connection | None = None  # ends if its client leaves before the answer
        self.refusal: HttpError | None = None

    def set_default_headers(self) -> None:
        """Do nothing: `_set_headers` sets the headers of an answer, and a WebSocket's 101 has none of them."""

    # Before the body

    async def prepare(self) -> None:
        request, engine = self.request, self.engine
        address = request.remote_ip or ""
        if engine.trusted_proxies:
            address = client_address(address, request.headers.get("X-Forwarded-For", ""), engine.trusted_proxies)
        self.environ = _environ_of(request, address)
        if "HTTP_ORIGIN" in self.environ or request.method == "OPTIONS":
            self.cors_headers = engine._cors_headers(self.environ)
        if request.method == "OPTIONS":
            self.bound_body(timeout_seconds=BODY_SECONDS)
            return
        try:
            self._check_origin()
            self.session, is_websocket = admission.find_session(request, engine.sockets, engine.lifecycle)
            if is_websocket:
                await self._open_websocket()
                return
            if request.method == "POST" and self.session is not None:
                admission.begin_post(self.session, self.announced_body_bytes)
                self.owned = self.session
            self.bound_body(timeout_seconds=BODY_SECONDS)
        except HandshakeError as refusal:
            self._refuse(refusal.error)

    def _check_origin(self) -> None:
        """Raises HandshakeError for a page of another site: by its Origin, or, without one, by Sec-Fetch-Site."""
        origin = self.environ.get("HTTP_ORIGIN")
        is_program = origin is None and self.environ.get("HTTP_SEC_FETCH_SITE") != "cross-site"
        if self.engine.cors_allowed_origins != [] and not is_program:
            allowed = self.engine._cors_allowed_origins(self.environ)
            if allowed is not None and origin not in allowed:
                self.log_foreign_page(self.environ["REMOTE_ADDR"])
                raise HandshakeError(http_errors.FORBIDDEN)

    def _refuse(self, refusal: HttpError) -> None:
        """Refuse; the answer goes out when the body has arrived, unless that is too much to discard."""
        self.bound_body(timeout_seconds=BODY_SECONDS)
        self.refusal = refusal
        self.discard_body()
        self.engine.refused(self.environ["REMOTE_ADDR"], refusal.reason)
        if self.announced_body_bytes > DISCARDED_BODY_BYTES:
            self.body_too_large_to_discard()

    # The body

    def body_limit_bytes(self) -> int:
        return 0 if self.owned is None else self.owned.max_input_bytes  # only a POST to a session has a body

    def body_too_large(self) -> None:
        if self.owned is None:
            self._refuse(http_errors.BAD_REQUEST)
        else:
            self.owned.refuse(protocol_violation("polling body size"))
            self._refuse(http_errors.TOO_LARGE)

    def body_too_large_to_discard(self) -> None:
        """Answer before the body has arrived; Tornado closes the connection then."""
        if self.refusal is not None and not self.is_answered:
            self.close_after_answer()
            self._answer(self.refusal)

    # The methods

    async def get(self) -> None:
        if self._was_refused():
            return
        try:
            packets = await (self._open_polling() if self.session is None else self._poll(self.session))
        except SessionClosed:
            self._answer(http_errors.UNKNOWN_SESSION)
        except HandshakeError as refusal:
            self._refuse(refusal.error)
            self._was_refused()
        else:
            self._send(200, "text/plain; charset=UTF-8", encode_payload(packets))

    async def post(self) -> None:
        connection, self.owned = self.owned, None
        if self._was_refused() or connection is None:
            return
        try:
            body = bytes(self.body)
            for count, raw in enumerate(body.decode().split(SEPARATOR), 1):
                connection.receive(raw)
                if count % PACKETS_PER_TURN == 0:
                    await asyncio.sleep(0)
            connection.input_read(len(body) + HEAD_BYTES)
            if connection.received.is_full and not connection.closing:
                await connection.received.until_room()
        except (ProtocolError, UnicodeDecodeError):
            connection.refuse(protocol_violation("polling body"))
            self._answer(http_errors.BAD_REQUEST)
        else:
            self._send(200, "text/html", b"ok")
        finally:
            connection.posting = False

    async def options(self) -> None:
        if self._was_refused():
            return
        self._set_headers()
        self.clear_header("Content-Type")
        self.set_status(204)
        self.finish()

    async def refused_method(self) -> None:
        self._was_refused()

    put = patch = delete = head = refused_method

    # Polling

    async def _open_polling(self) -> list[EncodedPacket]:
        engine = self.engine
        if engine.lifecycle.phase is Phase.HANDING_OVER:
            # The client's polls may be new connections, and those are the next process's: there is no session, and
            # the client is told so. Without an upgrade on offer python-socketio's client would take that for the
            # end.
            return [encode(engine.greeting(engine.generate_id(), may_upgrade=True)), payload.CLOSE]
        self.owned = connection = engine.admit(self.environ["REMOTE_ADDR"])
        await engine.open_session(connection, self.environ)
        self.owned = None
        if connection.closing:
            raise SessionClosed
        engine.opened["polling"] += 1
        greeting = encode(engine.greeting(connection.sid, may_upgrade=True))
        return [greeting, *(connection.poll_queue.take_all() if connection.poll_queue is not None else ())]

    async def _poll(self, connection: Connection) -> list[EncodedPacket]:
        self.owned = connection
        if self._is_client_gone:
            self.on_connection_close()
        try:
            return await connection.poll()
        finally:
            self.owned = None

    def on_connection_close(self) -> None:
        """The client is gone before it was answered: with it goes its session, as on Node."""
        connection, self.owned = self.owned, None
        if connection is not None:
            connection.posting = False
            connection.drop(DisconnectReason.TRANSPORT_ERROR)
        super().on_connection_close()

    # WebSocket

    async def _open_websocket(self) -> None:
        accept, session, engine = accept_value(self.request.headers), self.session, self.engine
        http: Any = self.request.connection
        if accept is None or isinstance(http.stream, SSLIOStream):  # TLS ends at a proxy
            raise HandshakeError(http_errors.BAD_REQUEST)
        if session is not None:
            upgrade = Upgrade(engine, session)
            websocket, early = self._detached(upgrade)
            if websocket is not None:
                websocket.send(switching_protocols(accept))
                upgrade.begin(websocket, early)
            return
        connection = engine.admit(self.environ["REMOTE_ADDR"])
        await engine.open_session(connection, self.environ)
        websocket, early = self._detached(connection)
        if websocket is None:
            connection.drop(DisconnectReason.TRANSPORT_CLOSE)
            return
        if connection.closing:  # closed by the application while it decided
            websocket.abort()
            return
        engine.opened["websocket"] += 1
        connection.use_websocket(
            websocket, switching_protocols(accept) + message_frame(engine.greeting(connection.sid))
        )
        websocket.start(early)

    def _detached(self, listener: WebSocketListener) -> tuple[WebSocket | None, bytes]:
        """The WebSocket on the socket that was Tornado's, and the bytes that were read of it.

        None if the client is gone.
        """
        stream: IOStream = self.detach()
        try:
            sock, early = take_socket(stream)
        except (OSError, StreamClosedError):
            stream.close()
            return None, b""
        return WebSocket(sock, listener, self.engine.lingering), early

    # Answers

    def _was_refused(self) -> bool:
        """Whether the request was refused; afterwards the client is answered, too."""
        if self.refusal is None:
            return False
        if not self.is_answered:
            self._answer(self.refusal)
        return True

    def _answer(self, refusal: HttpError) -> None:
        body: dict[str, object] = {"code": refusal.code, "message": refusal.reason.text}
        if refusal.retry_after_seconds:
            body["retry_after_seconds"] = refusal.retry_after_seconds
            self.set_header("Retry-After", str(refusal.retry_after_seconds))
            self.set_header("Access-Control-Expose-Headers", "Retry-After")
        self._send(refusal.status, "application/json", json.dumps(body).encode())

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        if self._is_client_gone:
            return
        self._set_headers()
        self.set_header("Content-Type", content_type)
        self.set_status(status)
        self.finish(body)

    def _set_headers(self) -> None:
        super().set_default_headers()
        if self.engine.lifecycle.phase is Phase.HANDING_OVER and (self.session is None or self.session.closing):
            self.close_after_answer()  # the next request goes to the next process
        for name, value in self.cors_headers:
            self.set_header(name, value)
        if self.engine.cors_allowed_origins != []:
            self.set_header("Vary", "Origin")

    @property
    def _is_client_gone(self) -> bool:
        return self.http.stream.closed()

    def check_xsrf_cookie(self) -> None:
        """Not needed: a session is named by its sid, which no other site can know."""

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Log one line, as for any failure; Tornado would print a traceback and the query with the sid."""
        if value is not None and not isinstance(value, HTTPError):
            report("realtime request", value)

    def write_error(self, status_code: int, **_details: Any) -> None:
        self._answer(HttpError(status_code, BAD_REQUEST_CODE, protocol_violation(self._reason)))

    def _log(self) -> None:
        """Not in Tornado's access log: the query holds the sid, which is as good as a password."""
        if "log_function" in self.application.settings:  # how the application counts requests is its own affair
            super()._log()


def _environ_of(request: HTTPServerRequest, client_address: str) -> dict[str, Any]:
    """The handshake as a WSGI environ, for connect handlers and `get_environ`: headers are HTTP_NAME.

    The library keeps some thirty entries for each connection, the Tornado handler among them. Here strings that
    many clients share are kept once, and headers that only matter to the handshake are left out.
    """
    intern = sys.intern  # an interned string lives as long as some object refers to it, and no longer
    environ: dict[str, Any] = {
        "wsgi.url_scheme": intern(request.headers.get("X-Forwarded-Proto", request.protocol)),
        "REQUEST_METHOD": intern(request.method or "GET"),
        "QUERY_STRING": intern(request.query),
        "PATH_INFO": intern(request.path),
        "REMOTE_ADDR": intern(client_address),
    }
    for name, value in request.headers.items():
        key = "HTTP_" + name.upper().replace("-", "_")
        if key not in _NOT_KEPT:
            environ[intern(key)] = intern(value)
    return environ


def handler_for(engine: EngineServer) -> type[RealtimeHandler]:
    """The handler class to mount for `engine`."""
    return type("Handler", (RealtimeHandler,), {"engine": engine})
