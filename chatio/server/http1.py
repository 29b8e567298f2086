"""HTTP/1.1 as it comes in: Tornado's parser, with what RFC 9112 demands and Tornado 6.6 does not do.

    input                                             Tornado                   here
    absolute-form target (3.2.2)                      404                       read; its host replaces Host
    a target longer than the limit (3)                closed unanswered         414
    a head larger than the limit (RFC 6585, 5)        closed unanswered         431
    a head or body that does not arrive in time       closed unanswered         408
    a head or body that is malformed (2.2, 6.3)       a bare 400                400 with a body and CORS headers
    chunk extensions, trailers (7.1.1, 7.1.2)         400                       read, and thrown away
    Transfer-Encoding in HTTP/1.0 (6.1)               read                      400
    `Connection: close` among other options (9.6)     kept open                 closed after the answer
    `Expect: 100-Continue` in any case (RFC 9110)     waits for the body        100

Everything else is Tornado's; tests/unit/server/test_tornado_pins.py pins what it has private and is used here.
"""

import asyncio
import contextlib
import logging
import re
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, NamedTuple, TypeVar, cast

import msgspec
from tornado import gen
from tornado.concurrent import Future
from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httputil import (
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
    format_timestamp,
)
from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError

from chatio.errors import (
    ChatioError,
    FieldError,
    HeadTooLarge,
    InvalidInput,
    RateLimited,
    RequestTimeout,
    TargetTooLong,
    answer_to,
)
from chatio.server.held_input import HeldInput
from chatio.throttling.client_ip import TrustedProxies, client_address, is_trusted, rate_limit_key

# Node's limit (`--max-http-header-size`), and twice nginx's usual 8 KiB: every cookie of localhost fits.
MAX_HEAD_BYTES: Final = 16 * 1024
# Apache's `LimitRequestFields`. A field takes 3 µs to read: 16 KiB of the shortest ones took 10 ms.
MAX_FIELDS: Final = 100
# Of a chunked body: the lines around its chunks, together. Go's limit for chunk extensions and trailers.
MAX_CHUNK_LINES_BYTES: Final = 16 * 1024

# What the kernel holds and a client does not take for so long ends the connection (tcp(7)). Not on macOS.
_USER_TIMEOUT: Final = getattr(socket, "TCP_USER_TIMEOUT", None)

# A refused connection is read for so long and so far, so that its client sees the answer and no reset.
LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 1024 * 1024
# So many at a time, since each has a file that counts for no address; past it the connection is closed at once.
MAX_LINGERING: Final = 16

_TORNADOS_400: Final = b"HTTP/1.1 400 Bad Request\r\n\r\n"
_FORWARDED_FOR: Final = re.compile(rb"\nX-Forwarded-For[ \t]*:([^\r\n]*)", re.IGNORECASE)
_UPGRADE: Final = re.compile(rb"\nUpgrade[ \t]*:", re.IGNORECASE)
_END_OF_HEAD: Final = re.compile(rb"\n\r?\n")
_SCHEME: Final = re.compile(r"(?:http|ws)s?:", re.IGNORECASE)
_ABSOLUTE_FORM: Final = re.compile(r"(?:http|ws)s?://([^/?#@ ]+)((?:[/?][^# ]*)?) ([^ ]+)", re.IGNORECASE)
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[^\r\n]*)?\r\n")
_CHUNK_COST: Final = 1024  # as Tornado counts: each chunk as so many bytes
_BYTES_PER_TURN: Final = 64 * 1024  # of a body; then other connections have their turn

# What a request costs, in steps of about 3 µs: its first byte, its whole head, and so many bytes of chunks; more
# where its connection is new, and where a WebSocket is opened and closed again.
_BEGIN_STEPS: Final = 30
_HEAD_STEPS: Final = 60
_CHUNKS_STEPS: Final = 256
_ACCEPT_STEPS: Final = 40
_UPGRADE_STEPS: Final = 200
# Read at a time. Nearly every head fits, and a connection that waits holds little of the requests behind it.
_READ_BYTES: Final = 4 * 1024
# Of one request, what counts as held; more of a body is thrown away, or its client is signed in.
_MAX_HELD_BYTES: Final = MAX_HEAD_BYTES + _READ_BYTES

MALFORMED: Final = InvalidInput(FieldError("request", "The request is malformed."))

_QUIET: Final = (StreamClosedError, HTTPInputError)  # of a read that is no longer waited for

