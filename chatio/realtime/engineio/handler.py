"""HTTP endpoint of Engine.IO: the handshake, polling, and the way to a WebSocket.

A delegate of Tornado's HTTP connection, and no `RequestHandler`: what a request needs is its method, its query and
a few of its headers. That takes a third of the time of a handler (docs/performance.md).
"""

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    format_timestamp,
)
from tornado.iostream import SSLIOStream

from chatio.realtime.close_reasons import protocol_violation
from chatio.realtime.engineio import admission, http_errors
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.http_errors import HandshakeError, HttpError
from chatio.realtime.engineio.opening import (
    Request,
    cors_headers,
    find_session,
    open_polling,
    open_websocket,
    read_request,
)
from chatio.realtime.engineio.packets import SEPARATOR, EncodedPacket, ProtocolError, encode_payload
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.library import DisconnectReason
from chatio.realtime.limits import (
    BODY_SECONDS,
    DISCARDED_BODY_BYTES,
    HEAD_BYTES,
    PACKETS_PER_TURN,
    REQUEST_STEPS,
)
from chatio.realtime.log import report
from chatio.server.http.connection import ServerConnection
from chatio.server.http.handler import (
    GUARDING_HEADERS,
    UNBOUNDED,
    announced_bytes,
    close_after_answer,
    connection_option,
    log_foreign_page,
    take_socket,
)
from chatio.server.http.http1 import RequestConnection
from chatio.server.lifecycle import Phase
from chatio.throttling.client_ip import address_of


class Endpoint(HTTPServerConnectionDelegate):
    """The target of a URL rule for `path`, with or without a slash behind it. Event loop only."""

    def __init__(self, engine: EngineServer, path: str) -> None:
        self.engine, self.path = engine, path
        self.targets = (f"{path}/?", f"{path}?")
        self.answered: Callable[[int], None] = lambda status: None  # is told the status of each answer

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> "Exchange":
        return Exchange(self, cast(RequestConnection, request_conn))

    def take(self, connection: ServerConnection, data: bytes) -> bool:
        """Serve a request that was read right from its socket. False: Tornado is to read it, and answers."""
        engine, found = self.engine, read_request(self.engine, connection.peer, data)
        if found is None:
            return False
        request, rest = found
        if "Upgrade" not in request.headers:
            if is_plain := request.is_alone(rest) and connection.may_hold:
                exchange = Exchange(self, connection)
                if request.headers.get("Connection", "").lower() == "close":
                    close_after_answer(connection)
                exchange.begin(request, rest)
                connection.serve(exchange, len(data))
            return is_plain
        try:
            session, is_websocket = find_session(engine, request, cors_headers(engine, request))
            if is_websocket and "Content-Length" not in request.headers:
                open_websocket(engine, request, session, lambda: (connection.give_socket(), rest))
                return True
        except HandshakeError:
            pass
        return False


