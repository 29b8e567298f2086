"""Upgrade: a WebSocket takes over a polling session (Engine.IO protocol, "Upgrade").

client "2probe" → server "3probe", and NOOP to the waiting GET → client "5" → the WebSocket is the connection.
After any other message, or ten seconds without one, the WebSocket is closed while the session goes on polling.
"""

from enum import Enum
from typing import Final, Protocol

from chatio.realtime.close_reasons import PROTOCOL_ERROR, CloseReason, protocol_violation
from chatio.realtime.engineio import payload
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.websocket.timeouts import TimeoutQueue
from chatio.realtime.websocket.transport import WebSocket

_PROBE: Final = "2probe"
_UPGRADE: Final = "5"
_LARGEST_BYTES: Final = 64  # neither message is longer than six


class Step(Enum):
    REPLY = "reply"  # answer the probe
    UPGRADED = "upgraded"  # the WebSocket is the connection now
    BROKEN = "broken"  # the client broke the protocol


class Probe:
    """The exchange itself, pure."""

    __slots__ = ("_expected",)

    def __init__(self) -> None:
        self._expected = _PROBE

    def receive(self, message: str | bytes) -> Step:
        if message != self._expected:
            return Step.BROKEN
        if message == _UPGRADE:
            return Step.UPGRADED
        self._expected = _UPGRADE
        return Step.REPLY


class UpgradeHost(Protocol):
    upgraded: int  # completed upgrades

    @property
    def upgrades(self) -> "TimeoutQueue[Upgrade]": ...
    def refused(self, address: str, reason: CloseReason) -> None: ...


class Upgrade:
    """Owns the WebSocket until the upgrade is complete. Event loop only."""

    __slots__ = ("_connection", "_host", "_probe", "websocket")

    def __init__(self, host: UpgradeHost, connection: Connection) -> None:
        self._host = host
        self._connection = connection
        self._probe = Probe()
        self.websocket: WebSocket | None = None

    def begin(self, websocket: WebSocket, early: bytes) -> None:
        """Begin the exchange on `websocket`, whose client has its 101 already; `early`: what it sent behind that.

        The WebSocket is closed at once if the session has ended, or another WebSocket took it over or is about to.
        """
        self.websocket = websocket
        connection = self._connection
        if connection.closing or connection.websocket is not None or connection.upgrade is not None:
            websocket.close()
            return
        connection.upgrade = self
        self._host.upgrades.add(self)
        websocket.start(early)

    @property
    def max_input_bytes(self) -> int:
        # A client may send its first messages right behind "5", before the server has read that.
        return max(_LARGEST_BYTES, self._connection.max_input_bytes)

    def message_received(self, message: str | bytes) -> None:
        if self.websocket is None:
            return
        step = self._probe.receive(message)
        if step is Step.BROKEN:
            self._host.refused(self._connection.address, protocol_violation("upgrade"))
            self.abandon()
        elif step is Step.REPLY:
            self._connection.begin_upgrade()
            self.websocket.send(payload.PROBE_ANSWER.frame)
        else:
            self._host.upgrades.discard(self)
            self._host.upgraded += 1
            self._connection.use_websocket(self.websocket)

    def input_read(self, size_bytes: int) -> None:
        """The bytes count as the connection's; a client past its input rate must do without the upgrade."""
        self._connection.input_read(size_bytes)
        if self._connection.received.is_rate_limited:
            self.abandon()

    def output_moved(self, *, all_taken: bool) -> None:
        """Nothing waits for the answer to the probe to be taken."""

    def connection_lost(self, reason: CloseReason | None) -> None:
        self.abandon()

    def abandon(self) -> None:
        """Close the WebSocket; the session stays what it was."""
        self._host.upgrades.discard(self)
        self._connection.upgrade_failed(self)
        if self.websocket is not None:
            self.websocket.close(PROTOCOL_ERROR)
