"""The stream below HTTP/1.1: heads are read within limits, each request in its turn, and no wait is for ever."""

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, cast

from tornado.concurrent import Future
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError

from chatio.errors import (
    ChatioError,
    FieldError,
    HeadTooLarge,
    InvalidInput,
    RateLimited,
    RequestTimeout,
    TargetTooLong,
)
from chatio.server.http.held_input import HeldInput
from chatio.server.http.refusals import Refusals
from chatio.throttling.client_ip import TrustedProxies, client_address, is_trusted, rate_limit_key

# Node's limit (`--max-http-header-size`), and twice nginx's usual 8 KiB: every cookie of localhost fits.
MAX_HEAD_BYTES: Final = 16 * 1024
# Apache's `LimitRequestFields`. A field takes 3 µs to read: 16 KiB of the shortest ones took 10 ms.
MAX_FIELDS: Final = 100
# What a request costs before it is handled, in steps of about 3 µs; and a read, however little it brings. A head
# costs a step more for each field, and for so many bytes, beyond those that are ordinary.
REQUEST_STEPS: Final = 60
READ_STEPS: Final = 10
ORDINARY_FIELDS: Final = 20
ORDINARY_BYTES: Final = 1024
BYTES_PER_STEP: Final = 16

# What the kernel holds and a client does not take for so long ends the connection (tcp(7)). Not on macOS.
_USER_TIMEOUT: Final = getattr(socket, "TCP_USER_TIMEOUT", None)

