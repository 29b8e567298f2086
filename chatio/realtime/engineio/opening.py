"""From a request to a session: which client may ask, which session is meant, how it gets its WebSocket.

Two ways lead here. Tornado reads most requests, and handler.py answers them. A request for a WebSocket that comes
whole, with nothing odd about it, is read right from its socket: `take_websocket` needs no stream, no parser object
and no task, and costs a third of the other way (docs/performance.md).
"""

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tornado.httputil import HTTPHeaders

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
from chatio.server.http.stream import MAX_FIELDS
from chatio.server.lifecycle import Phase
from chatio.throttling.client_ip import address_of

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
# Headers of a body, or of a client that waits for an answer before it sends one; and of a connection that is to
# become another.
_BODY_HEADERS: Final = ("Content-Length", "Transfer-Encoding", "Expect")
_NOT_PLAIN: Final = ("Transfer-Encoding", "Expect", "Upgrade")


@dataclass(slots=True)
class Request:
    """A request without its body."""

    method: str
    target: str
    headers: Mapping[str, str]  # HTTPHeaders, or with names as Tornado writes them: "Sec-Fetch-Site"
    address: str  # of the client
    scheme: str = "http"

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
        if session.draw().must_wait:
            raise HandshakeError(http_errors.TOO_MANY_REQUESTS)
        session.draw().charge(UPGRADE_STEPS)
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
    if session is not None:
        Upgrade(connection, websocket).begin(answer, early)
    else:
        try:
            connection.use_websocket(websocket, answer + message_frame(engine.greeting(connection.sid)))
            engine.begin(connection, environ)
            websocket.start(early)
        except Exception:  # it may have no timeout that would end it, and counts as open
            websocket.abort()
            connection.drop(DisconnectReason.TRANSPORT_ERROR)
            raise


def take_websocket(engine: EngineServer, sock: socket.socket, peer: str, data: bytes) -> bool:
    """Make `sock` a WebSocket if `data`, its first bytes, are a request for one that is let in.

    False: nothing was done, and Tornado is to read the request. It answers whatever is odd or refused.
    """
    request = _read_upgrade(engine, peer, data)
    if request is None:
        return False
    try:
        session, is_websocket = find_session(engine, request, cors_headers(engine, request))
    except Exception:  # whichever: the other way comes to it again, and answers
        return False
    if not is_websocket:
        return False
    early = data[data.index(b"\r\n\r\n") + 4 :]
    try:
        open_websocket(engine, request, session, lambda: (sock, early))
    except HandshakeError:
        return False
    return True


def read_polling(
    engine: EngineServer, peer: str, data: bytes
) -> tuple[Request, Connection | None, dict[str, str], bytes] | None:
    """The polling request that `data` is; its session, the headers for the page it comes from, and its body.

    None: nothing was done, and Tornado is to read it. It answers whatever is odd or refused.
    """
    if data.find(b"transport=polling", 0, data.find(b"\r")) < 0 or (parts := _read_head(data)) is None:
        return None
    method, target, fields, body = parts
    headers = {name.title(): value for name, value in fields}
    is_post = method == "POST"
    is_whole = headers.get("Content-Length", "" if is_post else "0") == str(len(body)) and (is_post or not body)
    is_kept = headers.get("Connection", "keep-alive").lower() == "keep-alive"
    if len(headers) != len(fields) or not (is_whole and is_kept) or any(name in headers for name in _NOT_PLAIN):
        return None
    if not PLAIN_HOST.fullmatch(headers.get("Host", "")):
        return None
    request = Request(method, target, headers, address_of(peer, headers, engine.trusted_proxies))
    try:
        cors = cors_headers(engine, request)
        session, is_websocket = find_session(engine, request, cors)
    except Exception:  # whichever: the other way comes to it again, and answers
        return None
    if is_websocket or (session is not None and is_post and not admission.may_post(session, len(body))):
        return None
    return request, session, cors, body


def _read_upgrade(engine: EngineServer, peer: str, data: bytes) -> Request | None:
    if (parts := _read_head(data)) is None or parts[0] != "GET":
        return None
    _, target, fields, _ = parts
    headers = HTTPHeaders(dict(fields))
    if len(headers) != len(fields) or any(name in headers for name in _BODY_HEADERS):
        return None
    if not PLAIN_HOST.fullmatch(headers.get("Host", "")):
        return None
    return Request("GET", target, headers, address_of(peer, headers, engine.trusted_proxies))


def _read_head(data: bytes) -> tuple[str, str, list[tuple[str, str]], bytes] | None:
    """Method, target and headers of the request that `data` begins with, and what follows; None: it is odd."""
    line, end = _REQUEST_LINE.match(data), data.find(b"\r\n\r\n")
    if line is None or end < 0:
        return None
    head = data[line.end() : end + 2].decode("latin-1")
    fields = _FIELD.findall(head)
    is_whole = sum(len(name) + len(value) + len(": \r\n") for name, value in fields) == len(head)
    if not is_whole or len(fields) > MAX_FIELDS:
        return None
    return line[1].decode(), line[2].decode(), fields, data[end + 4 :]
