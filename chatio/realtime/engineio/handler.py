"""HTTP endpoint of Engine.IO: the handshake, polling, and the way to a WebSocket."""

import asyncio
import json
from typing import Any, ClassVar, Final

from tornado.iostream import IOStream, SSLIOStream
from tornado.web import HTTPError

from chatio.realtime.close_reasons import protocol_violation
from chatio.realtime.engineio import admission, http_errors, packets
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.http_errors import BAD_REQUEST_CODE, HandshakeError, HttpError
from chatio.realtime.engineio.packets import SEPARATOR, EncodedPacket, ProtocolError, encode, encode_payload
from chatio.realtime.engineio.poll_queue import PollQueue
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.engineio.upgrade import Upgrade
from chatio.realtime.library import DisconnectReason
from chatio.realtime.limits import (
    BODY_SECONDS,
    DISCARDED_BODY_BYTES,
    HEAD_BYTES,
    PACKETS_PER_TURN,
    REQUEST_STEPS,
    UPGRADE_STEPS,
)
from chatio.realtime.log import report
from chatio.realtime.websocket.frames import message_frame
from chatio.realtime.websocket.handshake import VERSION, switching_protocols
from chatio.realtime.websocket.input_budget import Budget
from chatio.realtime.websocket.transport import WebSocket
from chatio.server.http_handler import BoundedBodyHandler
from chatio.server.lifecycle import Phase

# What of a handshake's headers the origin check and connect handlers are given, as a WSGI environ names it.
_HEADERS: Final = {
    name: f"HTTP_{name.upper().replace('-', '_')}"
    for name in (
        *("Host", "Origin", "Sec-Fetch-Site", "X-Forwarded-Proto", "X-Forwarded-Host"),
        "Access-Control-Request-Headers",
    )
}


