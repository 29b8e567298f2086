"""TCP connection limit per client address, for HTTP; a WebSocket counts as a chat connection, and not here.

Each connection takes a file descriptor. Without the limit, one client that opens connections and sends nothing
would take all of them, and no other client could connect.
"""

from collections.abc import Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream

from chatio.throttling.client_ip import Network, is_trusted, rate_limit_key
from chatio.throttling.concurrency import ConcurrencyLimit

# A polling client has one for its GET and one for its POST, and its page one for REST.
CONNECTIONS_PER_CLIENT = 3


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
        trusted: tuple[Network, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().initialize(*args, **kwargs)
        self.connections = ConcurrencyLimit(most_per_address)
        self._refused = refused
        self._trusted = trusted

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
