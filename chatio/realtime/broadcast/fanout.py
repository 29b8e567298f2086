"""Fan-out by cursors: one log, and for each connection how far it has read.

The library makes a task for each recipient of a broadcast, and queues output that a recipient does not take: 134
µs a delivery, and memory without end for a client that does not read. Here all delivery is one act, "send this
connection the entries between its cursor and the head":

- A *broadcast* takes the next entries, at most 64 KiB, as one run of WebSocket frames, built once, and hands it to
  each connection whose cursor stands where the broadcast begins: one non-blocking `send` each. A second thread
  helps with it while the fan-out is not busy (docs/decisions/0024-a-second-thread.md).
- A cursor that stands elsewhere (its client has just joined, was blocked, has packets of its own among the
  entries, or polls) is given *chunks* of its own, of at most 64 KiB, one after the other.
- A connection that does not take a chunk at once is *blocked*: it holds that chunk and nothing more. When it has
  taken the chunk, it goes on from the log, which is its queue. A client that falls off the log, or takes nothing
  for `slow_seconds`, is dropped.

A *tick* of the fan-out ends after about `TICK_SECONDS`; cursors keep order and completeness from tick to tick. So
they do after an exception: one at a client's cursor closes its connection, after any other the next tick goes on.
"""

import asyncio
import os
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from operator import length_hint
from time import thread_time
from typing import Final

from chatio.realtime.broadcast.cursor import CLOSED, Cursor, EncodedLog
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.packets import EncodedPacket
from chatio.realtime.limits import CHUNK_BYTES
from chatio.realtime.log import logger, report
from chatio.telemetry.counters import Histogram, LabelledCounter
from chatio.throttling.timeouts import TimeoutQueue

TICK_SECONDS: Final = 0.008
CHUNKS_SECONDS: Final = 0.002  # of a tick, for clients that lag: those that keep up wait for it
MAX_LATER: Final = 1000  # durations that are counted later
BLOCK: Final = 32  # clients of a broadcast between two looks at the clock
HELPED_CLIENTS: Final = 200 if (os.cpu_count() or 1) > 1 else sys.maxsize  # from so many on a thread helps
BUSY_SHARE: Final = 0.1  # a loop that works more is not helped: amid a thousand connects it waits 19 ms for that
RETRY_SECONDS: Final = 0.05  # after a tick that failed
STALLED_SECONDS: Final = 5.0

# Why a slow client is dropped: the label of the metric, and the text of the log line.
DROPS: Final = {
    "fell_off_log": "fell off the log",
    "took_nothing": "took nothing for {seconds:g} s",
    "own_packets": "too much of its own waits for it",
}