T = TypeVar("T")
# Ends when the client at an address may make the server do so many steps.
Turns = Callable[[str, int], "asyncio.Future[None]"]

logger = logging.getLogger("chatio.http")


class Deadlines(NamedTuple):
    """How long a connection waits for its client, in seconds. Of bodies: Tornado's `body_timeout`."""

    # For the first byte on a new connection, and for the rest of a head. nginx's `client_header_timeout` in
    # deploy/nginx.conf; Apache's `RequestReadTimeout header=20`.
    first_byte: float = 20.0
    head: float = 20.0
    # For the next request. Longer than load balancers keep an idle connection, so that none sends a request into
    # one that is being closed: AWS's ALB 60 s, Azure's 240 s, GCP's 600 s.
    idle: float = 650.0
    # For the client to take what the kernel holds of an answer. nginx's `send_timeout`.
    unread: float = 60.0


class Refusals:
    """Answers requests that no handler sees, and closes their connections. Event loop only."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        """`headers` stand on each answer, such as those of CORS."""
        self._headers = headers
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """The number of connections that are being answered."""
        return len(self._tasks)

    def refuse(self, sock: socket.socket, address: str, error: ChatioError) -> None:
        """Answer `error` over `sock`, a descriptor of our own, and close it."""
        answer = answer_to(error)
        logger.info(
            "Bad request from %s: answered %d",
            address,
            answer.status,
            extra={"event": "bad_request", "address": address, "status": answer.status, "reason": answer.code},
        )
        data = self._bytes_of(error)
        if len(self._tasks) >= MAX_LINGERING:
            with sock, contextlib.suppress(OSError):
                sock.send(data)
            return
        task = asyncio.get_running_loop().create_task(_dismiss(sock, data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _bytes_of(self, error: ChatioError) -> bytes:
        answer = answer_to(error)
        body: dict[str, Any] = {"message": answer.message}
        if isinstance(error, InvalidInput):
            body["errors"] = error.errors
        encoded = msgspec.json.encode(body)
        lines = [
            f"HTTP/1.1 {answer.status} {answer.code.replace('_', ' ').capitalize()}",
            "Content-Type: application/json; charset=utf-8",
            f"Content-Length: {len(encoded)}",
            f"Date: {format_timestamp(time.time())}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in self._headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode("ascii") + encoded


async def _dismiss(sock: socket.socket, answer: bytes) -> None:
    loop = asyncio.get_running_loop()
    with sock:
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await loop.sock_sendall(sock, answer)
                sock.shutdown(socket.SHUT_WR)
                left = LINGER_BYTES
                while left > 0 and (discarded := await loop.sock_recv(sock, 64 * 1024)):
                    left -= len(discarded)
        except (OSError, TimeoutError):  # the client is gone, or stays
            return


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the connections of a server share."""

    refusals: Refusals
    deadlines: Deadlines = field(default_factory=Deadlines)
    turns: Turns | None = None
    trusted: TrustedProxies = field(default_factory=TrustedProxies)
    held: HeldInput = field(default_factory=HeldInput)


