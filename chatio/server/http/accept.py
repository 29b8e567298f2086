"""Accepting TCP connections, within the resources of the process and the limit per client address.

Each connection takes a file descriptor. Without limits, one client that opens connections and sends nothing would
take all of them, and no other client could connect. A WebSocket counts as a chat connection, and not here.
"""

import errno
import heapq
import logging
import math
import socket
from collections import OrderedDict
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Protocol

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop

from chatio.server.http.connection import Endpoint, ServerConnection, Serving, WaitingSockets
from chatio.server.http.held_input import HeldInput
from chatio.server.http.refusals import Refusals
from chatio.server.http.stream import Deadlines, Terms, Turns
from chatio.telemetry.error_report import report
from chatio.throttling.client_ip import TrustedProxies, is_trusted, rate_limit_key
from chatio.throttling.timeouts import TimeoutQueue

# A polling client has one for its GET and one for its POST, and its page one for REST.
CONNECTIONS_PER_CLIENT = 3

logger = logging.getLogger("chatio")

# Errors of an accept when the process or the system has no resources for another connection. The server then
# accepts no connection for this long, as asyncio's own servers do (ACCEPT_RETRY_DELAY).
_NO_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_SECONDS = 1.0
# Accepted in one turn of the event loop; the others wait in the kernel. When a thousand clients come back at once,
# each turn then has about as many handshakes and CONNECTs, 0.3 ms together. Tornado takes 128.
ACCEPTED_PER_TURN = 4
# Where there is no room, so many connections of so many addresses are looked at for an idle one, and the next
# accept goes on behind them. All 20,000, while each is being answered, took 15 ms an accept.
MOST_LOOKED_AT, MOST_ADDRESSES = 64, 8


class Listener(socket.socket):
    """A listening socket that pauses where Tornado's loop would spin, with a traceback at each turn.

    In one turn of the event loop it accepts a few connections only: then others have their turn.
    """

    _accepted = 0  # in this turn

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection. Tornado calls it until it raises BlockingIOError, which ends the turn."""
        if self._accepted == ACCEPTED_PER_TURN:
            self._accepted = 0
            raise BlockingIOError
        self._accepted += 1
        try:
            return super().accept()
        except BlockingIOError:
            self._accepted = 0
            raise
        except OSError as error:
            if error.errno not in _NO_RESOURCES:
                raise
            self._accepted = 0
            logger.error(  # noqa: TRY400
                "No connection is accepted for %g s: %s",
                _PAUSE_SECONDS,
                error.strerror,
                extra={"event": "no_room", "seconds": _PAUSE_SECONDS, "reason": error.strerror},
            )
            loop = IOLoop.current()
            loop.call_later(_PAUSE_SECONDS, self._accept_again)  # first: it must come, whatever fails
            loop.update_handler(self, 0)
            raise BlockingIOError from None

    def _accept_again(self) -> None:
        if self.fileno() >= 0:
            IOLoop.current().update_handler(self, IOLoop.READ)


class Counted(Protocol):
    """What has files of its own, such as the chat's connections."""

    total: int


class Full(Enum):
    """Why a connection is closed for another, or not accepted."""

    ADDRESS = "address"
    SERVER = "server"