class Fanout:
    """Delivers one log to the connections that joined. Event loop only; nothing here waits for a client."""

    def __init__(self, log: EncodedLog, *, slow_seconds: float) -> None:
        self.dropped = LabelledCounter(DROPS)  # slow clients
        self.blocked: TimeoutQueue[Cursor] = TimeoutQueue(slow_seconds, self._took_nothing)
        self.times = Histogram()  # of each entry, from `wake` to the last client that keeps up
        self._log = log
        self._deliveries = 0  # to cursors that have left, minus the sequence at which each cursor joined
        self._cursors: dict[Cursor, None] = {}
        self._woken: deque[float] = deque()  # when each entry was encoded that no broadcast has delivered
        self._volatile: list[tuple[EncodedPacket, Connection | None]] = []
        # The broadcast under way: cursors that are still to be served, from which sequence to which, the frames,
        # the volatile packets among them, and the connections that are not sent one of these. And the cursors
        # that are not ready for it, or took only so many bytes of it.
        self._broadcast: Iterator[Cursor] | None = None
        self._begin = self._end = log.head
        self._run = b""
        self._extra: list[tuple[EncodedPacket, Connection | None]] = []
        self._excepted: set[Connection] = set()
        self._remainders: deque[tuple[Cursor, int]] = deque()
        self._is_helped = False
        self._helper = ThreadPoolExecutor(1, "fan-out")
        self._began = self._ended = 0.0  # the newest broadcast, in the loop's time
        self._worked = thread_time()  # by the loop's thread until it ended
        self._due: OrderedDict[Cursor, None] = OrderedDict()
        self._is_scheduled = False
        self._failing_since: float | None = None  # no tick has ended without an exception since

    # Members

    def join(self, connection: Connection, after: int) -> Cursor:
        """Give `connection`, from now on, each entry after number `after` that the log still has, in order."""
        cursor = Cursor(connection, self._log, self, max(after, self._log.log.tail))
        self._deliveries -= cursor.sequence
        self._cursors[cursor] = None
        if cursor.sequence != self._end:  # else the next broadcast begins where the cursor stands
            self.make_due(cursor)
        return cursor

    def leave(self, cursor: Cursor) -> None:
        """End the delivery to `cursor`, even in a broadcast under way, and send its own packets that wait."""
        if cursor.is_closed:
            return
        del self._cursors[cursor]
        self._deliveries += cursor.sequence
        self.blocked.discard(cursor)
        cursor.sequence, left, cursor.deferred = CLOSED, cursor.deferred, None
        for _, packet in left or ():
            cursor.connection.write(packet)

    def wake(self) -> None:
        """Deliver the log's new entries in the next ticks.

        They are encoded here: so a client that keeps up misses none, even of a log that keeps less than a tick's.
        """
        self._schedule()
        try:
            self._encode_new()
        except Exception as error:  # the next tick tries again
            report("delivery", error)

    def send_volatile(self, packet: EncodedPacket, *, but: Connection | None = None) -> None:
        """Send `packet`, which is not of the log, to each caught-up client in its next send, but not to `but`."""
        self._volatile.append((packet, but))
        self._schedule()

    @property
    def is_stalled(self) -> bool:
        """Whether delivery has failed for so long that only a restart will help."""
        since = self._failing_since
        return since is not None and asyncio.get_running_loop().time() - since >= STALLED_SECONDS

    @property
    def deliveries(self) -> int:
        """How many times an entry was given to a connection. Summed up here: 0.6 ms at 10,000 connections."""
        return self._deliveries + sum(cursor.sequence for cursor in self._cursors)

    # Called by cursors

    def make_due(self, cursor: Cursor) -> None:
        """Give `cursor` a chunk in this tick or the next."""
        self._due[cursor] = None
        self._schedule()

    def drop(self, cursor: Cursor, kind: str) -> None:
        """Count and log a slow client, and close its connection; `kind` is one of `DROPS`."""
        self.dropped[kind] += 1
        why, address = DROPS[kind].format(seconds=self.blocked.seconds), cursor.connection.address
        behind = self._log.log.head - cursor.sequence
        logger.info(
            "slow client at %s dropped, %d messages behind: %s",
            address,
            behind,
            why,
            extra={"event": "slow_client", "address": address, "behind": behind, "reason": why},
        )
        self._close(cursor)

    def _fail(self, cursor: Cursor, error: Exception) -> None:
        """Close the connection of a client whose delivery failed: the client comes back, and recovers."""
        self._close(cursor)
        report("delivery to a client", error)

    def _close(self, cursor: Cursor) -> None:
        cursor.deferred = None
        self.leave(cursor)
        cursor.connection.abort()

    # Ticks

    def _schedule(self) -> None:
        if not self._is_scheduled:
            asyncio.get_running_loop().call_soon(self._tick)
            self._is_scheduled = True

    def _encode_new(self) -> None:
        before = self._log.head
        try:
            self._log.encode_new(self._end)
        finally:  # those before the one that failed are not encoded again
            self._woken += [asyncio.get_running_loop().time()] * (self._log.head - before)

    def _tick(self) -> None:
        """Give broadcasts, then chunks, until there are none or the time is over."""
        loop = asyncio.get_running_loop()
        try:
            ends = loop.time() + TICK_SECONDS
            is_done = self._give_broadcasts(loop.time, ends) and self._give_chunks(
                loop.time, min(ends, loop.time() + CHUNKS_SECONDS)
            )
            is_encoded = self._log.head == self._log.log.head  # else `wake` could not
            if is_done and not is_encoded:
                self._encode_new()
            self._failing_since, self._is_scheduled = None, False
            if not (is_done and is_encoded):
                self._schedule()
        except Exception as error:
            self._is_scheduled = False
            self._failing_since = self._failing_since or loop.time()
            loop.call_later(RETRY_SECONDS, self._tick)
            self._is_scheduled = True
            report("delivery", error)

    def _give_broadcasts(self, clock: Callable[[], float], ends: float) -> bool:
        """Give each broadcast to the cursors that stand where it begins. False if the time was over before."""
        while self._broadcast is not None or self._begin_broadcast(clock):
            cursors = self._broadcast or iter(())
            helping = self._ask_helper(cursors, clock, ends)
            try:
                is_over = False
                while not is_over:
                    self._send_to_ready(cursors, clock, ends)
                    self._give_remainders()
                    is_over = clock() > ends or not length_hint(cursors)
            finally:
                try:
                    if helping is not None:  # nothing else runs beside the helper
                        helping.result()
                finally:
                    self._give_remainders()
            if length_hint(cursors):
                return False
            delivered = min(self._end - self._begin, len(self._woken))
            self._begin, self._broadcast, self._ended = self._end, None, clock()
            self._worked = thread_time()
            self.times.later += [self._ended - self._woken.popleft() for _ in range(delivered)]
            if len(self.times.later) > MAX_LATER:
                self.times.flush()
        return True

    def _ask_helper(
        self, cursors: Iterator[Cursor], clock: Callable[[], float], ends: float
    ) -> "Future[None] | None":
        """Have a second thread send to some of `cursors`, too, if that is worth it."""
        if self._is_helped and length_hint(cursors) >= HELPED_CLIENTS:
            try:
                return self._helper.submit(self._send_to_ready, cursors, clock, ends)
            except RuntimeError:  # no thread can be started: from now on each call ends here
                self._helper.shutdown(wait=False, cancel_futures=True)
        return None

    def _send_to_ready(self, cursors: Iterator[Cursor], clock: Callable[[], float], ends: float) -> None:
        """Send the broadcast to those of the next `cursors` that are ready. Two threads run this at once.

        The inner loop is the cost of a delivery: 0.3 µs beside the 5 of the kernel's `send`. It looks at two
        objects of each client; when these were five, and a method was called, it took 0.9 µs: with 500 clients
        none of them is in the CPU's cache.
        """
        run, begin, end, excepted = self._run, self._begin, self._end, self._excepted
        size, remainders = len(run), self._remainders
        while True:
            for cursor in islice(cursors, BLOCK):
                sent = 0
                try:
                    if (
                        cursor.sequence == begin
                        and (ready := cursor.ready) is not None
                        and not (excepted and cursor.connection in excepted)
                    ):
                        sent = ready.send(run)
                except Exception:  # `_give_remainders` offers it again, and has the exception too
                    sent = 0
                if sent == size:
                    cursor.sequence = end
                else:
                    remainders.append((cursor, sent))
            if clock() > ends or len(remainders) >= BLOCK or not length_hint(cursors):
                return

    def _give_remainders(self) -> None:
        """Give the broadcast, or the rest of it, to the cursors that were not ready or did not take all of it.

        An exception at one, which cannot even be closed, is raised after the others: some are amid a frame.
        """
        failure: Exception | None = None
        while self._remainders:
            cursor, sent = self._remainders.popleft()
            try:
                if cursor.sequence != self._begin or cursor in self.blocked:  # or it has left
                    continue
                websocket = cursor.connection.websocket
                is_other = cursor.deferred is not None or cursor.connection in self._excepted
                if websocket is None or is_other:
                    self._give_extra(cursor)
                else:
                    cursor.sequence = self._end
                    if not websocket.offer(memoryview(self._run)[sent:] if sent else self._run):
                        cursor.block()
                    elif not websocket.pending_output_bytes:  # else it is closing
                        cursor.ready = websocket.sock
            except Exception as error:
                try:
                    self._fail(cursor, error)
                except Exception as another:
                    failure = another
        if failure is not None:
            raise failure

    def _give_chunks(self, clock: Callable[[], float], ends: float) -> bool:
        """Give each due cursor its chunk. False if the time was over before."""
        while self._due:
            if clock() > ends:
                return False
            cursor, _ = self._due.popitem(last=False)
            if cursor.is_closed or cursor in self.blocked:
                continue
            try:
                if cursor.sequence < self._log.log.tail:
                    self.drop(cursor, "fell_off_log")
                else:
                    cursor.give_chunk()
            except Exception as error:
                self._fail(cursor, error)
        return True

    def _begin_broadcast(self, clock: Callable[[], float]) -> bool:
        """Make the next run of frames. False if there is nothing to deliver."""
        if self._begin == self._log.head and not self._volatile:
            return False
        if self._begin < self._log.head and self._begin + 1 not in self._log.recent:
            self._skip_gap()
        end = self._begin
        frames = []
        size = 0
        while end < self._log.head and size < CHUNK_BYTES:
            end += 1
            frames.append(self._log.recent[end].frame)
            size += len(frames[-1])
        self._run = b"".join([*frames, *(packet.frame for packet, _ in self._volatile)])
        cursors, left = iter(list(self._cursors)), list[tuple[EncodedPacket, Connection | None]]()
        self._extra, self._volatile, self._end, self._broadcast = self._volatile, left, end, cursors
        self._excepted = {but for _, but in self._extra if but is not None}
        now = clock()
        idle_seconds, worked_seconds = now - self._ended, thread_time() - self._worked
        took = self._ended - self._began
        self._is_helped = idle_seconds > took and worked_seconds < BUSY_SHARE * idle_seconds
        self._began = now
        for cursor in list(self.blocked):
            if cursor.sequence < self._log.log.tail:
                self.drop(cursor, "fell_off_log")
        return True

    def _skip_gap(self) -> None:
        """Skip entries that the log dropped before they were encoded: no client is to miss them in silence."""
        begin = min(sequence for sequence in self._log.recent if sequence > self._begin) - 1
        for _ in range(min(begin - self._begin, len(self._woken))):
            self._woken.popleft()
        self._begin = self._end = begin
        for cursor in self._cursors:
            if cursor.sequence < begin:
                self.make_due(cursor)

    def _give_extra(self, cursor: Cursor) -> None:
        """Append the volatile packets for a cursor that cannot take the run as it is; a chunk has the entries."""
        for packet, but in self._extra:
            if but is not cursor.connection:
                cursor.append(packet)
        self.make_due(cursor)

    # Slow clients

    def _took_nothing(self, cursor: Cursor) -> None:
        """Drop a client that took none of its waiting output, and for which the kernel sent nothing either."""
        before = cursor.in_kernel
        try:
            cursor.block()
            if cursor.in_kernel >= before:
                self.drop(cursor, "took_nothing")
        except Exception as error:
            self._fail(cursor, error)
