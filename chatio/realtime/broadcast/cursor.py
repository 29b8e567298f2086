"""Cursor: how far one connection has read a log, and what of its own it must be sent on the way."""

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from chatio.realtime.broadcast.encoded_log import EncodedLog
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.packets import EncodedPacket
from chatio.realtime.limits import CHUNK_BYTES, PENDING_OUTPUT_BYTES
from chatio.realtime.websocket.timeouts import TimeoutQueue

CLOSED: Final = -1  # the sequence of a cursor that no broadcast matches any more


class Scheduler(Protocol):
    """The fan-out, as its cursors know it."""

    blocked: "TimeoutQueue[Cursor]"

    def make_due(self, cursor: "Cursor") -> None: ...
    def drop(self, cursor: "Cursor", kind: str) -> None: ...


@dataclass(slots=True, eq=False)
class Cursor:
    """The place of one connection in a log. Event loop only."""

    connection: Connection
    log: EncodedLog
    fanout: Scheduler
    sequence: int  # of the last entry that the connection was given; CLOSED when it has left
    # The connection's own packets, each with the sequence of the entry behind which it goes.
    deferred: deque[tuple[int, EncodedPacket]] | None = None
    deferred_bytes: int = 0
    in_kernel: int = 0  # bytes for a blocked client there, when the fan-out last looked

    @property
    def is_closed(self) -> bool:
        return self.sequence == CLOSED

    @property
    def is_caught_up(self) -> bool:
        """The client took every entry, and every packet of its own."""
        return self.sequence >= self.log.head and self.deferred is None and self not in self.fanout.blocked

    def defer(self, packet: EncodedPacket) -> bool:
        """Take `packet`, which is for this client alone, if entries go before it. False: send it now."""
        if self.is_caught_up:
            return False
        self.append(packet)
        return True

    def append(self, packet: EncodedPacket) -> None:
        """Send `packet` behind every entry that is encoded by now."""
        if self.deferred is None:
            self.deferred = deque()
        self.deferred.append((self.log.head, packet))
        self.deferred_bytes += len(packet.encoded)
        if self.deferred_bytes > PENDING_OUTPUT_BYTES:
            self.fanout.drop(self, "own_packets")
        else:
            self.fanout.make_due(self)

    def output_moved(self, *, all_taken: bool) -> None:
        """The client took some of the waiting output, or all of it."""
        if all_taken and self.fanout.blocked.discard(self):
            self.fanout.make_due(self)
        elif self in self.fanout.blocked:
            self.block()

    def block(self) -> None:
        """The client has not taken all it was given: nothing more is given to it until it has."""
        self.fanout.blocked.add(self)
        try:
            self.in_kernel = self.connection.unacknowledged_bytes()
        except OSError:  # a platform that cannot say: a slow client is judged without it
            self.in_kernel = 0

    def give_chunk(self) -> None:
        """Give the client its next entries and packets, of at most about `CHUNK_BYTES`."""
        packets = self._next_chunk()
        if not packets:
            return
        websocket = self.connection.websocket
        if websocket is None:
            taken = self.connection.offer(packets)
        else:
            taken = websocket.offer(b"".join([packet.frame for packet in packets]))
        if not taken:
            self.block()
        elif self.sequence < self.log.head or self.deferred is not None:
            self.fanout.make_due(self)

    def _next_chunk(self) -> list[EncodedPacket]:
        packets: list[EncodedPacket] = []
        size = 0
        entries = self.log.read(self.sequence)
        while size < CHUNK_BYTES:
            if self.deferred and self.deferred[0][0] <= self.sequence:
                _, packet = self.deferred.popleft()
                self.deferred_bytes -= len(packet.encoded)
            elif (entry := next(entries, None)) is not None:
                self.sequence, packet = entry
            else:
                break
            packets.append(packet)
            size += len(packet.encoded)
        self.deferred = self.deferred or None
        return packets
