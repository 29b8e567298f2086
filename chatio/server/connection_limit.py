"""How many TCP connections one address may have open over HTTP, whatever it does on them, or does not.

Each takes a file. A stranger who only opens them, and sends nothing for as long as that is let be, would else have
all files there are, and nobody else a connection. WebSockets do not count here: they are chat connections.
"""

from collections.abc import Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream

from chatio.throttling.client_ip import Network, is_trusted, rate_limit_key
from chatio.throttling.concurrency import ConcurrencyLimit

# A polling client has one for its GET and one for its POST, and its page one for REST.
LINES_PER_CLIENT = 3


class LimitedHTTPServer(HTTPServer):
    """An `HTTPServer` that closes, unread, what one address (IPv6: one /64) opens past `most_per_address`.

    `trusted` proxies are not bounded: they open connections for everybody. `refused` hears of each that is closed:
    from where, and why.
    """

    # Tornado's way to construct: it is given what the class is called with.
    def initialize(  # type: ignore[override]
        self,
        *args: Any,
        most_per_address: int,
        refused: Callable[[str, str], None],
        trusted: tuple[Network, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().initialize(*args, **kwargs)
        self.connections = ConcurrencyLimit(most_per_address)
        self._refused = refused
        self._trusted = trusted

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        origin = _origin(address)
        if not self.connections.has_capacity(origin) and not is_trusted(str(address[0]), self._trusted):
            self._refused(origin, "too many TCP connections from one address")
            stream.close()
            return
        self.connections.acquire(origin)
        super().handle_stream(stream, address)

    def on_close(self, server_conn: Any) -> None:
        super().on_close(server_conn)
        self.connections.release(_origin(server_conn.context.address))


def _origin(address: Any) -> str:
    """Who a socket's peer is counted as; a Unix socket's has no address."""
    return rate_limit_key(address[0]) if isinstance(address, tuple) else ""
