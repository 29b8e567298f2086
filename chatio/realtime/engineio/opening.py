"""From a request to a session: which client may ask, which session is meant, how it gets its WebSocket.

Two ways lead here. A request that comes whole, with nothing odd about it, is read right from its socket:
`read_request` needs no stream, no parser object and no task, and costs a third of the other way
(docs/performance.md). Tornado reads all others.
"""

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from chatio.realtime.engineio import admission, http_errors, packets
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.http_errors import HandshakeError
from chatio.realtime.engineio.packets import EncodedPacket, encode
from chatio.realtime.engineio.poll_queue import PollQueue
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.engineio.upgrade import Upgrade
from chatio.realtime.library import DisconnectReason
from chatio.realtime.limits import UPGRADE_STEPS
from chatio.realtime.websocket.frames import message_frame, switching_protocols
from chatio.realtime.websocket.transport import WebSocket
from chatio.server.http.connection import PLAIN_HOST
from chatio.server.http.http1 import MAX_ARGUMENTS
from chatio.server.http.stream import MAX_FIELDS
from chatio.server.lifecycle import Phase
from chatio.throttling.client_ip import ADDRESS_HEADERS, address_of

# What of a handshake's headers the origin check and connect handlers are given, as a WSGI environ names it.
_HEADERS: Final = {
    name: f"HTTP_{name.upper().replace('-', '_')}"
    for name in (
        *("Host", "Origin", "Sec-Fetch-Site", "X-Forwarded-Proto", "X-Forwarded-Host"),
        "Access-Control-Request-Headers",
    )
}
# A request line in origin-form (RFC 9112, 3.2.1), and a header as clients write it: one of another form, or two of
# one name, are for Tornado's parser.
_REQUEST_LINE: Final = re.compile(rb"(GET|POST) (/[!-~]*) HTTP/1\.1\r\n")
_FIELD: Final = re.compile(r"^([A-Za-z0-9-]+): ([!-~](?:[ -~]*[!-~])?)\r\n", re.MULTILINE)
# Headers of a body without a length, or of a client that waits for an answer before it sends one.
_ODD_HEADERS: Final = frozenset({"Transfer-Encoding", "Expect"})


@dataclass(slots=True)
class Request:
    """A request without its body."""

    method: str
    target: str
    headers: Mapping[str, str]  # HTTPHeaders, or with names as Tornado writes them: "Sec-Fetch-Site"
    address: str  # of the client
    scheme: str = "http"

    def is_alone(self, rest: bytes) -> bool:
        """`rest`, which followed the head, is the body, if the request may have one."""
        is_whole = self.headers.get("Content-Length", "0") == str(len(rest))
        is_plain = self.headers.get("Connection", "close").lower() in ("keep-alive", "close")
        return is_whole and is_plain and (not rest or self.method == "POST")

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def environ(self) -> dict[str, Any]:
        """The request for connect handlers and `get_environ`; the library keeps some thirty entries of each."""
        headers = self.headers
        environ: dict[str, Any] = {
            "wsgi.url_scheme": headers.get("X-Forwarded-Proto", self.scheme),
            "REQUEST_METHOD": self.method,
            "QUERY_STRING": self.query,
            "PATH_INFO": self.target.partition("?")[0],
            "REMOTE_ADDR": self.address,
        }
        return environ | {key: headers[name] for name, key in _HEADERS.items() if name in headers}


def cors_headers(engine: EngineServer, request: Request) -> dict[str, str]:
    """The headers that let the page at the request's Origin read the answer."""
    if "Origin" not in request.headers and request.method != "OPTIONS":
        return {}
    return dict(engine._cors_headers(request.environ()))


def find_session(
    engine: EngineServer, request: Request, cors: Mapping[str, str]
) -> tuple[Connection | None, bool]:
    """The session that a request belongs to, None for a handshake, and whether it asks for a WebSocket.

    Raises HandshakeError, also for a page of another site: by its Origin, or, without one, by Sec-Fetch-Site.
    """
    headers = request.headers
    is_program = "Origin" not in headers and headers.get("Sec-Fetch-Site") != "cross-site"
    if not is_program and "Access-Control-Allow-Origin" not in cors and engine.cors_allowed_origins != []:
        raise HandshakeError(http_errors.FORBIDDEN)
    upgrade = headers.get("Upgrade", "")
    return admission.find_session(
        request.method, request.query, upgrade, engine.sockets, engine.lifecycle, sid_prefix=engine.sid_prefix
    )


