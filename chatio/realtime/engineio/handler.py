"""The door: a Tornado handler for the handshake, polling, and the way to a WebSocket.

Bodies come in pieces and are counted as they come, so that neither Tornado nor we ever hold more than the
limit (Tornado alone takes 100 MB before it asks).
"""

import asyncio
import json
from typing import Any, ClassVar

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError
from tornado.web import HTTPError, RequestHandler, stream_request_body

from chatio.realtime.engineio import http_errors, payload
from chatio.realtime.engineio.connection import Connection, SessionClosed
from chatio.realtime.engineio.environ import build_environ
from chatio.realtime.engineio.http_errors import Refused
from chatio.realtime.engineio.payload import EncodedPacket, encode_payload
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.engineio.upgrade import Upgrade
from chatio.realtime.limits import BODY_SECONDS, DISCARDED_BODY_BYTES, HEAD_BYTES, PACKETS_PER_TURN
from chatio.realtime.log import report
from chatio.realtime.socketio.packets import SEPARATOR, ProtocolError
from chatio.realtime.websocket.handshake import accept_value, switching_protocols, take_socket
from chatio.realtime.websocket.transport import WebSocket, WebSocketListener
from chatio.throttling.client_ip import client_address


@stream_request_body
class RealtimeHandler(RequestHandler):
    """Mount a subclass with `engine` set (`handler_for`) at "/socket.io/" or "/engine.io/"."""

    engine: ClassVar[EngineServer]

    def initialize(self) -> None:
        self.environ: dict[str, Any] = {}
        self.cors_headers: list[tuple[str, str]] = []
        self.session: Connection | None = None  # that the request belongs to
        self.owned: Connection | None = None  # ends if our client does before it is answered
        self.refusal: Refused | None = None
        self.body = bytearray()
        self.discarded_bytes = 0
        self.http: Any = self.request.connection

    # Before the body

    async def prepare(self) -> None:
        request, engine = self.request, self.engine
        forwarded = request.headers.get("X-Forwarded-For", "")
        address = client_address(request.remote_ip or "", forwarded, engine.trusted_proxies)
        self.environ = build_environ(request, address)
        self.cors_headers = engine._cors_headers(self.environ)
        self.http.set_max_body_size(1 << 62)  # counted in `data_received`, to answer in the protocol's own words
        self.http.set_body_timeout(BODY_SECONDS)
        if request.method == "OPTIONS":
            return
        try:
            self._check_origin()
            self.session = http_errors.admitted(engine, request)
            if request.method == "POST" and self.session is not None:
                http_errors.admit_post(self.session, request)
                self.owned = self.session
            elif http_errors.is_upgrade(request):
                await self._open_websocket()
        except Refused as refusal:
            self._refuse(refusal)

    def _check_origin(self) -> None:
        origin = self.environ.get("HTTP_ORIGIN")
        if origin is None or self.engine.cors_allowed_origins == []:
            return
        allowed = self.engine._cors_allowed_origins(self.environ)
        if allowed is not None and origin not in allowed:
            raise http_errors.forbidden()

    def _refuse(self, refusal: Refused) -> None:
        """Refuse; the answer goes out when the body has come, unless that is too much to throw away."""
        self.refusal = refusal
        self.body.clear()
        self.engine.refused(self.environ["REMOTE_ADDR"], refusal.message)
        if http_errors.body_bytes(self.request) > DISCARDED_BODY_BYTES:
            self._cut_off(refusal)

    def _cut_off(self, refusal: Refused) -> None:
        """Answer before the body has come; Tornado closes the connection then."""
        if not self._finished:
            self.set_header("Connection", "close")
            self._answer(refusal)

    # The body

    def data_received(self, chunk: bytes) -> None:
        if self.refusal is not None:
            self.discarded_bytes += len(chunk)
            if self.discarded_bytes > DISCARDED_BODY_BYTES:
                self._cut_off(self.refusal)
        elif self.owned is None:
            self._refuse(http_errors.bad_request())  # only a POST to a session has a body
        elif len(self.body) + len(chunk) > self.owned.max_input_bytes:
            self.owned.refuse("polling body size")
            self._refuse(http_errors.too_large())
        else:
            self.body += chunk

    # The methods

    async def get(self) -> None:
        if self._was_refused():
            return
        try:
            packets = await (self._open_polling() if self.session is None else self._poll(self.session))
        except SessionClosed:
            self._answer(http_errors.unknown_session())
        except Refused as refusal:
            self._refuse(refusal)
            self._was_refused()
        else:
            self._send_packets(packets)

    async def post(self) -> None:
        connection, self.owned = self.owned, None
        if self._was_refused() or connection is None:
            return
        try:
            for count, raw in enumerate(bytes(self.body).decode().split(SEPARATOR), 1):
                connection.receive_encoded(raw)
                if count % PACKETS_PER_TURN == 0:
                    await asyncio.sleep(0)
            connection.input_read(len(self.body) + HEAD_BYTES)
            if connection.is_full and not connection.closing:
                await connection.until_room()
        except (ProtocolError, UnicodeDecodeError):
            connection.refuse("polling body")
            self._answer(http_errors.bad_request())
        else:
            self._send(200, "text/html", b"ok")
        finally:
            connection.posting = False

    async def options(self) -> None:
        if not self._was_refused():
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
        if engine.is_handing_over:
            # Its polls may be new connections, and those are the next process's: there is no session, and it is
            # told so. Without an upgrade on offer python-socketio's client would take that for the end.
            return [engine.greeting(engine.generate_id(), may_upgrade=True), payload.CLOSE]
        self.owned = connection = http_errors.open_connection(engine, self.environ["REMOTE_ADDR"])
        if not await engine.open_session(connection, self.environ):
            raise http_errors.unauthorized()
        self.owned = None
        if connection.outbox is None:
            raise SessionClosed
        engine.opened.increment("polling")
        cookie = engine.cookie_header(connection)
        if cookie is not None:
            self.add_header("Set-Cookie", cookie)
        return [engine.greeting(connection.sid, may_upgrade=True), *connection.outbox.take()]

    async def _poll(self, connection: Connection) -> list[EncodedPacket]:
        self.owned = connection
        if self.http.stream.closed():
            self.on_connection_close()
        try:
            packets: list[EncodedPacket] = await connection.poll()
        finally:
            self.owned = None
        return packets

    def on_connection_close(self) -> None:
        """Our client is gone before it was answered: with it goes its session, as in Node."""
        connection, self.owned = self.owned, None
        if connection is not None:
            connection.posting = False
            connection.drop(self.engine.reason.TRANSPORT_ERROR)
        super().on_connection_close()

    # WebSocket

    async def _open_websocket(self) -> None:
        accept, session, engine = accept_value(self.request.headers), self.session, self.engine
        if accept is None or isinstance(self.http.stream, SSLIOStream):  # TLS ends at a proxy
            raise http_errors.bad_request()
        if session is not None:
            upgrade = Upgrade(session)
            websocket, early = self._detached(upgrade)
            if websocket is not None:
                websocket.send(switching_protocols(accept))
                upgrade.begin(websocket, early)
            return
        connection = http_errors.open_connection(engine, self.environ["REMOTE_ADDR"])
        if not await engine.open_session(connection, self.environ):
            raise http_errors.unauthorized()
        websocket, early = self._detached(connection)
        if websocket is None:
            connection.drop(engine.reason.TRANSPORT_CLOSE)
            return
        engine.opened.increment("websocket")
        greeting = engine.greeting(connection.sid)
        websocket.send(switching_protocols(accept, engine.cookie_header(connection)) + greeting.frame)
        connection.use_websocket(websocket)
        websocket.start(early)

    def _detached(self, owner: WebSocketListener) -> tuple[WebSocket | None, bytes]:
        """The WebSocket on the socket that was Tornado's, and what was read of it.

        None if the client is gone.
        """
        stream: IOStream = self.detach()
        try:
            sock, early = take_socket(stream)
        except (OSError, StreamClosedError):
            stream.close()
            return None, b""
        return WebSocket(sock, owner, self.engine.lingering), early

    # Answers

    def _was_refused(self) -> bool:
        """The request was refused; afterwards that is answered too."""
        if self.refusal is None:
            return False
        if not self._finished:
            self._answer(self.refusal)
        return True

    def _answer(self, refusal: Refused) -> None:
        body = json.dumps({"code": refusal.code, "message": refusal.message}).encode()
        if refusal.retry_after_seconds:
            self.set_header("Retry-After", str(refusal.retry_after_seconds))
        self._send(refusal.status, "application/json", body)

    def _send_packets(self, packets: list[EncodedPacket]) -> None:
        body = encode_payload(packets)
        engine = self.engine
        if engine.http_compression and len(body) >= engine.compression_threshold:
            accepted = self.request.headers.get("Accept-Encoding", "")
            if "gzip" in [token.partition(";")[0].strip() for token in accepted.split(",")]:
                body = engine._gzip(body)
                self.set_header("Content-Encoding", "gzip")
        self._send(200, "text/plain; charset=UTF-8", body)

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        if self.http.stream.closed():
            return
        self._set_headers()
        self.set_header("Content-Type", content_type)
        self.set_status(status)
        self.finish(body)

    def _set_headers(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.clear_header("Server")
        if self.engine.is_handing_over and (self.session is None or self.session.closing):
            self.http._disconnect_on_finish = True  # the next request goes to the next process; Tornado says so
        for name, value in self.cors_headers:
            self.set_header(name, value)
        if self.engine.cors_allowed_origins != []:
            self.set_header("Vary", "Origin")

    def compute_etag(self) -> None:
        return None

    def check_xsrf_cookie(self) -> None:
        """Not ours to check: a session is named by its sid, which no other site can know."""

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """One line, as for any failure; Tornado would print a traceback and the query with the sid."""
        if value is not None and not isinstance(value, HTTPError):
            report("realtime request", value)

    def write_error(self, status_code: int, **_details: Any) -> None:
        self._answer(Refused(status_code, 3, self._reason))

    def _log(self) -> None:
        """Not in Tornado's access log: the query holds the sid, which is as good as a password."""
        if "log_function" in self.application.settings:  # what the application does with it is its own affair
            super()._log()


def handler_for(engine: EngineServer) -> type[RealtimeHandler]:
    """The handler class to mount for `engine`."""
    return type("Handler", (RealtimeHandler,), {"engine": engine})
