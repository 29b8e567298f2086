"""Fan-out by cursors: one log, and for each connection how far it has read.

The library makes a task for each recipient of a broadcast, and queues what a recipient does not take: 134 µs a
delivery, and memory without end for a client that does not read. Here all delivery is one act, "send this
connection what lies between its cursor and the head":

- A *round* takes the next entries, at most 64 KiB, as one run of WebSocket frames, built once, and hands it to
  each connection whose cursor stands where the round begins: one non-blocking `send` each.
- Who stands elsewhere (has just joined, did stall, has packets of its own among the entries, or polls) is given
  *pieces* of its own, of at most 64 KiB, one after the other.
- A connection that does not take a piece at once holds that piece and nothing more. When it has taken it, it goes
  on from the log, which is its queue. Who falls off the log, or takes nothing for `slow_seconds`, is dropped.

A turn of the loop ends after about `TURN_SECONDS`; cursors keep order and completeness from turn to turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from chatio.realtime.broadcast.cursor import Cursor, Log
from chatio.realtime.engineio.payload import EncodedPacket
from chatio.realtime.limits import PENDING_OUTPUT_BYTES, PIECE_BYTES
from chatio.realtime.log import logger
from chatio.realtime.websocket.timeouts import TimeoutQueue
from chatio.telemetry.counters import Histogram, LabelledCounter

if TYPE_CHECKING:
    from chatio.realtime.engineio.connection import Connection

TURN_SECONDS: Final = 0.008
PIECE_ENTRIES: Final = 256  # read from the log for one piece, at most
RECENT_BYTES: Final = 256 * 1024  # four pieces

# Why a slow client is dropped: for counting, and in words for the log.
DROPS: Final = {
    "fell_off_log": "fell off the log",
    "took_nothing": "took nothing for {seconds:g} s",
    "own_packets": "too much of its own waits for it",
}


class Fanout:
    """Delivers one log to the connections that joined. Event loop only; nothing here waits for a client."""

    def __init__(self, log: Log, encode: Callable[[Any], EncodedPacket], *, slow_seconds: float) -> None:
        """`encode`: an entry of the log as the packet that a client receives."""
        self.dropped = LabelledCounter(DROPS)  # clients that were too slow
        self.times = Histogram()  # of each entry, from `wake` to the last of those who keep up
        self._deliveries = 0  # to those who have left
        self._log = log
        self._encode = encode
        self._cursors: dict[Cursor, None] = {}
        # The newest entries, encoded: those that no round delivered yet, and those before for who lags a little.
        self._fresh: deque[EncodedPacket] = deque()
        self._fresh_since: deque[float] = deque()
        self._asides: list[tuple[EncodedPacket, Connection | None]] = []
        self._recent: dict[int, EncodedPacket] = {}
        self._recent_bytes = 0
        self._seen = log.head
        # The round under way: whose turn it still is, from which number to which, and the frames between.
        self._round: Iterator[Cursor] | None = None
        self._level = self._round_end = log.head
        self._run = b""
        self._round_since: list[float] = []
        self._round_asides: list[tuple[EncodedPacket, Connection | None]] = []
        self._left_out: set[Connection] = set()
        self._due: deque[Cursor] = deque()
        self._stalled: TimeoutQueue[Cursor] = TimeoutQueue(slow_seconds, self._took_nothing)
        self._is_scheduled = False

    # Who is served

    def join(self, connection: "Connection", after: int) -> None:
        """From now on `connection` receives each entry after number `after` that the log still has, in order."""
        cursor = connection.cursor = Cursor(self, connection, max(after, self._log.tail))
        self._cursors[cursor] = None
        self._make_due(cursor)

    def leave(self, connection: "Connection") -> None:
        """The end of it; without effect if it had not joined. What is for it alone, it still gets."""
        cursor, connection.cursor = connection.cursor, None
        if cursor is not None:
            self._cursors.pop(cursor, None)
            self._deliveries += cursor.number - cursor.started_at
            self._stalled.discard(cursor)
            for _, packet in cursor.held or ():
                connection.write(packet)

    def wake(self) -> None:
        """The log has new entries: they are delivered in the next turns of the loop.

        Encoded here, so that even a log that keeps less than one turn's entries loses none for who is level.
        """
        now = asyncio.get_running_loop().time()
        for entry in self._log.read(self._seen):
            packet = self._remember(entry)
            self._fresh.append(packet)
            self._fresh_since.append(now)
        self._seen = self._log.head
        self._schedule()

    def aside(self, packet: EncodedPacket, *, but: "Connection | None" = None) -> None:
        """Send `packet`, which is not of the log, to everybody who is up to date, in their next send.

        Who lags does without; so does `but`.
        """
        self._asides.append((packet, but))
        self._schedule()

    # What connections ask and tell

    def is_level(self, cursor: Cursor) -> bool:
        """See `Cursor.is_level`."""
        return cursor.number >= self._seen and not cursor.is_stalled and cursor.held is None

    @property
    def deliveries(self) -> int:
        """How many times an entry was handed to a connection, to the kernel or to what waits for it there.

        Every cursor knows what it has been given: nothing is counted at a delivery. 0.6 ms at 10,000 connections.
        """
        return self._deliveries + sum(cursor.number - cursor.started_at for cursor in self._cursors)

    def hold(self, cursor: Cursor, packet: EncodedPacket, *, always: bool = False) -> bool:
        """See `Cursor.hold`; `always`: also if nothing goes before it."""
        if not always and self.is_level(cursor):
            return False
        if cursor.held is None:
            cursor.held = deque()
        cursor.held.append((self._seen, packet))
        cursor.held_bytes += packet.size_bytes
        if cursor.held_bytes > PENDING_OUTPUT_BYTES:
            self._drop(cursor, "own_packets")
        elif not cursor.is_stalled:
            self._make_due(cursor)
        return True

    def moved(self, cursor: Cursor, *, all_taken: bool) -> None:
        """See `Cursor.moved`."""
        if not all_taken:
            self._stall(cursor)
            return
        self._stalled.discard(cursor)
        cursor.is_stalled = False
        self._make_due(cursor)

    # Turns of the loop

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _make_due(self, cursor: Cursor) -> None:
        if not cursor.is_due:
            cursor.is_due = True
            self._due.append(cursor)
            self._schedule()

    def _turn(self) -> None:
        """Rounds, then pieces, until there are none or the time is up."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + TURN_SECONDS
        if self._give_rounds(loop.time, ends) and self._give_pieces(loop.time, ends):
            self._is_scheduled = False
        else:
            loop.call_soon(self._turn)

    def _give_rounds(self, clock: Callable[[], float], ends: float) -> bool:
        """Whether all rounds are done, and not just the time over. The inner loop is what a delivery costs:

        0.4 µs beside the 4 to 6 of the kernel's `send`, with one sender and 500 clients.
        """
        while self._round is not None or self._begin_round():
            run, level, end = self._run, self._level, self._round_end
            for step, cursor in enumerate(self._round or ()):
                if cursor.number == level and not cursor.is_stalled:
                    websocket = cursor.connection.websocket
                    if websocket is None or cursor.held is not None or cursor.connection in self._left_out:
                        self._give_asides(cursor)
                    else:
                        cursor.number = end
                        if not websocket.offer(run):
                            self._stall(cursor)
                if step & 31 == 31 and clock() > ends:
                    return False
            self._level, self._round = end, None
            now = clock()
            for since in self._round_since:
                self.times.observe(now - since)
        return True

    def _give_pieces(self, clock: Callable[[], float], ends: float) -> bool:
        """Whether everybody who was due has a piece, and not just the time over."""
        while self._due:
            if clock() > ends:
                return False
            cursor = self._due.popleft()
            cursor.is_due = False
            if cursor in self._cursors and not cursor.is_stalled:
                self._give_piece(cursor)
        return True

    def _begin_round(self) -> bool:
        """Make the next run of frames; False if everything was delivered."""
        if not self._fresh and not self._asides:
            return False
        self._round_asides, self._asides = self._asides, []
        self._left_out = {but for _, but in self._round_asides if but is not None}
        self._round_since = []
        frames = []
        size = 0
        while self._fresh and size < PIECE_BYTES:
            frames.append(self._fresh.popleft().frame)
            self._round_since.append(self._fresh_since.popleft())
            size += len(frames[-1])
        self._round_end = self._level + len(frames)
        self._run = b"".join([*frames, *(packet.frame for packet, _ in self._round_asides)])
        self._round = iter(list(self._cursors))
        for cursor in self._stalled:
            if cursor.number < self._log.tail:
                self._drop(cursor, "fell_off_log")
        return True

    def _give_asides(self, cursor: Cursor) -> None:
        """What this round has, for who cannot take its run as it is: the entries follow as a piece."""
        for packet, but in self._round_asides:
            if but is not cursor.connection:
                self.hold(cursor, packet, always=True)
        self._make_due(cursor)

    def _give_piece(self, cursor: Cursor) -> None:
        if cursor.number < self._log.tail:
            self._drop(cursor, "fell_off_log")
            return
        packets = self._next_piece(cursor)
        if not packets:
            return
        if not cursor.connection.offer(packets):
            self._stall(cursor)
        elif cursor.number < self._seen or cursor.held is not None:
            self._make_due(cursor)

    def _next_piece(self, cursor: Cursor) -> list[EncodedPacket]:
        """What comes next for this connection, its own packets at their places among the entries."""
        packets: list[EncodedPacket] = []
        size = 0
        entries = iter(self._log.read(cursor.number, limit=PIECE_ENTRIES))
        while size < PIECE_BYTES:
            if cursor.held and cursor.held[0][0] <= cursor.number:
                _, packet = cursor.held.popleft()
                cursor.held_bytes -= packet.size_bytes
            elif (entry := next(entries, None)) is not None and entry.sequence <= self._seen:
                cursor.number = entry.sequence
                packet = self._recent.get(entry.sequence) or self._encode(entry)
            else:
                break
            packets.append(packet)
            size += packet.size_bytes
        if not cursor.held:
            cursor.held = None
        return packets

    def _remember(self, entry: Any) -> EncodedPacket:
        packet = self._recent[entry.sequence] = self._encode(entry)
        self._recent_bytes += packet.size_bytes
        while self._recent_bytes > RECENT_BYTES:
            self._recent_bytes -= self._recent.pop(next(iter(self._recent))).size_bytes
        return packet

    # Who does not keep up

    def _stall(self, cursor: Cursor) -> None:
        cursor.is_stalled = True
        cursor.in_kernel = _in_kernel(cursor)
        self._stalled.add(cursor)

    def _took_nothing(self, cursor: Cursor) -> None:
        """Nothing of what waits here; but the kernel may have megabytes for who reads slowly, and sent some."""
        in_kernel = _in_kernel(cursor)
        if in_kernel < cursor.in_kernel:
            cursor.in_kernel = in_kernel
            self._stalled.add(cursor)
        else:
            self._drop(cursor, "took_nothing")

    def _drop(self, cursor: Cursor, kind: str) -> None:
        self.dropped.increment(kind)
        why = DROPS[kind].format(seconds=self._stalled.seconds)
        connection = cursor.connection
        behind = self._log.head - cursor.number
        logger.info(
            "slow client at %s dropped, %d messages behind: %s",
            connection.address,
            behind,
            why,
            extra={"event": "slow_client", "address": connection.address, "behind": behind, "reason": why},
        )
        cursor.held = None
        self.leave(connection)
        connection.abort()


def _in_kernel(cursor: Cursor) -> int:
    websocket = cursor.connection.websocket
    return 0 if websocket is None else websocket.unacknowledged_bytes()