class RealtimeHandler(BoundedBodyHandler):
    """Mount a subclass with `engine` set (`handler_for`) at "/socket.io/" or "/engine.io/"."""

    MAX_DISCARDED_BYTES = DISCARDED_BODY_BYTES
    engine: ClassVar[EngineServer]

    def initialize(self) -> None:
        self.environ: dict[str, Any] = {}
        self.cors_headers: dict[str, str] = {}
        self.session: Connection | None = None  # that the request belongs to
        self.owned: Connection | None = None  # ends if its client leaves before the answer
        self.refusal: HttpError | None = None
        self.turn: asyncio.Future[None] | None = None  # that the request waits for

    def set_default_headers(self) -> None:
        """Do nothing: `_set_headers` sets the headers of an answer, and a WebSocket's 101 has none of them."""

    # Before the body

    def prepare(self) -> None:
        http: Any = self.request.connection
        if http.stream.closed():  # a client that pipelined requests is gone: Tornado would go through all of them
            self.detach()
            return
        is_websocket = False
        self.environ = self._environ()
        if "HTTP_ORIGIN" in self.environ or self.request.method == "OPTIONS":
            self.cors_headers = dict(self.engine._cors_headers(self.environ))
        try:
            if self.request.method != "OPTIONS":
                is_websocket = self._admit()
        except HandshakeError as refusal:
            self._refuse(refusal.error)
        if not is_websocket:
            self.bound_body(timeout_seconds=BODY_SECONDS)

    def _environ(self) -> dict[str, Any]:
        """The handshake for connect handlers and `get_environ`; the library keeps some thirty entries of each."""
        request = self.request
        environ: dict[str, Any] = {
            "wsgi.url_scheme": request.headers.get("X-Forwarded-Proto", request.protocol),
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": request.query,
            "PATH_INFO": request.path,
            "REMOTE_ADDR": self.client_address(self.engine.trusted_proxies),
        }
        return environ | {key: request.headers[name] for name, key in _HEADERS.items() if name in request.headers}

    def _admit(self) -> bool:
        """Find the session that the request belongs to. True: a WebSocket took it. Raises HandshakeError."""
        self._check_origin()
        self.session, is_websocket = admission.find_session(
            self.request, self.engine.sockets, self.engine.lifecycle, sid_prefix=self.engine.sid_prefix
        )
        if is_websocket:
            self._open_websocket()
        elif self.request.method == "POST" and self.session is not None:
            admission.begin_post(self.session, self.announced_body_bytes)
            self.owned = self.session
        return is_websocket

    def _check_origin(self) -> None:
        """Raises HandshakeError for a page of another site: by its Origin, or, without one, by Sec-Fetch-Site."""
        origin = self.environ.get("HTTP_ORIGIN")
        is_program = origin is None and self.environ.get("HTTP_SEC_FETCH_SITE") != "cross-site"
        is_allowed = is_program or "Access-Control-Allow-Origin" in self.cors_headers
        if not is_allowed and self.engine.cors_allowed_origins != []:
            self.log_foreign_page(self.environ["REMOTE_ADDR"])
            raise HandshakeError(http_errors.FORBIDDEN)

    def _refuse(self, refusal: HttpError) -> None:
        """Refuse; the answer goes out when the body has arrived, unless that is too much to discard."""
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

    # The answer

    async def get(self) -> None:
        """Answer the request, whatever its method: `prepare` has refused those that there are not."""
        self.turn = self._budget.turn(REQUEST_STEPS)
        await self.turn
        if self.refusal is None and self.request.method == "OPTIONS":
            self._set_headers()
            self.clear_header("Content-Type")
            self.set_status(204)
            self.finish()
        elif self.refusal is None:
            try:
                await (self._post() if self.request.method == "POST" else self._get())
            except HandshakeError as refusal:
                self._refuse(refusal.error)
        if self.refusal is not None and not self.is_answered:
            self._answer(self.refusal)

    @property
    def _budget(self) -> Budget:
        if self.session is not None:
            return self.session.draw()
        return self.engine.strangers.of(self.environ["REMOTE_ADDR"])

    post = put = patch = delete = head = options = get

    async def _get(self) -> None:
        """A polling handshake, or a poll. Raises HandshakeError."""
        packets = self._open_polling() if self.session is None else await self._poll(self.session)
        if packets:
            self._send(200, "text/plain; charset=UTF-8", encode_payload(packets))
        else:
            self._answer(http_errors.UNKNOWN_SESSION)

    def _open_polling(self) -> list[EncodedPacket]:
        engine = self.engine
        if engine.lifecycle.phase is Phase.HANDING_OVER:
            # The client's polls may be new connections, which are the next process's: there is no session. Without
            # an upgrade on offer python-socketio's client would take that for the end.
            return [encode(engine.greeting(engine.generate_id(), may_upgrade=True)), packets.CLOSE]
        connection = engine.admit(self.environ["REMOTE_ADDR"])
        connection.poll_queue = queue = PollQueue()
        queue.put(encode(engine.greeting(connection.sid, may_upgrade=True)))
        engine.begin(connection, self.environ)
        return queue.take_some()

    async def _poll(self, connection: Connection) -> list[EncodedPacket]:
        self.owned = connection
        if self.http.stream.closed():
            self.on_connection_close()
        try:
            return await connection.poll()
        finally:
            self.owned = None

    async def _post(self) -> None:
        connection, self.owned = self.owned, None
        if connection is None:
            return
        try:
            if connection.closing:
                raise HandshakeError(http_errors.UNKNOWN_SESSION)
            body = bytes(self.body)
            for count, raw in enumerate(body.decode().split(SEPARATOR), 1):
                connection.receive(raw)
                if count % PACKETS_PER_TURN == 0:
                    await connection.draw().turn(connection.received.take_steps())
                    await asyncio.sleep(0)
            connection.input_read(len(body) + HEAD_BYTES, 0)
            if connection.received.is_full and not connection.closing:
                await connection.received.until_room()
        except (ProtocolError, UnicodeDecodeError):
            connection.refuse(protocol_violation("polling body"))
            self._answer(http_errors.BAD_REQUEST)
        else:
            self._send(200, "text/html", b"ok")
        finally:
            connection.posting = False

    def on_connection_close(self) -> None:
        """The client is gone before it was answered: with it goes its session, as on Node."""
        connection, self.owned = self.owned, None
        if self.turn is not None and not self.turn.done():
            self.turn.set_result(None)
        if connection is not None:
            connection.posting = False
            connection.drop(DisconnectReason.TRANSPORT_ERROR)
        super().on_connection_close()

    # WebSocket

    def _open_websocket(self) -> None:
        engine, answer = self.engine, switching_protocols(self.request.headers)
        http: Any = self.request.connection
        if self.session is not None:
            if self.session.draw().must_wait:
                raise HandshakeError(http_errors.TOO_MANY_REQUESTS)
            self.session.draw().charge(UPGRADE_STEPS)
        if answer is None or isinstance(http.stream, SSLIOStream):  # TLS ends at a proxy
            self.set_header("Sec-WebSocket-Version", VERSION)  # RFC 6455, section 4.2.2
            raise HandshakeError(http_errors.BAD_REQUEST)
        connection = self.session or engine.admit(self.environ["REMOTE_ADDR"])
        # OkHttp stops reading at a close frame, and the official Java client then notices nothing for 45 s.
        is_okhttp = self.request.headers.get("User-Agent", "").lower().startswith("okhttp/")
        stream: IOStream = self.detach()
        try:
            websocket, early = WebSocket.take(stream, engine.lingering, sends_close=not is_okhttp)
        except OSError:  # the client is gone
            stream.close()
            if self.session is None:
                connection.drop(DisconnectReason.TRANSPORT_CLOSE)
            return
        if self.session is not None:
            Upgrade(connection, websocket).begin(answer, early)
        else:
            connection.use_websocket(websocket, answer + message_frame(engine.greeting(connection.sid)))
            engine.begin(connection, self.environ)
            websocket.start(early)

    # Answers

    def _answer(self, refusal: HttpError) -> None:
        body: dict[str, object] = {"code": refusal.code, "message": refusal.reason.text}
        if refusal.retry_after_seconds:
            body["retry_after_seconds"] = refusal.retry_after_seconds
            self.set_header("Retry-After", str(refusal.retry_after_seconds))
            self.set_header("Access-Control-Expose-Headers", "Retry-After")
        self._send(refusal.status, "application/json", json.dumps(body).encode())

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        if self.http.stream.closed():
            return
        self._set_headers()
        self.set_header("Content-Type", content_type)
        self.set_status(status)
        self.finish(body)

    def _set_headers(self) -> None:
        super().set_default_headers()
        if self.engine.lifecycle.phase is Phase.HANDING_OVER and (self.session is None or self.session.closing):
            self.close_after_answer()  # the next request goes to the next process
        for name, value in self.cors_headers.items():
            self.set_header(name, value)
        if self.engine.cors_allowed_origins != []:
            self.set_header("Vary", "Origin")

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


def handler_for(engine: EngineServer) -> type[RealtimeHandler]:
    """The handler class to mount for `engine`."""
    return type("Handler", (RealtimeHandler,), {"engine": engine})
