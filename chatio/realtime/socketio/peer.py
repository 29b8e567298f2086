"""Peer: what Socket.IO keeps of one Engine.IO connection."""

from typing import NamedTuple

from chatio.realtime.broadcast.cursor import Cursor
from chatio.realtime.broadcast.fanout import Fanout
from chatio.realtime.close_reasons import OUTPUT_NOT_TAKEN
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.payload import EncodedPacket
from chatio.realtime.limits import PENDING_OUTPUT_BYTES
from chatio.realtime.socketio.attachments import PartialPacket


class LogStart(NamedTuple):
    """The log that a client is to be sent, the entry after which it starts, and the `pid` to recover by."""

    fanout: Fanout
    after: int
    pid: str


class Following(NamedTuple):
    """The log that a client is sent, and how far it is."""

    namespace: str
    fanout: Fanout
    cursor: Cursor


class Connecting:
    """A CONNECT that is being decided: packets to its namespace wait until the answer is sent."""

    __slots__ = ("deferred", "deferred_bytes", "log_start", "namespace")

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.deferred: list[EncodedPacket] = []
        self.deferred_bytes = 0
        self.log_start: LogStart | None = None


class Peer:
    """Event loop only."""

    __slots__ = ("connecting", "connection", "following", "namespaces", "partial", "refused_connects")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.namespaces: tuple[str, ...] = ()  # that it is connected to
        self.connecting: Connecting | None = None
        self.following: Following | None = None
        self.partial: PartialPacket | None = None
        self.refused_connects = 0

    def write(self, namespace: str, packets: list[EncodedPacket]) -> None:
        """Send `packets`, in order; behind the CONNECT answer of their namespace if that is not sent yet."""
        connecting = self.connecting
        if connecting is None or connecting.namespace != namespace:
            for packet in packets:
                self.connection.write(packet)
            return
        connecting.deferred += packets
        connecting.deferred_bytes += sum(packet.size_bytes for packet in packets)
        if connecting.deferred_bytes > PENDING_OUTPUT_BYTES:
            connecting.deferred.clear()
            self.connection.refuse(OUTPUT_NOT_TAKEN)
