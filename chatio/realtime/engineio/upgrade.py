"""A WebSocket that came to take over a polling session (Engine.IO protocol, "Upgrade").

client "2probe" → server "3probe", and NOOP to the GET that waits → client "5" → the WebSocket is the
connection. Anything else, or ten seconds without it, and the WebSocket is closed while the session goes on
polling.
"""

from typing import TYPE_CHECKING

from chatio.realtime.engineio import payload
from chatio.realtime.socketio.packets import Engine
from chatio.realtime.websocket.frames import PROTOCOL_ERROR

if TYPE_CHECKING:
    from chatio.realtime.engineio.connection import Connection
    from chatio.realtime.websocket.transport import WebSocket

PROBE = f"{int(Engine.PING)}probe"
UPGRADE = str(int(Engine.UPGRADE))
_LARGEST_BYTES = 64  # neither message is longer than six


class Upgrade:
    """Owns the WebSocket until the upgrade is complete."""

    __slots__ = ("_connection", "_expects", "websocket")

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._expects = PROBE
        self.websocket: WebSocket | None = None

    def begin(self, websocket: "WebSocket", early: bytes) -> None:
        """Take over, unless another WebSocket already has, or is about to.

        Node too answers 101 first, and closes.
        """
        self.websocket = websocket
        connection = self._connection
        if connection.closing or connection.websocket is not None or connection.upgrade is not None:
            websocket.close()
            return
        connection.upgrade = self
        connection.server.upgrades.add(self)
        websocket.start(early)

    def input_limit(self) -> int:
        # A client may send its first messages right behind "5", before we have read it.
        return max(_LARGEST_BYTES, self._connection.max_input_bytes)

    def message_received(self, message: str | bytes) -> None:
        if self.websocket is None:
            return
        if message != self._expects:
            self._connection.server.refused(self._connection.address, "upgrade")
            self.abandon(PROTOCOL_ERROR)
        elif message == PROBE:
            self._expects = UPGRADE
            self._connection.begin_upgrade()
            self.websocket.send(payload.PROBE_ANSWER.frame)
        else:
            self._connection.server.upgrades.discard(self)
            self._connection.server.upgraded += 1
            self._connection.use_websocket(self.websocket)

    def input_read(self, size_bytes: int) -> None:
        """It counts as the connection's; who has sent too much must do without the upgrade."""
        self._connection.input_read(size_bytes)
        if self._connection.is_too_fast:
            self.abandon()

    def output_moved(self, *, all_taken: bool) -> None:
        """Nobody waits for a probe to be taken."""

    def connection_lost(self, broken_rule: str | None) -> None:
        self.abandon()

    def abandon(self, code: int = PROTOCOL_ERROR) -> None:
        """Close the WebSocket; the session stays what it was."""
        self._connection.server.upgrades.discard(self)
        self._connection.upgrade_failed(self)
        if self.websocket is not None:
            self.websocket.close(code)
