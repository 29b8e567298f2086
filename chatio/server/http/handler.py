"""Base of every HTTP handler: bounded bodies, the headers of every answer, one place for failures.

Tornado's private names that handlers need are used here only. Those, and the ones that reading HTTP/1.1 needs, are
pinned by tests/unit/server/test_tornado_pins.py.
"""

import logging
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import ClassVar, Final, Protocol, cast

from tornado.http1connection import HTTP1Connection
from tornado.iostream import IOStream
from tornado.web import RequestHandler, stream_request_body

from chatio.throttling.origins import shown

HTTP_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

logger = logging.getLogger("chatio.http")

# On every answer: it is not kept, and its type is not guessed.
GUARDING_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

UNBOUNDED: Final = 2**63  # what Tornado is told: its own limit answers without our headers


def announced_bytes(headers: Mapping[str, str]) -> int:
    """Content-Length; 0 for a body that comes in chunks, and for a header that Tornado will reject."""
    length = headers.get("Content-Length", "0")
    return int(length[:20]) if length.isascii() and length.isdigit() else 0


class Connection(Protocol):
    """What is below a request: Tornado's `HTTP1Connection`, or a `ServerConnection`."""

    _disconnect_on_finish: bool


def close_after_answer(http: Connection) -> None:
    """The next request of this client is to open a new connection, and the answer says so."""
    http._disconnect_on_finish = True


def connection_option(http: Connection, version: str) -> str | None:
    """What the Connection header of an answer to a request of this HTTP version says, if it has one."""
    is_old = version == "HTTP/1.0"
    if http._disconnect_on_finish:
        return None if is_old else "close"
    return "Keep-Alive" if is_old else None


def take_socket(stream: IOStream) -> tuple[socket.socket, bytes]:
    """The socket of `stream`, which is closed, and what the stream had read already. Raises OSError."""
    try:
        sock: socket.socket = stream.socket.dup()
        sock.setblocking(False)
        return sock, bytes(stream._read_buffer)  # `read_bytes` would ask the kernel for more
    finally:
        stream.close()


def log_foreign_page(origin: str | None, address: str) -> None:
    """Log that a request of a client at `address` is refused for its Origin, which the line names."""
    logger.info(
        "Origin %s is not in CLIENT_URL: request from %s was refused",
        shown(origin),
        address,
        extra={"event": "origin_refused", "origin": shown(origin), "address": address},
    )


@stream_request_body
class BoundedBodyHandler(RequestHandler):
    """Counts a request's body as it arrives, and holds no more of it than `max_body_bytes`.

    The rest of a body that is too large is discarded, so that its client sees the answer: a connection that is
    closed with unread data is reset, and many clients then lose the answer. Past `MAX_DISCARDED_BYTES` the handler
    answers at once, and Tornado closes the connection.

    A subclass calls `bound_body` in `prepare`, and overrides `body_too_large` and `body_too_large_to_discard`.
    """

    MAX_DISCARDED_BYTES: ClassVar[int] = 1024 * 1024  # of one body in all

    max_body_bytes: int = 0  # 0: its requests have no body
    body: bytes | bytearray = b""  # never longer than that
    body_bytes: int = 0  # arrived so far
    is_body_too_large: bool = False

    @classmethod
    def methods(cls) -> list[str]:
        """The HTTP methods that this handler has, besides OPTIONS."""
        return [name for name in HTTP_METHODS if getattr(cls, name.lower()) is not cls._unimplemented_method]

    @property
    def http(self) -> HTTP1Connection:
        """The connection below the request; Tornado's servers have no other kind."""
        return cast(HTTP1Connection, self.request.connection)

    # The body

    def bound_body(self) -> None:
        """Take over from Tornado the counting of the body."""
        self.http.set_max_body_size(UNBOUNDED)

    def body_too_large(self) -> None:
        """Called once, when the body exceeds its limit; the rest is discarded."""

    def body_too_large_to_discard(self) -> None:
        """Called when the body exceeds `MAX_DISCARDED_BYTES`, and the handler has not answered yet: answer now."""

    @property
    def announced_body_bytes(self) -> int:
        return announced_bytes(self.request.headers)

    @property
    def is_announced_too_large(self) -> bool:
        """The body will be too large to discard; or over the limit, and the client waits for a 100 (Continue)."""
        most = self.max_body_bytes if "Expect" in self.request.headers else self.MAX_DISCARDED_BYTES
        return self.announced_body_bytes > most

    @property
    def body_is_complete(self) -> bool:
        return self.request._body_future.done()

    def discard_body(self) -> None:
        """Hold nothing of the body, from now on."""
        self.is_body_too_large = True
        self.body = b""

    def data_received(self, chunk: bytes) -> None:
        self.body_bytes += len(chunk)
        if not self.is_body_too_large:
            if self.body_bytes <= self.max_body_bytes:
                if not self.body:
                    self.body = bytearray()
                self.body += chunk
                return
            self.discard_body()
            self.body_too_large()
        if self.body_bytes > self.MAX_DISCARDED_BYTES and not self.is_answered:
            self.body_too_large_to_discard()

    # The answer

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in GUARDING_HEADERS.items():
            self.set_header(name, value)

    def close_after_answer(self) -> None:
        """The next request of this client is to open a new connection, and the answer says so."""
        close_after_answer(self.http)

    @property
    def is_answered(self) -> bool:
        return self._finished

    def compute_etag(self) -> str | None:
        """No ETag: answers are not kept."""
        return None

    # Failures

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Log nothing: Tornado's line would hold a traceback and the query. `write_error` reports what is due."""