def open_polling(engine: EngineServer, request: Request) -> list[EncodedPacket]:
    """Open a session, and return its first packets. Raises HandshakeError."""
    if engine.lifecycle.phase is Phase.HANDING_OVER:
        # The client's polls may be new connections, which are the next process's: there is no session. Without
        # an upgrade on offer python-socketio's client would take that for the end.
        return [encode(engine.greeting(engine.generate_id(), may_upgrade=True)), packets.CLOSE]
    connection = engine.admit(request.address)
    connection.poll_queue = queue = PollQueue()
    queue.put(encode(engine.greeting(connection.sid, may_upgrade=True)))
    try:
        engine.begin(connection, request.environ())
    except Exception:  # as below
        connection.drop(DisconnectReason.TRANSPORT_ERROR)
        raise
    return queue.take_some()


def open_websocket(
    engine: EngineServer,
    request: Request,
    session: Connection | None,
    take: Callable[[], tuple[socket.socket, bytes]],
) -> None:
    """Open a WebSocket for `session`, which is upgraded, or for a new one. Raises HandshakeError.

    `take` is called for a request that is let in: it gives the socket, and what its client sent behind the
    request, or raises OSError.
    """
    answer = switching_protocols(request.headers)
    if session is not None:
        if session.budget.must_wait:
            raise HandshakeError(http_errors.TOO_MANY_REQUESTS)
        session.budget.charge(UPGRADE_STEPS)
    if answer is None:
        raise HandshakeError(http_errors.NO_WEBSOCKET)
    connection = session or engine.admit(request.address)
    environ = request.environ() if session is None else {}
    # OkHttp stops reading at a close frame, and the official Java client then notices nothing for 45 s. Apps write
    # their own name before OkHttp's.
    is_okhttp = "okhttp" in request.headers.get("User-Agent", "").lower()
    try:
        sock, early = take()
        websocket = WebSocket(sock, engine.lingering, sends_close=not is_okhttp)
    except OSError:  # the client is gone
        if session is None:
            connection.drop(DisconnectReason.TRANSPORT_CLOSE)
        return
    try:
        if session is not None:
            Upgrade(connection, websocket).begin(answer, early)
        else:
            connection.use_websocket(websocket, answer + message_frame(engine.greeting(connection.sid)))
            engine.begin(connection, environ)
            websocket.start(early)
    except Exception:
        websocket.abort()
        if session is None:  # it may have no timeout that would end it, and counts as open
            connection.drop(DisconnectReason.TRANSPORT_ERROR)
        raise


def read_request(engine: EngineServer, peer: str, data: bytes) -> tuple[Request, bytes] | None:
    """The request that `data` begins with, and what follows its head. None: something about it is odd."""
    line, end = _REQUEST_LINE.match(data), data.find(b"\r\n\r\n")
    if line is None or end < 0 or line[2].count(b"&") >= MAX_ARGUMENTS:
        return None
    head = data[line.end() : end + 2].decode("latin-1")
    fields = _FIELD.findall(head)
    headers = {name.title(): value for name, value in fields}
    is_whole = sum(map(len, chain(*fields))) + len(fields) * len(": \r\n") == len(head)
    if not is_whole or len(headers) != len(fields) or len(fields) > MAX_FIELDS:
        return None
    if not PLAIN_HOST.fullmatch(headers.get("Host", "")) or not _ODD_HEADERS.isdisjoint(headers):
        return None
    is_direct = ADDRESS_HEADERS.isdisjoint(headers)
    address = peer if is_direct else address_of(peer, headers, engine.trusted_proxies)
    return Request(line[1].decode(), line[2].decode(), headers, address), data[end + 4 :]
