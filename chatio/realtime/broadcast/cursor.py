"""Cursor: how far one connection has read a log, and which packets of its own it is sent on the way."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from socket import socket
from typing import Any, Final, NamedTuple, Protocol

from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.packets import NOOP, EncodedPacket
from chatio.realtime.limits import CHUNK_BYTES, PENDING_OUTPUT_BYTES
from chatio.throttling.timeouts import TimeoutQueue

CHUNK_ENTRIES: Final = 256  # read from the log for one chunk, at most
RECENT_BYTES: Final = 4 * CHUNK_BYTES
RECENT_RUNS: Final = 8
CLOSED: Final = -1  # the sequence of a cursor that no broadcast matches any more


class Log(Protocol):
    """Entries numbered without gaps, each with its `sequence`. Those after `tail`, up to `head`, can be read.

    An entry may have changed earlier ones: `changed` has their sequences. One that says nothing any more is void.
    """

    head: int
    tail: int

    def read(self, after: int, *, limit: int | None = None) -> Sequence[Any]: ...
    def void_until(self, sequence: int) -> int:
        """The last of the void entries that begin with `sequence`, or `sequence` itself if it is none of them."""
        ...


class Run(NamedTuple):
    """Packets that follow one another, up to the entry `end`; and all their frames, for a WebSocket."""

    end: int
    packets: list[EncodedPacket]
    frames: bytes


class EncodedLog:
    """A log whose newest entries are encoded once, for all connections. Event loop only."""

    def __init__(
        self, log: Log, event: Callable[[Any], list[Any] | None], encode: Callable[[list[Any]], EncodedPacket]
    ) -> None:
        """`event` makes a name and arguments of an entry, or None of an entry that says nothing any more.

        `encode` makes the packet for a client of these.
        """
        self.log = log
        self.head = log.head  # entries up to here are encoded, and may be sent
        # By sequence: the entries that no broadcast has taken yet, and the newest, for clients that lag a little.
        self.recent: dict[int, EncodedPacket] = {}
        self._event = event
        self._encode = encode
        self._recent_bytes = 0
        # By the sequence before them, since many clients start at the same place; of the log with this tail.
        self._runs: dict[int, Run] = {}
        self._runs_tail = log.tail

    def encode_new(self, taken: int) -> None:
        """Encode the entries of the log after `head`, one after the other, and move `head` behind each.

        Of the packets up to `taken`, which a broadcast has taken, about `RECENT_BYTES` are kept. The packet of an
        entry that the log has dropped is not: no later entry would tell that its text is gone.
        """
        while self.recent and (oldest := next(iter(self.recent))) <= taken:
            if self._recent_bytes <= RECENT_BYTES and oldest > self.log.tail:
                break
            self._recent_bytes -= len(self.recent.pop(oldest).encoded)
        for entry in self.log.read(self.head):
            packet = self.recent[entry.sequence] = self._packet(entry)
            self._recent_bytes += len(packet.encoded)
            self.head = entry.sequence
            if entry.changed:
                self._runs.clear()
            for sequence in entry.changed:
                self._encode_again(sequence)

    def read(self, after: int) -> Iterator[tuple[int, EncodedPacket]]:
        """Sequence and packet of the entries after `after`, up to `head`; of at most `CHUNK_ENTRIES`.

        Void entries that follow one another are one, the last of them.
        """
        sequence = after
        for _ in range(min(self.head - after, CHUNK_ENTRIES)):
            if sequence >= self.head:
                return
            sequence += 1
            if sequence < self.head:  # no entry follows the newest one
                sequence = min(self.log.void_until(sequence), self.head)
            packet = self.recent.get(sequence)  # nearly every time: the one entry that is new
            if packet is None:
                (entry,) = self.log.read(sequence - 1, limit=1)
                packet = self._packet(entry)
            yield sequence, packet

    def run(self, after: int) -> Run:
        """The entries after `after`, of about `CHUNK_BYTES`: joined once for all clients that start there."""
        if self._runs_tail != self.log.tail:  # what the log dropped may have been deleted
            self._runs.clear()
            self._runs_tail = self.log.tail
        run = self._runs.get(after)
        if run is None or (run.end < self.head and len(run.frames) < CHUNK_BYTES):
            end, packets, size = after, list[EncodedPacket](), 0
            for sequence, packet in self.read(after):
                end = sequence
                packets.append(packet)
                size += len(packet.frame)
                if size >= CHUNK_BYTES:
                    break
            if len(self._runs) >= RECENT_RUNS:
                del self._runs[next(iter(self._runs))]
            run = self._runs[after] = Run(end, packets, b"".join([packet.frame for packet in packets]))
        return run

    def _encode_again(self, sequence: int) -> None:
        if (before := self.recent.get(sequence)) is None:
            return
        is_kept = sequence > self.log.tail
        packet = self._packet(*self.log.read(sequence - 1, limit=1)) if is_kept else NOOP
        self.recent[sequence] = packet
        self._recent_bytes += len(packet.encoded) - len(before.encoded)

    def _packet(self, entry: Any) -> EncodedPacket:
        event = self._event(entry)
        return NOOP if event is None else self._encode(event)


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
    ready: socket | None = None  # takes the next broadcast as it is, until output waits for the client
    in_kernel: int = 0  # bytes that the kernel held for a blocked client, when the fan-out last looked

    @property
    def is_closed(self) -> bool:
        return self.sequence == CLOSED

    @property
    def is_caught_up(self) -> bool:
        """The client took every entry, and every packet of its own."""
        return self.sequence >= self.log.head and self.deferred is None and self not in self.fanout.blocked

    def defer(self, packet: EncodedPacket) -> bool:
        """Take `packet`, which is for this client alone, if entries go before it. False: send it at once."""
        if self.is_caught_up:
            return False
        self.append(packet)
        return True

    def append(self, packet: EncodedPacket) -> None:
        """Send `packet` behind every entry that is encoded by now."""
        if self.deferred is None:
            self.deferred, self.ready = deque(), None
        self.deferred.append((self.log.head, packet))
        self.deferred_bytes += len(packet.encoded)
        if self.deferred_bytes > PENDING_OUTPUT_BYTES:
            self.fanout.drop(self, "own_packets")
        else:
            self.fanout.make_due(self)

    def output_moved(self, *, all_taken: bool) -> None:
        """Output waits for the client, which took some of it or all of it."""
        self.ready = None
        if all_taken and self.fanout.blocked.discard(self):
            self.fanout.make_due(self)
        elif self in self.fanout.blocked:
            self.block()

    def block(self) -> None:
        """Give the client nothing more until it has taken all that it was given."""
        self.fanout.blocked.add(self)
        websocket = self.connection.websocket
        try:
            self.in_kernel = 0 if websocket is None else websocket.unacknowledged_bytes()
        except OSError:  # a platform that cannot say: a slow client is judged without it
            self.in_kernel = 0

    def give_chunk(self) -> None:
        """Give the client its next entries and packets, of at most about `CHUNK_BYTES`."""
        run = self.log.run(self.sequence) if self.deferred is None else self._run_with_own()
        self.sequence = run.end
        if not run.packets:
            return
        websocket = self.connection.websocket
        if websocket is None:  # its next GET takes them
            for packet in run.packets:
                self.connection.write_now(packet)
        if websocket is None or not websocket.offer(run.frames):
            self.block()
        elif self.sequence < self.log.head or self.deferred is not None:
            self.fanout.make_due(self)

    def _run_with_own(self) -> Run:
        """The client's next entries, with the packets of its own that go behind each."""
        packets: list[EncodedPacket] = []
        end, size, entries = self.sequence, 0, self.log.read(self.sequence)
        while size < CHUNK_BYTES:
            if self.deferred and self.deferred[0][0] <= end:
                _, packet = self.deferred.popleft()
                self.deferred_bytes -= len(packet.encoded)
            elif (entry := next(entries, None)) is not None:
                end, packet = entry
            else:
                break
            packets.append(packet)
            size += len(packet.encoded)
        self.deferred = self.deferred or None
        return Run(end, packets, b"".join([packet.frame for packet in packets]))