class Exchange(HTTPMessageDelegate):
    """One request and its answer."""

    request: Request
    body: bytearray
    version = "HTTP/1.1"
    body_bytes = 0  # arrived so far
    is_answered = False
    session: Connection | None = None  # that the request belongs to
    owned: Connection | None = None  # ends if its client leaves before the answer
    refusal: HttpError | None = None
    turn: "asyncio.Future[None] | None" = None  # that the request waits for

    def __init__(self, endpoint: Endpoint, http: RequestConnection | ServerConnection) -> None:
        self.endpoint, self.engine, self.http = endpoint, endpoint.engine, http
        self.more_headers: dict[str, str] = {}  # of the answer

    # Before the body

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> None:
        http, line = cast(RequestConnection, self.http), cast(RequestStartLine, start_line)
        if http.stream.closed():  # a client that pipelined requests is gone: Tornado would go through all of them
            http.detach()
            return
        http.set_close_callback(self.on_connection_close)
        self.version = line.version
        context: Any = http.context
        address = address_of(context.remote_ip, headers, self.engine.trusted_proxies)
        if not self.begin(Request(line.method, line.path, headers, address, context.protocol)):
            http.set_max_body_size(UNBOUNDED)  # `data_received` counts
            http.set_body_timeout(BODY_SECONDS)

    def begin(self, request: Request, body: bytes = b"") -> bool:
        """Find out what `request` is for. True: a WebSocket took it."""
        self.request, self.body = request, bytearray(body)  # never longer than the session's `max_input_bytes`
        try:
            return self._admit()
        except HandshakeError as refusal:
            self._refuse(refusal.error)
        except Exception as error:
            self._fail(error)
        return False

    def _admit(self) -> bool:
        """Find the session that the request belongs to. True: a WebSocket took it. Raises HandshakeError."""
        engine, request = self.engine, self.request
        self.more_headers = cors = cors_headers(engine, request)
        if request.method == "OPTIONS":
            return False
        self.session, is_websocket = find_session(engine, request, cors)
        if is_websocket:
            http = cast(RequestConnection, self.http)
            if isinstance(http.stream, SSLIOStream):  # TLS ends at a proxy
                raise HandshakeError(http_errors.NO_WEBSOCKET)
            open_websocket(engine, request, self.session, lambda: take_socket(http.detach()))
            return True
        if request.method == "POST" and self.session is not None:
            admission.begin_post(self.session, announced_bytes(request.headers))
        self.owned = self.session
        return False

    def _refuse(self, refusal: HttpError) -> None:
        """Refuse; the answer goes out when the body has arrived, unless that is too much to discard."""
        self.refusal = refusal
        self.body.clear()
        if refusal is http_errors.FORBIDDEN:
            log_foreign_page(self.request.headers.get("Origin"), self.request.address)
        self.engine.refused(self.request.address, refusal.reason)
        if announced_bytes(self.request.headers) > DISCARDED_BODY_BYTES:
            self._answer_early()

    def _fail(self, error: Exception) -> None:
        report("realtime request", error)
        self.refusal = http_errors.FAILED

    # The body

    def data_received(self, chunk: bytes) -> None:
        self.body_bytes += len(chunk)
        if self.refusal is None:
            if self.owned is None or self.request.method != "POST":  # only a POST to a session has a body
                self.owned = None
                self._refuse(http_errors.BAD_REQUEST)
            elif self.body_bytes <= self.owned.max_input_bytes:
                self.body += chunk
                return
            else:
                self.owned.refuse(protocol_violation("polling body size"))
                self._refuse(http_errors.TOO_LARGE)
        if self.body_bytes > DISCARDED_BODY_BYTES:
            self._answer_early()

    def _answer_early(self) -> None:
        """Answer before the body has arrived; Tornado closes the connection then."""
        if self.refusal is not None and not self.is_answered:
            close_after_answer(self.http)
            self._answer(self.refusal)

    # The answer

    def finish(self) -> None:
        """The request has arrived: it is answered in its turn."""
        if self.http.is_gone:
            self.on_connection_close()
            return
        budget = self.engine.strangers.of(self.request.address) if self.session is None else self.session.budget
        self.turn = budget.turn(REQUEST_STEPS)
        if self.turn.done():
            self._respond()
        else:
            self.turn.add_done_callback(lambda _: self._respond())

    def _respond(self) -> None:
        if self.http.is_gone:
            return
        if self.refusal is not None:
            self._answer(self.refusal)
        elif self.request.method == "OPTIONS":
            self._send(204)
        elif self.session is not None:
            self.engine.spawn(self._serve(self.session))
        else:
            try:
                self._send_packets(open_polling(self.engine, self.request))
            except Exception as error:
                self._answer_error(error)

    async def _serve(self, session: Connection) -> None:
        """Answer a POST or a poll, as soon as there is an answer."""
        try:
            if self.request.method == "POST":
                await self._post(session)
            else:
                self._send_packets(await session.poll())
        except Exception as error:
            self._answer_error(error)
        finally:
            self.owned = None

    async def _post(self, connection: Connection) -> None:
        """Hand over the packets of a body, and answer it. Raises HandshakeError."""
        self.owned = None
        try:
            if connection.closing:
                raise HandshakeError(http_errors.UNKNOWN_SESSION)
            body = bytes(self.body)
            for count, raw in enumerate(body.decode().split(SEPARATOR), 1):
                connection.receive(raw)
                if count % PACKETS_PER_TURN == 0:
                    await connection.budget.turn(connection.received.take_steps())
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

    def _answer_error(self, error: Exception) -> None:
        if isinstance(error, HandshakeError):
            self._refuse(error.error)
        else:
            self._fail(error)
        if self.refusal is not None and not self.is_answered:
            self._answer(self.refusal)

    def _send_packets(self, output: list[EncodedPacket]) -> None:
        if output:
            self._send(200, "text/plain; charset=UTF-8", encode_payload(output))
        else:
            self._answer(http_errors.UNKNOWN_SESSION)

    def _answer(self, refusal: HttpError) -> None:
        self.more_headers |= refusal.headers
        self._send(refusal.status, "application/json", refusal.body)

    def _send(self, status: int, content_type: str = "", body: bytes = b"") -> None:
        http, engine = self.http, self.engine
        if http.is_gone:
            return
        self.is_answered = True
        if engine.lifecycle.phase is Phase.HANDING_OVER and (self.session is None or self.session.closing):
            close_after_answer(http)  # the next request goes to the next process
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Date: {format_timestamp(time.time())}"]
        if option := connection_option(http, self.version):
            lines.append(f"Connection: {option}")
        if content_type:
            lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
        if engine.cors_allowed_origins != []:
            lines.append("Vary: Origin")
        lines += [f"{name}: {value}" for name, value in (GUARDING_HEADERS | self.more_headers).items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        http.answer(head if self.request.method == "HEAD" else head + body)
        self.endpoint.answered(status)
