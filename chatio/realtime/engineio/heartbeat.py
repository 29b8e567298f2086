"""Heartbeat: pings and their timeouts, for all connections (Engine.IO protocol, "Heartbeat")."""

from typing import Final, Protocol

from chatio.realtime.websocket.timeouts import TimeoutQueue

# A request this close to its session's ping timeout finds the session ended: timers run up to this late.
EARLY_SECONDS: Final = 0.005


class Peer(Protocol):
    def ping(self) -> None: ...
    def ping_timed_out(self) -> bool:
        """End the connection; False if the answer may wait in output of the client that is not read yet."""


class Heartbeat:
    """The pings of all connections. Event loop only."""

    def __init__(self, interval: float, timeout: float) -> None:
        """A ping is due `interval` seconds after the last answer, its answer within `timeout`."""
        self.pings: TimeoutQueue[Peer] = TimeoutQueue(interval, self._ping)
        self._pongs: TimeoutQueue[Peer] = TimeoutQueue(timeout, self._end)

    def __len__(self) -> int:
        return len(self.pings) + len(self._pongs)

    def beat(self, peer: Peer) -> None:
        """The client of `peer` answered a ping; without one it says nothing, and postpones nothing."""
        if self._pongs.discard(peer):
            self.pings.add(peer)

    def stop(self, peer: Peer) -> None:
        """The connection has ended."""
        self.pings.discard(peer)
        self._pongs.discard(peer)

    def end_if_overdue(self, peer: Peer) -> None:
        """End the connection if its ping timeout is over, though the timer may not have run yet."""
        if self._pongs.is_overdue(peer, EARLY_SECONDS):
            self._end(peer)

    def _ping(self, peer: Peer) -> None:
        # From when the ping is really sent: a stalled loop must not use up the client's time.
        self._pongs.add(peer)
        peer.ping()

    def _end(self, peer: Peer) -> None:
        if not peer.ping_timed_out():
            self._pongs.add(peer)
