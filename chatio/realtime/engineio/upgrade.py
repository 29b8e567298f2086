"""Upgrade: a WebSocket takes over a polling session (Engine.IO protocol, "Upgrade").

client "2probe" → server "3probe", and NOOP to the waiting GET → client "5" → the WebSocket is the connection. Some
clients leave out the probe (.NET's SocketIOClient, elephant.io); Node's server takes that, too.
After any other message, or ten seconds without "5", the WebSocket is closed while the session goes on polling.
"""

from typing import Final

from chatio.realtime.close_reasons import PROTOCOL_ERROR, CloseReason, protocol_violation
from chatio.realtime.engineio import packets
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.websocket.transport import WebSocket
from chatio.throttling.input_budget import Budget

_PROBE: Final = "2probe"
_UPGRADE: Final = "5"
_LARGEST_BYTES: Final = 64  # neither message is longer than six


class Upgrade:
    """The owner of the WebSocket until the upgrade is complete. Event loop only."""

    __slots__ = ("_connection", "_websocket")

    def __init__(self, connection: Connection, websocket: WebSocket) -> None:
        self._connection, self._websocket = connection, websocket
        websocket.listener = self

    def begin(self, handshake_answer: bytes, early: bytes) -> None:
        """Answer the WebSocket's handshake, and wait for the probe; `early`: what the client sent behind it.

        The WebSocket is closed at once if the session has ended, or another WebSocket took it over or is about to.
        """
        connection = self._connection
        self._websocket.offer(handshake_answer)
        if connection.closing or connection.websocket is not None or connection.upgrade is not None:
            self._websocket.close()
            return
        connection.upgrade = self
        connection.host.upgrades.add(self)
        self._websocket.start(early)

    @property
    def budget(self) -> Budget:
        return self._connection.budget

    @property
    def max_input_bytes(self) -> int:
        # A client may send its first messages right behind "5", before the server has read that.
        return max(_LARGEST_BYTES, self._connection.max_input_bytes)

    @property
    def max_output_bytes(self) -> int:
        return self._connection.max_output_bytes

    def message_received(self, message: str | bytes) -> None:
        connection = self._connection
        if message == _UPGRADE:
            connection.host.upgrades.discard(self)
            connection.host.upgraded += 1
            connection.use_websocket(self._websocket)
        elif message == _PROBE:
            connection.probed()
            self._websocket.offer(packets.PROBE_ANSWER.frame)
        else:
            connection.host.refused(connection.address, protocol_violation("upgrade"))
            self.abandon()

    def input_read(self, size_bytes: int, frames: int) -> None:
        """The input counts as the connection's; a client past its input rate must do without the upgrade."""
        self._connection.input_read(size_bytes, frames)
        if self._connection.received.is_rate_limited:
            self.abandon()

    def output_moved(self, *, all_taken: bool) -> None:
        """Nothing waits for the answer to the probe to be taken."""

    def connection_lost(self, reason: CloseReason | None) -> None:
        self.abandon()

    def abandon(self) -> None:
        """Close the WebSocket; the session stays what it was, with all output that has waited since."""
        connection = self._connection
        connection.host.upgrades.discard(self)
        if connection.upgrade is self:
            connection.upgrade, connection.is_probed = None, False
        self._websocket.close(PROTOCOL_ERROR)
