"""TCP connection: a bare socket while its requests are plain, and then a WebSocket or the stream of HTTP requests.

Most connections of a chat bring one request, for a WebSocket, or only requests of a polling client. They never get
Tornado's stream, parser and task, which took a third of a connect (docs/performance.md).

An epoll instance of their own watches the bare sockets. The event loop watches the instance, and looks at a few
of those that have input in each turn; it watches the sockets of WebSockets itself. So a user who chats waits for
a few of the clients that come back at once: when the loop watched all, a thousand requests took 13 ms of one
turn.
"""

import asyncio
import contextlib
import logging
import re
import select
import socket
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, cast

from tornado.http1connection import HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.httpserver import _HTTPRequestContext
from tornado.httputil import HTTPMessageDelegate, HTTPServerConnectionDelegate
from tornado.iostream import StreamClosedError, UnsatisfiableReadError

from chatio.server.http.http1 import RequestConnection
from chatio.server.http.stream import READ_BYTES, REQUEST_STEPS, HttpStream, Terms, client_of_head, limit_unread
from chatio.telemetry.error_report import report
from chatio.throttling.client_ip import is_trusted, rate_limit_key
from chatio.throttling.timeouts import TimeoutQueue

logger = logging.getLogger("chatio.http")

# What a new connection costs beside its first request, in steps of about 3 µs: most are for a WebSocket, which
# costs as much again when it is closed.
ACCEPT_STEPS: Final = 90
# What another request costs that is a plain one; what any other costs is paid when Tornado reads it.
PLAIN_STEPS: Final = 15

# Connections that are looked at in one turn of the event loop.
MOST_PER_TURN: Final = 8

# A host without anything that Tornado's `HTTPServerRequest` would look at twice.
PLAIN_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?")


