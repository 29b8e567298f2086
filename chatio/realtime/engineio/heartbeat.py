"""Pings and the answers to them, for all connections (Engine.IO protocol, "Heartbeat").

The library keeps a sleeping task for each connection, and looks at the answers only when it happens to send.
"""

from typing import TYPE_CHECKING

from chatio.realtime.websocket.timeouts import TimeoutQueue

if TYPE_CHECKING:
    from chatio.realtime.engineio.connection import Connection

# A request that comes this close to the end of its session's time finds it ended: timers run up to this late.
EARLY_SECONDS = 0.005


class Heartbeat:
    """Pings each connection `interval` seconds after its last answer, and drops it `timeout` after a ping."""

    def __init__(self, interval: float, timeout: float) -> None:
        self._pings: TimeoutQueue[Connection] = TimeoutQueue(interval, self._ping)
        self._pongs: TimeoutQueue[Connection] = TimeoutQueue(timeout, self._expired)

    def __len__(self) -> int:
        return len(self._pings) + len(self._pongs)

    def beat(self, connection: "Connection") -> None:
        """`connection` has just opened or answered."""
        self._pongs.discard(connection)
        self._pings.add(connection)

    def stop(self, connection: "Connection") -> None:
        """`connection` has ended."""
        self._pings.discard(connection)
        self._pongs.discard(connection)

    def is_overdue(self, connection: "Connection") -> bool:
        """The answer of `connection` is late, though its timer may not have run yet."""
        return self._pongs.is_overdue(connection, EARLY_SECONDS)

    def _ping(self, connection: "Connection") -> None:
        self._pongs.add(
            connection
        )  # from when the ping was really sent: a stalled loop must not eat the client's time
        connection.ping()

    def _expired(self, connection: "Connection") -> None:
        if connection.is_paused:  # its answer may be waiting in the socket that we do not read
            self._pongs.add(connection)
        else:
            connection.drop(connection.server.reason.PING_TIMEOUT)