class HttpStream(IOStream):
    """The bytes of one connection. Reads heads within their limits, and answers where a limit is exceeded.

    The client's address pays for each request: of a trusted proxy's once its head has told that.
    """

    def __init__(self, plain: IOStream, peer: str, terms: Terms) -> None:
        """`plain`: the stream that Tornado made of the connection from `peer`; nothing was read of it."""
        super().__init__(plain.socket, max_buffer_size=plain.max_buffer_size, read_chunk_size=_READ_BYTES)
        self._peer = peer
        self._terms = terms
        self._is_proxy = is_trusted(peer, terms.trusted)
        self._payer = peer
        self._key = rate_limit_key(peer)  # of the payer
        self._held_bytes = 0
        self._turn: asyncio.Future[None] | None = None  # that the client waits for
        self._has_user_timeout = False
        self._is_new = self._is_in_head = True
        self._has_answer = False  # to the current request, or a part of one

    async def read_until_regex(self, regex: bytes, max_bytes: int | None = None) -> bytes:
        """A head: Tornado asks for it so, and for nothing else.

        Raises StreamClosedError for a connection that stays idle, and for a head that is too large or too slow,
        which is answered.
        """
        deadlines, is_new = self._terms.deadlines, self._is_new
        self._is_new = self._has_answer = False
        self._is_in_head = True
        self._begin_request()
        loop = asyncio.get_running_loop()
        timeout = loop.call_later(deadlines.first_byte if is_new else deadlines.idle, self.close)
        try:
            head = await self.read_bytes(1)
            timeout.cancel()
            if not self._is_proxy:
                await self.take_turn(_BEGIN_STEPS + is_new * _ACCEPT_STEPS)
            timeout = loop.call_later(deadlines.head, self.refuse, RequestTimeout())
            head += await super().read_until_regex(_END_OF_HEAD.pattern, max_bytes=MAX_HEAD_BYTES - 1)
        finally:
            timeout.cancel()
        if self._is_proxy:
            self._pay_as(client_address(self._peer, _forwarded_for(head), self._terms.trusted))
        begun = _BEGIN_STEPS if self._is_proxy else 0
        await self.take_turn(begun + _HEAD_STEPS + (_UPGRADE_STEPS if _UPGRADE.search(head) else 0))
        if head.strip(b"\r\n").count(b"\n") > MAX_FIELDS:
            self.refuse(HeadTooLarge())
            raise StreamClosedError
        self._is_in_head = False
        return head

    def _begin_request(self) -> None:
        """Nothing is held any more but what was read of this request and the next ones."""
        self._hold(self._read_buffer_size - self._held_bytes)
        self._pay_as(self._peer)

    def _pay_as(self, address: str) -> None:
        if address != self._payer:
            held = self._held_bytes
            self._hold(-held)
            self._payer, self._key = address, rate_limit_key(address)
            self._hold(held)

    def _hold(self, size_bytes: int) -> None:
        if size_bytes:
            self._held_bytes += size_bytes
            self._terms.held.add(self._key, size_bytes)

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        size = super().read_from_fd(buf)
        if size and self._held_bytes < _MAX_HELD_BYTES:
            self._hold(size)
            # A proxy's own connections hold what its clients sent, each until its head is whole.
            if not (self._is_proxy and self._payer == self._peer) and self._terms.held.is_too_much(self._key):
                asyncio.get_running_loop().call_soon(self.refuse, RateLimited(retry_after_seconds=1))
        return size

    async def take_turn(self, steps: int) -> None:
        """Return when the client may make the server do `steps`. Raises StreamClosedError if it has gone."""
        if self._terms.turns is not None:
            self._turn = self._terms.turns(self._payer, steps)
            await self._turn
            if self.closed():
                raise StreamClosedError

    def close(self, exc_info: Any = False) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)
        self._hold(-self._held_bytes)
        super().close(exc_info)

    def refuse(self, error: ChatioError) -> None:
        """Answer `error`, unless the current request has an answer, and close the connection."""
        if not self.closed():
            self._refuse(error)
        self.close()

    def release(self) -> None:
        """The socket is another's from now on, without deadlines of HTTP."""
        if self._has_user_timeout:
            self._set_user_timeout(0)

    def _set_user_timeout(self, seconds: float) -> None:
        if _USER_TIMEOUT is not None and not self.closed() and self.socket.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):  # the client has just gone
                self.socket.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, round(seconds * 1000))

    def answers(self) -> None:
        """The current request has an answer, from now on."""
        self._has_answer = True
        if not self._has_user_timeout:
            self._has_user_timeout = True
            self._set_user_timeout(self._terms.deadlines.unread)

    def write(self, data: bytes | memoryview) -> "Future[None]":
        if data != _TORNADOS_400:
            return super().write(data)
        self.refuse(MALFORMED)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def _check_max_bytes(self, delimiter: bytes | re.Pattern[bytes], size: int) -> None:
        try:
            super()._check_max_bytes(delimiter, size)
        except UnsatisfiableReadError:  # at which Tornado closes the connection
            self._refuse(self._error_of_limit())
            raise

    def _error_of_limit(self) -> ChatioError:
        if not self._is_in_head:
            return MALFORMED
        has_line = self._read_buffer.find(b"\n", 0, MAX_HEAD_BYTES) >= 0
        return HeadTooLarge() if has_line else TargetTooLong()

    def _refuse(self, error: ChatioError) -> None:
        if self._has_answer:
            return
        self._has_answer = True
        with contextlib.suppress(OSError):  # no file is left for it
            own: socket.socket = self.socket.dup()
            own.setblocking(False)
            self._terms.refusals.refuse(own, self._payer, error)


