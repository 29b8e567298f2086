"""TCP connection: a bare socket until its first bytes, and then a WebSocket or the stream of HTTP requests.

Most connections of a chat bring one request, for a WebSocket. They never get Tornado's stream, parser and task,
which took a third of a connect (docs/performance.md).
"""

import asyncio
import logging
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, Protocol, cast

from tornado.http1connection import HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.httpserver import _HTTPRequestContext
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPMessageDelegate, HTTPServerConnectionDelegate
from tornado.iostream import StreamClosedError, UnsatisfiableReadError

from chatio.server.http.http1 import RequestConnection
from chatio.server.http.stream import READ_BYTES, REQUEST_STEPS, HttpStream, Terms, client_of_head
from chatio.telemetry.error_report import report
from chatio.throttling.client_ip import is_trusted

logger = logging.getLogger("chatio.http")

# What a new connection costs beside its first request, in steps of about 3 µs: most are for a WebSocket, which
# costs as much again when it is closed.
ACCEPT_STEPS: Final = 90

# A host without anything that Tornado's `HTTPServerRequest` would look at twice.
PLAIN_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?")


class Endpoint(Protocol):
    """What serves one path without a URL table."""

    targets: tuple[str, ...]  # that its requests begin with, up to the query

    @property
    def take_websocket(self) -> Callable[[socket.socket, str, bytes], bool]:
        """Takes the socket of a peer if the first bytes are a request for a WebSocket. False: nothing was done."""

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate: ...


class Serving(NamedTuple):
    """What the connections of a server share."""

    params: HTTP1ConnectionParameters
    terms: Terms
    endpoint: Endpoint | None
    starts: tuple[bytes, ...]  # of a GET request to the endpoint


class ServerConnection(HTTP1ServerConnection):
    """Serves the requests of one client, one after another, as its base does. Event loop only."""

    stream: HttpStream  # once the first bytes have come, and no WebSocket took the socket
    request: RequestConnection | None = None
    _delegate: HTTPServerConnectionDelegate
    _turn: "asyncio.Future[None] | None" = None  # that the client waits for
    _timeout: asyncio.TimerHandle | None = None
    _is_paid = False  # the first request
    _has_asked = False  # since `may_give_way` was called last

    def __init__(self, sock: socket.socket, address: Any, serving: Serving) -> None:
        """`address`: the socket's peer, as `accept` tells it."""
        super().__init__(cast(HttpStream, None), serving.params)
        self.address = address
        self._peer = str(address[0]) if isinstance(address, tuple) else ""
        self._serving = serving
        self._is_proxy = is_trusted(self._peer, serving.terms.trusted)
        self._sock: socket.socket | None = sock  # until it is given away

    def start_serving(self, delegate: HTTPServerConnectionDelegate) -> None:
        """Wait for the first bytes. `delegate` is told when the connection is over, or another's."""
        loop, self._delegate = asyncio.get_running_loop(), delegate
        self._timeout = loop.call_later(self._serving.terms.deadlines.first_byte, self._end)
        if self._sock is not None:
            loop.add_reader(self._sock.fileno(), self._on_first_bytes)

    def may_give_way(self) -> bool:
        """Whether the client has sent a part of a request at most, and no request since the last call."""
        has_asked, self._has_asked = self._has_asked, False
        return not has_asked and (self.request is None or not self.request.is_read)

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

    def _end(self) -> None:
        """Close a connection that has sent nothing yet, or waits for its first turn."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._stop_timeout()
            if self._turn is not None and not self._turn.done():
                self._turn.set_result(None)
            asyncio.get_running_loop().remove_reader(sock.fileno())
            sock.close()
            self._delegate.on_close(self)

    def _stop_timeout(self) -> None:
        if self._timeout is not None:
            self._timeout.cancel()

    def _on_first_bytes(self) -> None:
        self._stop_timeout()
        sock, turns = self._sock, self._serving.terms.turns
        if sock is None:
            return
        payer = self._client_of_proxy(sock) if self._is_proxy else self._peer
        self._is_paid = payer is not None
        if payer is not None and turns is not None:
            self._turn = turns(payer, ACCEPT_STEPS + REQUEST_STEPS)
            if not self._turn.done():
                asyncio.get_running_loop().remove_reader(sock.fileno())
                self._turn.add_done_callback(lambda _: self._read_first())
                return
        self._read_first()

    def _client_of_proxy(self, sock: socket.socket) -> str | None:
        """The address of the client that the first head names; None if that is not whole yet.

        The kernel keeps the head until it is the client's turn.
        """
        try:
            head = sock.recv(READ_BYTES, socket.MSG_PEEK)
        except OSError:  # which the next read raises too
            return None
        return client_of_head(head, self._peer, self._serving.terms.trusted)

    def _read_first(self) -> None:
        sock = self._sock
        if sock is None:
            return
        try:
            data = sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            self.start_serving(self._delegate)
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        loop, descriptor, serving = asyncio.get_running_loop(), sock.fileno(), self._serving
        self._sock = None
        if data.startswith(serving.starts) and self._take_websocket(sock, data):
            if sock.fileno() != descriptor:  # closed already, and by one who did not know of this reader
                loop.remove_reader(descriptor)
            self._delegate.on_close(self)
            return
        loop.remove_reader(descriptor)
        self.stream = HttpStream(sock, self._peer, serving.terms, first=data, is_paid=self._is_paid)
        self.context = _HTTPRequestContext(self.stream, self.address, None)
        super().start_serving(self._delegate)

    def _take_websocket(self, sock: socket.socket, data: bytes) -> bool:
        endpoint = self._serving.endpoint
        try:
            return endpoint is not None and endpoint.take_websocket(sock, self._peer, data)
        except Exception as error:
            report(logger, "taking a WebSocket", error)
            sock.close()
            return True

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
                if self.stream.has_more:
                    await asyncio.sleep(0)
        finally:
            delegate.on_close(self)


class Fork(HTTPMessageDelegate):
    """Brings a request to the endpoint that it is for, and any other, or one with an odd Host, to the URL table.

    The table costs a request of the endpoint 60 µs, most of it for parts that only handlers need.
    """

    def __init__(
        self, endpoint: Endpoint, others: HTTPServerConnectionDelegate, server_conn: object, http: HTTPConnection
    ) -> None:
        self._endpoint, self._others, self._connections = endpoint, others, (server_conn, http)

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Awaitable[None] | None:
        is_short = start_line.path.startswith(self._endpoint.targets) and PLAIN_HOST.fullmatch(
            headers.get("Host", "")
        )
        chosen = (self._endpoint if is_short else self._others).start_request(*self._connections)
        self.data_received, self.finish = chosen.data_received, chosen.finish  # type: ignore[method-assign]
        self.on_connection_close = chosen.on_connection_close  # type: ignore[method-assign]
        return chosen.headers_received(start_line, headers)