class LimitedHTTPServer(HTTPServer):
    """An `HTTPServer` with `HttpStream`s, and room for every address.

    Connections of one address (IPv6: one /64) are limited to `most_per_address`, and all, with what `others`
    counts, to the number of `files`. Past a limit an idle connection gives way, one of the same address or of the
    one with the most: the first that has not asked since it was looked at last (second chance, as in CLOCK). If
    those that are looked at are being answered, the new connection is closed unread. `refused` is called with the
    rate-limit key of each connection that is closed, and with the reason.

    What a client makes the server do waits for its turn among `turns`, if they are given; what it sent and was not
    answered yet counts as `held`. `trusted` proxies have no limits of their own: they open connections for many
    clients, whose addresses they tell. Plain requests for `endpoint` go there right from their sockets.
    """

    # Tornado's way to construct: it is given what the class is called with.
    def initialize(
        self,
        *args: Any,
        most_per_address: int | None = None,
        files: float = math.inf,
        others: Counted | None = None,
        refused: Callable[[str, Full], None] = lambda key, reason: None,
        trusted: TrustedProxies | None = None,
        deadlines: Deadlines | None = None,
        turns: Turns | None = None,
        held: HeldInput | None = None,
        refusal_headers: Callable[[str | None], Mapping[str, str]] = lambda origin: {},
        endpoint: Endpoint | None = None,
        **kwargs: Any,
    ) -> None:
        super().initialize(*args, **kwargs)
        self.conn_params.header_timeout = None  # `HttpStream` has its own
        self.terms = Terms(
            refusals=Refusals(refusal_headers),
            deadlines=deadlines or Deadlines(),
            turns=turns,
            trusted=trusted or TrustedProxies(),
            held=HeldInput() if held is None else held,
            max_buffer_size=self.max_buffer_size,
        )
        self._serving = Serving(
            self.conn_params,
            self.terms,
            endpoint,
            tuple(f"{method} {target}".encode() for method in ("GET", "POST") for target in endpoint.targets)
            if endpoint
            else (),
            has_proxies=len(self.terms.trusted) > 0,
            waiting=WaitingSockets(),
            new=TimeoutQueue(self.terms.deadlines.first_byte, ServerConnection.give_way),
            idle=TimeoutQueue(self.terms.deadlines.idle, ServerConnection.give_way),
        )
        self._most_per_address = most_per_address
        self._files = files
        self._others = others
        self._refused = refused
        # Of each address the connections, those that were looked at longest ago first.
        self._by_address: dict[str, OrderedDict[ServerConnection, None]] = {}
        self._total = 0

    def open_connections(self, key: str) -> int:
        """How many connections of this rate-limit key are open."""
        return len(self._by_address.get(key, ()))

    def _handle_connection(self, connection: socket.socket, address: Any) -> None:
        """Serve a connection that was just accepted, if there is room for it. Called by Tornado's `TCPServer`."""
        key, peer = _key_of(address), str(address[0]) if isinstance(address, tuple) else ""
        if not self._has_room_for(key, peer):
            connection.close()
            return
        connection.setblocking(False)
        served = ServerConnection(connection, address, self._serving)
        self._connections.add(served)
        self._by_address.setdefault(key, OrderedDict())[served] = None
        self._total += 1
        try:
            served.start_serving(self)
        except Exception as error:  # nothing watches it, and so nothing else would ever close it
            report(logger, "accepting a connection", error)
            served.give_way()

    async def close_all_connections(self) -> None:
        await super().close_all_connections()
        self._serving.waiting.close()

    def on_close(self, server_conn: Any) -> None:
        super().on_close(server_conn)
        self._forget(_key_of(server_conn.address), server_conn)

    def _has_room_for(self, key: str, peer: str) -> bool:
        """Whether one more connection of `key` may be open; it is made room for."""
        if self._total + (0 if self._others is None else self._others.total) >= self._files:
            keys = heapq.nlargest(MOST_ADDRESSES, self._by_address, key=self.open_connections)
            if not any(self._close_idle(each, Full.SERVER) for each in keys):
                self._refused(key, Full.SERVER)
                return False
        limit = self._most_per_address
        if limit is None or self.open_connections(key) < limit or is_trusted(peer, self.terms.trusted):
            return True
        if self._close_idle(key, Full.ADDRESS):
            return True
        self._refused(key, Full.ADDRESS)
        return False

    def _close_idle(self, key: str, reason: Full) -> bool:
        """Close an idle connection of `key`, if there is one."""
        of_address = self._by_address.get(key, OrderedDict())
        for _ in range(
            min(2 * len(of_address), MOST_LOOKED_AT)
        ):  # in the first round those that have asked are passed over
            connection = next(iter(of_address))
            if connection.may_give_way():
                self._forget(key, connection)
                connection.give_way()
                self._refused(key, reason)
                return True
            of_address.move_to_end(connection)
        return False

    def _forget(self, key: str, connection: ServerConnection) -> None:
        of_address = self._by_address.get(key, OrderedDict())
        if connection in of_address:
            del of_address[connection]
            self._total -= 1
            if not of_address:
                del self._by_address[key]


def _key_of(address: Any) -> str:
    """The rate-limit key of a socket's peer; a Unix socket's peer has no address."""
    return rate_limit_key(address[0]) if isinstance(address, tuple) else ""