class WaitingSockets:
    """Calls back when a bare socket has input, or its client has left. Event loop only."""

    def __init__(self) -> None:
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll() if hasattr(select, "epoll") else None  # None: macOS
        self._is_watched = False

    def add(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Call `callback` in each turn in which the socket has input, until it is removed."""
        loop = asyncio.get_running_loop()
        if self._epoll is None:
            loop.add_reader(descriptor, callback)
            return
        if not self._is_watched:
            loop.add_reader(self._epoll.fileno(), self._call_some, self._epoll)
            self._is_watched = True
        self._epoll.register(descriptor, select.EPOLLIN)
        self._callbacks[descriptor] = callback

    def remove(self, descriptor: int) -> None:
        """Call its callback no more. The socket must be open still."""
        if self._epoll is None:
            asyncio.get_running_loop().remove_reader(descriptor)
        elif self._callbacks.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._epoll is not None:
            if self._is_watched:
                asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _call_some(self, epoll: select.epoll) -> None:
        for descriptor, _ in epoll.poll(0, MOST_PER_TURN):
            callback = self._callbacks.get(descriptor)  # None: another one has removed it
            try:
                if callback is not None:
                    callback()
            except Exception as error:
                report(logger, "looking at a connection", error)


class Endpoint(Protocol):
    """What serves one path without a URL table."""

    targets: tuple[str, ...]  # that its requests begin with, up to the query

    def take(self, connection: "ServerConnection", data: bytes) -> bool:
        """Serve `data`, a request that is whole and ordinary, by `connection.serve` or `connection.give_socket`.

        False: nothing was done, and Tornado is to read it.
        """


class Serving(NamedTuple):
    """What the connections of a server share."""

    params: HTTP1ConnectionParameters
    terms: Terms
    endpoint: Endpoint | None
    starts: tuple[bytes, ...]  # of a GET or POST request to the endpoint
    has_proxies: bool  # that are trusted
    waiting: WaitingSockets
    new: "TimeoutQueue[ServerConnection]"  # that have sent nothing yet
    idle: "TimeoutQueue[ServerConnection]"  # that have sent no further request yet


class ServerConnection(HTTP1ServerConnection):
    """Serves the requests of one client, one after another, as its base does. Event loop only.

    As long as they are plain requests for the endpoint it is a bare socket.
    """

    stream: HttpStream  # once a request has come that is not plain
    request: RequestConnection | None = None  # that the stream has brought
    _delegate: HTTPServerConnectionDelegate
    _plain: HTTPMessageDelegate | None = None  # request that is not answered yet
    _held_bytes = 0  # of it
    _payer: str | None = None  # of it, or of the next one
    _is_first = True  # the next request
    _disconnect_on_finish = False  # as Tornado's connections: close after the answer
    _turn: "asyncio.Future[None] | None" = None  # that the client waits for
    _is_watched = False  # for input
    _has_asked = False  # since `may_give_way` was called last
    _unsent = b""  # rest of an answer that the stream is to send

    def __init__(self, sock: socket.socket, address: Any, serving: Serving) -> None:
        """`address`: the socket's peer, as `accept` tells it."""
        super().__init__(cast(HttpStream, None), serving.params)
        self.address = address
        self.peer = str(address[0]) if isinstance(address, tuple) else ""
        self._serving = serving
        self._is_proxy = serving.has_proxies and is_trusted(self.peer, serving.terms.trusted)
        self._sock: socket.socket | None = sock  # until it is given away
        self._timeouts = serving.new  # that it waits in, if it waits

    def start_serving(self, delegate: HTTPServerConnectionDelegate) -> None:
        """Wait for the first bytes. `delegate` is told when the connection is over, or another's."""
        self._delegate = delegate
        self._wait()

    def _wait(self) -> None:
        """Wait for the next request."""
        self._watch()
        self._timeouts.add(self)

    def _watch(self) -> None:
        if self._sock is not None and not self._is_watched:
            self._serving.waiting.add(self._sock.fileno(), self._on_readable)
            self._is_watched = True

    def may_give_way(self) -> bool:
        """Whether the client has sent a part of a request at most, and no request since the last call."""
        has_asked, self._has_asked = self._has_asked, False
        is_answering = self._plain is not None or self._unsent
        return not (has_asked or is_answering or (self.request is not None and self.request.is_read))

    def give_way(self) -> None:
        """Close the connection at once."""
        if self._sock is None:
            self.stream.close()
        else:
            self._end()

    async def close(self) -> None:
        if self._sock is None:
            await super().close()
        else:
            self._end()

    @property
    def is_gone(self) -> bool:
        return self._sock is None

    def answer(self, data: bytes) -> None:
        """Answer the plain request, and wait for the next one."""
        sock = self._sock
        if sock is None:
            return
        self._forget_plain()
        self._has_asked = True
        if self._is_first:
            self._is_first, self._timeouts = False, self._serving.idle
            limit_unread(sock, self._serving.terms.deadlines.unread)
        try:
            sent = sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._end()
            return
        if sent < len(data):
            self._unsent = data[sent:]
            self._become_stream(sock, b"")
        elif self._disconnect_on_finish:
            self._end()
        else:
            self._wait()

    def _end(self) -> None:
        """Close a connection that is no stream's."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._timeouts.discard(self)
            if self._turn is not None and not self._turn.done():
                self._turn.set_result(None)
            self._unwatch(sock)
            sock.close()
            self._delegate.on_close(self)
            if (plain := self._forget_plain()) is not None:
                plain.on_connection_close()

    def _forget_plain(self) -> HTTPMessageDelegate | None:
        self._hold(-self._held_bytes)
        plain, self._plain = self._plain, None
        return plain

    def _unwatch(self, sock: socket.socket) -> None:
        self._is_watched = False
        self._serving.waiting.remove(sock.fileno())

    def _on_readable(self) -> None:
        sock, turns = self._sock, self._serving.terms.turns
        if sock is None:
            return
        if self._plain is not None:
            self._look_for_end(sock)
            return
        self._timeouts.discard(self)
        payer = self._client_of_proxy(sock) if self._is_proxy else self.peer
        self._payer = payer
        if payer is not None and turns is not None:
            self._turn = turns(payer, ACCEPT_STEPS + REQUEST_STEPS if self._is_first else PLAIN_STEPS)
            if not self._turn.done():
                self._unwatch(sock)
                self._turn.add_done_callback(lambda _: self._on_turn())
                return
        self._read()

    def _on_turn(self) -> None:
        self._watch()
        self._read()

    def _look_for_end(self, sock: socket.socket) -> None:
        """The client has left before its answer, or sent its next request, which waits in the kernel."""
        try:
            is_next = bool(sock.recv(1, socket.MSG_PEEK))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            is_next = False
        if is_next:
            self._unwatch(sock)
        else:
            self._end()

    def _client_of_proxy(self, sock: socket.socket) -> str | None:
        """The address of the client that the next head names; None if that is not whole yet.

        The kernel keeps the head until it is the client's turn.
        """
        try:
            head = sock.recv(READ_BYTES, socket.MSG_PEEK)
        except OSError:  # which the next read raises too
            return None
        return client_of_head(head, self.peer, self._serving.terms.trusted)

    def _read(self) -> None:
        sock = self._sock
        if sock is None:
            return
        try:
            data = sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            self._wait()
            return
        except OSError:
            data = b""
        if not data:
            self._end()
        elif not (data.startswith(self._serving.starts) and self._take(sock, data)):
            self._become_stream(sock, data)

    def _take(self, sock: socket.socket, data: bytes) -> bool:
        endpoint = self._serving.endpoint
        if endpoint is None or self._payer is None:
            return False
        try:
            return endpoint.take(self, data)
        except Exception as error:
            report(logger, "taking a request", error)
            self._end()
            sock.close()
            return True

    def give_socket(self) -> socket.socket:
        """The socket, which is a WebSocket's from now on."""
        sock, self._sock = cast(socket.socket, self._sock), None
        self._unwatch(sock)
        if not self._is_first:
            limit_unread(sock, 0)
        self._delegate.on_close(self)
        return sock

    @property
    def may_hold(self) -> bool:
        """Whether a request may be held until it is answered; else the stream counts it too, and refuses it."""
        return self._payer is not None and not self._serving.terms.held.is_too_much(rate_limit_key(self._payer))

    def serve(self, request: HTTPMessageDelegate, size_bytes: int) -> None:
        """Serve `request`, which is plain: whole, and without another behind it. It calls `answer`."""
        self._plain = request
        self._hold(size_bytes)
        request.finish()

    def _hold(self, size_bytes: int) -> None:
        if size_bytes and self._payer is not None:
            self._held_bytes += size_bytes
            self._serving.terms.held.add(rate_limit_key(self._payer), size_bytes)

    def _become_stream(self, sock: socket.socket, data: bytes) -> None:
        """Let Tornado read `data`, and all that follows."""
        self._unwatch(sock)
        self._sock = None
        if not self._is_first:
            limit_unread(sock, 0)
        is_paid = self._is_first and self._payer is not None
        self.stream = HttpStream(sock, self.peer, self._serving.terms, first=data, is_paid=is_paid)
        self.context = _HTTPRequestContext(self.stream, self.address, None)
        super().start_serving(self._delegate)

    async def _server_request_loop(self, delegate: HTTPServerConnectionDelegate) -> None:
        try:
            if self._unsent:
                with contextlib.suppress(StreamClosedError):
                    await self.stream.write(self._unsent)
                self._unsent = b""
                if self._disconnect_on_finish:
                    self.stream.close()
            while True:
                self.request = connection = RequestConnection(self.stream, False, self.params, self.context)
                try:
                    if not await connection.read_response(delegate.start_request(self, connection)):
                        return
                except (StreamClosedError, UnsatisfiableReadError, asyncio.CancelledError):
                    return
                self._has_asked = True
                if self.stream.has_more:
                    await asyncio.sleep(0)
        finally:
            delegate.on_close(self)
