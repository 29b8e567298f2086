"""Accepting TCP connections, within the resources of the process and the limit per client address.

Each connection takes a file descriptor. Without the limit, one client that opens connections and sends nothing
would take all of them, and no other client could connect. A WebSocket counts as a chat connection, and not here.
"""

import errno
import logging
import socket
from collections.abc import Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream

from chatio.throttling.client_ip import TrustedProxies, is_trusted, rate_limit_key
from chatio.throttling.concurrency import ConcurrencyLimit

# A polling client has one for its GET and one for its POST, and its page one for REST.
CONNECTIONS_PER_CLIENT = 3


logger = logging.getLogger("chatio")

# Errors of an accept when the process or the system has no resources for another connection. The server then
# accepts no connection for this long, as asyncio's own servers do (ACCEPT_RETRY_DELAY).
_NO_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_SECONDS = 1.0


class Listener(socket.socket):
    """A listening socket that pauses where Tornado's loop would spin, with a traceback at each turn."""

    def accept(self) -> tuple[socket.socket, Any]:
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in _NO_RESOURCES:
                raise
            logger.error(  # noqa: TRY400
                "No connection is accepted for %g s: %s",
                _PAUSE_SECONDS,
                error.strerror,
                extra={"event": "no_room", "seconds": _PAUSE_SECONDS, "reason": error.strerror},
            )
            loop = IOLoop.current()
            loop.update_handler(self, 0)
            loop.call_later(_PAUSE_SECONDS, self._accept_again)
            raise BlockingIOError from None  # to Tornado: no connection is waiting

    def _accept_again(self) -> None:
        if self.fileno() >= 0:
            IOLoop.current().update_handler(self, IOLoop.READ)


class LimitedHTTPServer(HTTPServer):
    """An `HTTPServer` that closes, unread, connections of one address (IPv6: one /64) past `most_per_address`.

    `trusted` proxies are unlimited: they open connections for many clients. `refused` is called with the
    rate-limit key of each connection that is closed.
    """

    # Tornado's way to construct: it is given what the class is called with.
    def initialize(  # type: ignore[override]
        self,
        *args: Any,
        most_per_address: int,
        refused: Callable[[str], None],
        trusted: TrustedProxies | None = None,
        **kwargs: Any,
    ) -> None:
        super().initialize(*args, **kwargs)
        self.connections = ConcurrencyLimit(most_per_address)
        self._refused = refused
        self._trusted = trusted or TrustedProxies()

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        key = _key_of(address)
        if not self.connections.acquire(key):
            if not is_trusted(str(address[0]), self._trusted):
                self._refused(key)
                stream.close()
                return
            self.connections.acquire(key, always=True)
        super().handle_stream(stream, address)

    def on_close(self, server_conn: Any) -> None:
        super().on_close(server_conn)
        self.connections.release(_key_of(server_conn.context.address))


def _key_of(address: Any) -> str:
    """The rate-limit key of a socket's peer; a Unix socket's peer has no address."""
    return rate_limit_key(address[0]) if isinstance(address, tuple) else ""
