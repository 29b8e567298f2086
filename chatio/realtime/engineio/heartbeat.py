"""Heartbeat: pings and their timeouts, for all connections (Engine.IO protocol, "Heartbeat").

The library keeps a sleeping task for each connection, and looks at the answers only when it happens to send.
"""

from typing import Final, Protocol

from chatio.realtime.limits import LEAVING_SECONDS
from chatio.realtime.websocket.timeouts import TimeoutQueue

# A request that arrives this close to its session's ping timeout finds the session ended: timers run up to this
# late.
EARLY_SECONDS: Final = 0.005


class Peer(Protocol):
    """A connection, as its timers know it."""

    @property
    def is_paused(self) -> bool:
        """The server does not read the client's output, in which the answer to a ping may wait."""

    def ping(self) -> None: ...
    def ping_timed_out(self) -> None: ...
    def finish_leaving(self) -> None: ...


class Heartbeat:
    """The timers of all connections. Event loop only.

    `pings`: the next ping of each connection, `interval` seconds after its last answer. `pongs`: the ping timeout,
    `timeout` seconds after a ping. `leaving`: polling clients that said CLOSE, and may have a GET on its way.
    """

    def __init__(self, interval: float, timeout: float) -> None:
        self.pings: TimeoutQueue[Peer] = TimeoutQueue(interval, self._ping)
        self.leaving: TimeoutQueue[Peer] = TimeoutQueue(LEAVING_SECONDS, lambda peer: peer.finish_leaving())
        self._pongs: TimeoutQueue[Peer] = TimeoutQueue(timeout, self._expired)

    def __len__(self) -> int:
        return len(self.pings) + len(self._pongs) + len(self.leaving)

    def beat(self, peer: Peer) -> None:
        """The client of `peer` answered a ping."""
        self._pongs.discard(peer)
        self.pings.add(peer)

    def stop(self, peer: Peer) -> None:
        """The connection has ended."""
        self.pings.discard(peer)
        self._pongs.discard(peer)
        self.leaving.discard(peer)

    def is_overdue(self, peer: Peer) -> bool:
        """Whether the ping timeout of `peer` is over, though its timer may not have run yet."""
        return self._pongs.is_overdue(peer, EARLY_SECONDS)

    def _ping(self, peer: Peer) -> None:
        # From when the ping is really sent: a stalled loop must not use up the client's time.
        self._pongs.add(peer)
        peer.ping()

    def _expired(self, peer: Peer) -> None:
        if peer.is_paused:
            self._pongs.add(peer)
        else:
            peer.ping_timed_out()