class RequestConnection(HTTP1Connection):
    """One request of an `HttpStream`, and its answer."""

    stream: HttpStream

    @property
    def is_read(self) -> bool:
        return self._read_finished

    def _parse_headers(self, data: bytes) -> tuple[str, HTTPHeaders]:
        text, headers = super()._parse_headers(data)
        method, _, rest = text.partition(" ")
        if _SCHEME.match(rest):
            absolute = _ABSOLUTE_FORM.fullmatch(rest)
            if absolute is None:
                raise HTTPInputError("a target without a host, or with a user")
            headers["Host"], path, version = absolute.groups()
            text = f"{method} {path if path.startswith('/') else '/' + path} {version}"
        if rest.endswith("HTTP/1.0") and "Transfer-Encoding" in headers:
            raise HTTPInputError("Transfer-Encoding in HTTP/1.0")
        if "close" in headers.get("Connection", "").lower() and "close" in _options(headers["Connection"]):
            headers["Connection"] = "close"
        if "Expect" in headers and _options(headers["Expect"]) == ["100-continue"]:
            headers["Expect"] = "100-continue"
        return text, headers

    def _read_body(self, code: int, headers: HTTPHeaders, delegate: HTTPMessageDelegate) -> Awaitable[None] | None:
        body, seconds = super()._read_body(code, headers, delegate), self._body_timeout
        self._body_timeout = None  # Tornado would close the connection unanswered
        return body if body is None or seconds is None else self._read_within(seconds, body)

    async def _read_within(self, seconds: float, body: Awaitable[None]) -> None:
        try:
            await _within(seconds, asyncio.ensure_future(body))
        except TimeoutError:
            self.stream.refuse(RequestTimeout())
            raise StreamClosedError from None

    async def _read_chunked_body(self, delegate: HTTPMessageDelegate) -> None:
        work, lines_left = _BYTES_PER_TURN, MAX_CHUNK_LINES_BYTES
        while True:
            line = await self.stream.read_until(b"\r\n", max_bytes=lines_left)
            found = _CHUNK_SIZE.fullmatch(line)
            if found is None:
                raise HTTPInputError("invalid chunk size")
            lines_left -= len(line) - len(found[1]) - 2  # what the extension takes
            if not (size := int(found[1], 16)):
                break
            while size:
                if work >= _BYTES_PER_TURN:
                    work = 0
                    await self.stream.take_turn(_CHUNKS_STEPS)
                    await asyncio.sleep(0)
                data = await self.stream.read_bytes(min(size, self.params.chunk_size), partial=True)
                size -= len(data)
                await self._deliver_body(delegate, data)
                work += len(data) + _CHUNK_COST
            if await self.stream.read_bytes(2) != b"\r\n":
                raise HTTPInputError("improperly terminated chunk")
        while (trailer := await self.stream.read_until(b"\r\n", max_bytes=lines_left)) != b"\r\n":
            lines_left -= len(trailer)

    def detach(self) -> HttpStream:
        self.stream.release()
        return cast(HttpStream, super().detach())

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> "Future[None]":
        self.stream.answers()
        return super().write_headers(start_line, headers, chunk)


class ServerConnection(HTTP1ServerConnection):
    """Serves the requests of an `HttpStream` one after another, as its base does."""

    stream: HttpStream
    request: RequestConnection | None = None

    _has_asked = False  # since `may_give_way` was called last

    def may_give_way(self) -> bool:
        """Whether the client has sent a part of a request at most, and no request since the last call."""
        has_asked, self._has_asked = self._has_asked, False
        return not has_asked and (self.request is None or not self.request.is_read)

    async def _server_request_loop(self, delegate: HTTPServerConnectionDelegate) -> None:
        try:
            while True:
                self.request = connection = RequestConnection(self.stream, False, self.params, self.context)
                try:
                    if not await connection.read_response(delegate.start_request(self, connection)):
                        return
                except (StreamClosedError, UnsatisfiableReadError, asyncio.CancelledError):
                    return
                self._has_asked = True
                await asyncio.sleep(0)
        finally:
            delegate.on_close(self)


def _forwarded_for(head: bytes) -> str:
    return ",".join(value.decode("latin-1") for value in _FORWARDED_FOR.findall(head))


def _options(header: str) -> list[str]:
    return [option.strip().lower() for option in header.split(",")]


async def _within(seconds: float, reading: Awaitable[T]) -> T:
    """The result of `reading`. Raises TimeoutError after `seconds`."""
    if not (isinstance(reading, Future) and reading.done()):
        reading = cast(Awaitable[T], gen.with_timeout(timedelta(seconds=seconds), reading, _QUIET))
    return await reading