_TORNADOS_400: Final = b"HTTP/1.1 400 Bad Request\r\n\r\n"
_TORNADOS_100: Final = b"HTTP/1.1 100 (Continue)\r\n\r\n"
# Empty lines before a request are passed over (RFC 9112, 2.2), as many as a client sends.
_END_OF_HEAD: Final = rb"(?<=[^\r\n])\r?\n\r?\n"
# The first byte of a method (RFC 9110, 9.1) or of an empty line; TLS for a port without it begins with another.
_START: Final = re.compile(rb"[\r\n!#$%&'*+.^_`|~0-9A-Za-z-]")
_ORIGIN: Final = re.compile(rb"\nOrigin[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_FORWARDED_FOR: Final = re.compile(rb"\nX-Forwarded-For[ \t]*:([^\r\n]*)", re.IGNORECASE)
# Read at a time. Nearly every head fits, and a connection that waits holds little of the requests behind it.
READ_BYTES: Final = 4 * 1024
# Of one request, what counts as held; more of a body is thrown away, or its client is signed in.
_MAX_HELD_BYTES: Final = MAX_HEAD_BYTES + READ_BYTES

MALFORMED: Final = InvalidInput(FieldError("request", "The request is malformed."))

# Ends when the client at an address may make the server do so many steps.
Turns = Callable[[str, int], "asyncio.Future[None]"]


class Deadlines(NamedTuple):
    """How long a connection waits for its client, in seconds. Of bodies: Tornado's `body_timeout`."""

    # For the first byte on a new connection, and for the rest of a head. nginx's `client_header_timeout` in
    # deploy/nginx-site.conf; Apache's `RequestReadTimeout header=20`.
    first_byte: float = 20.0
    head: float = 20.0
    # For the next request. Longer than load balancers keep an idle connection, so that none sends a request into
    # one that is being closed: AWS's ALB 60 s, Azure's 240 s, GCP's 600 s.
    idle: float = 650.0
    # For the client to take what the kernel holds of an answer. nginx's `send_timeout`.
    unread: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the connections of a server share."""

    refusals: Refusals
    deadlines: Deadlines = field(default_factory=Deadlines)
    turns: Turns | None = None
    trusted: TrustedProxies = field(default_factory=TrustedProxies)
    held: HeldInput = field(default_factory=HeldInput)
    max_buffer_size: int | None = None


class HttpStream(IOStream):
    """The bytes of one connection. Reads heads within their limits, and answers where a limit is exceeded.

    The client's address pays for each request: of a trusted proxy's once its head has told that.
    """

    def __init__(self, sock: socket.socket, peer: str, terms: Terms, *, first: bytes, is_paid: bool) -> None:
        """`first`: what was read already from `sock`, which `peer` has opened.

        `is_paid`: the client has had its turn for the first request.
        """
        super().__init__(sock, max_buffer_size=terms.max_buffer_size, read_chunk_size=READ_BYTES)
        self._peer = peer
        self._terms = terms
        self._is_proxy = is_trusted(peer, terms.trusted)
        self._payer = peer
        self._key = rate_limit_key(peer)  # of the payer
        self._held_bytes = 0
        self._read_buffer += first
        self._read_buffer_size = len(first)
        self._is_paid = is_paid
        self._turn: asyncio.Future[None] | None = None  # that the client waits for
        self._read_turn: asyncio.Future[None] | None = None  # and in which what it sends is read
        self._has_user_timeout = False
        self._is_in_head = True
        self._head = b""  # of the current request, once it is whole
        self._has_answer = False  # to the current request, or a part of one

    async def read_until_regex(self, regex: bytes, max_bytes: int | None = None) -> bytes:
        """A head: Tornado asks for it so, and for nothing else.

        Raises StreamClosedError for a connection that stays idle, and for a head that is too large or too slow,
        which is answered.
        """
        self._has_answer, self._is_in_head, self._head = False, True, b""
        deadlines, loop, head = self._terms.deadlines, asyncio.get_running_loop(), b""
        self._begin_request()
        if not self._read_buffer_size:
            timeout = loop.call_later(deadlines.idle, self.close)
            try:
                head = await self.read_bytes(1)
            finally:
                timeout.cancel()
        steps, self._is_paid = 0 if self._is_paid else REQUEST_STEPS, False
        if steps and not self._is_proxy:
            await self.take_turn(steps)
            steps = 0
        if not _START.match(head or self._read_buffer):
            self.refuse(MALFORMED)
            raise StreamClosedError
        reading = super().read_until_regex(_END_OF_HEAD, max_bytes=MAX_HEAD_BYTES - len(head))
        if not cast(Future[bytes], reading).done():
            timeout = loop.call_later(deadlines.head, self.refuse, RequestTimeout())
            try:
                await reading
            finally:
                timeout.cancel()
        head += await reading
        if self._is_proxy:
            self._pay_as(client_of_head(head, self._peer, self._terms.trusted) or self._peer)
        fields = head.strip(b"\r\n").count(b"\n")
        if steps := steps + _steps_beyond_ordinary(len(head), fields):
            await self.take_turn(steps)
        if fields > MAX_FIELDS:
            self.refuse(HeadTooLarge())
            raise StreamClosedError
        self._is_in_head, self._head = False, head
        return head

    def _begin_request(self) -> None:
        """Nothing is held any more but what was read of this request and the next ones."""
        self._hold(self._read_buffer_size - self._held_bytes)
        self._pay_as(self._peer)
        self._give_way_if_held_too_much()

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
            self._give_way_if_held_too_much()
        return size

    def _handle_events(self, fd: Any, events: int) -> None:
        """Read in the client's turn. Heads and bodies that come byte by byte would be the cheapest flood else."""
        if events & IOLoop.READ and self._terms.turns is not None and not self._is_proxys_own:
            if self._read_turn is None:
                self._read_turn = self._terms.turns(self._payer, READ_STEPS)
                if not self._read_turn.done():
                    self._read_turn.add_done_callback(lambda _: self._on_read_turn(fd))
            if not self._read_turn.done():
                events &= ~IOLoop.READ
        if events:
            super()._handle_events(fd, events)
        if self._read_turn is None or self.closed():
            return
        if self._read_turn.done():
            self._read_turn = None
        elif self._state is not None and self._state & IOLoop.READ:
            self._state &= ~IOLoop.READ
            self.io_loop.update_handler(fd, self._state)

    def _on_read_turn(self, fd: Any) -> None:
        if not self.closed():
            self._handle_events(fd, IOLoop.READ)

    @property
    def _is_proxys_own(self) -> bool:
        """Nobody pays: a proxy's connection has brought no client's address yet."""
        return self._is_proxy and self._payer == self._peer

    def _give_way_if_held_too_much(self) -> None:
        # A proxy's own connections hold what its clients sent, each until its head is whole.
        if self._held_bytes and not self._is_proxys_own and self._terms.held.is_too_much(self._key):
            asyncio.get_running_loop().call_soon(self.refuse, RateLimited(retry_after_seconds=1))

    @property
    def has_more(self) -> bool:
        """The client has sent a part of its next request."""
        return self._read_buffer_size > 0

    async def take_turn(self, steps: int) -> None:
        """Return when the client may make the server do `steps`. Raises StreamClosedError if it has gone."""
        if self._terms.turns is not None:
            self._turn = self._terms.turns(self._payer, steps)
            await self._turn
            if self.closed():
                raise StreamClosedError

    def close(self, exc_info: Any = False) -> None:
        self._hold(-self._held_bytes)
        super().close(exc_info)
        for turn in (self._turn, self._read_turn):
            if turn is not None and not turn.done():
                turn.set_result(None)

    def refuse(self, error: ChatioError) -> None:
        """Answer `error`, unless the current request has an answer, and close the connection."""
        if not self.closed():
            self._refuse(error)
        self.close()

    def release(self) -> None:
        """The socket is another's from now on, without deadlines of HTTP."""
        if self._has_user_timeout and not self.closed():
            limit_unread(self.socket, 0)

    def answers(self) -> None:
        """The current request has an answer, from now on."""
        self._has_answer = True
        if not self._has_user_timeout and not self.closed():
            self._has_user_timeout = True
            limit_unread(self.socket, self._terms.deadlines.unread)

    def write(self, data: bytes | memoryview) -> "Future[None]":
        if data != _TORNADOS_400:
            if data != _TORNADOS_100:
                self.answers()
            return super().write(data)
        self.refuse(MALFORMED)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def _check_max_bytes(self, delimiter: bytes | re.Pattern[bytes], size: int) -> None:
        try:
            super()._check_max_bytes(delimiter, size)
            self._check_lines(size)
        except UnsatisfiableReadError:  # at which Tornado closes the connection
            self._refuse(self._error_of_limit())
            raise

    def _check_lines(self, size: int) -> None:
        """Raise UnsatisfiableReadError for a head of too many lines, also while it has no end yet.

        Each line begins a search for that end: 8,000 of them took 0.2 ms for each byte more.
        """
        if self._is_in_head and self._read_buffer.count(b"\n", 0, size) > 2 * MAX_FIELDS:
            raise UnsatisfiableReadError

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
            origin = _origin(self._head or bytes(self._read_buffer[:MAX_HEAD_BYTES]))
            self._terms.refusals.refuse(own, self._payer, error, origin=origin)


def limit_unread(sock: socket.socket, seconds: float) -> None:
    """How long the client may leave what the kernel holds of an answer; 0: as long as the kernel has it."""
    if _USER_TIMEOUT is not None and sock.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):  # the client has just gone
            sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, round(seconds * 1000))


def _origin(head: bytes) -> str | None:
    found = _ORIGIN.search(head)
    return None if found is None else found[1].decode("latin-1").strip()


def client_of_head(data: bytes, proxy: str, trusted: TrustedProxies) -> str | None:
    """The address of the client that `proxy` speaks for in the first head of `data`; None if that has no end."""
    end = re.search(_END_OF_HEAD, data)
    if end is None:
        return None
    values = _FORWARDED_FOR.findall(data, 0, end.end())
    return client_address(proxy, ",".join(value.decode("latin-1") for value in values), trusted)


def _steps_beyond_ordinary(size_bytes: int, fields: int) -> int:
    return max(0, fields - ORDINARY_FIELDS) + max(0, size_bytes - ORDINARY_BYTES) // BYTES_PER_STEP
