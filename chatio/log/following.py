"""Following the journal: its messages go to the window, each once, without gaps, in the order of their numbers.

    offer    messages that the journal or a signal has given, in any order: one that is next is applied, a later
             one waits
    heard    the journal has a message with this number: what is still missing after a moment is read
    check    the journal's extent, each second: a signal that was lost costs time, and never a message

The table is the truth: a signal only says when to read it. A journal that lost messages which clients have seen
would give their numbers to others; the process ends then, and a new log begins.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Final

from chatio.errors import Temporary
from chatio.log.message_log import MessageLog
from chatio.stores.errors import SchemaChanged, WentBack
from chatio.stores.journal import Journal
from chatio.stores.records import Kind, Record
from chatio.telemetry.error_report import report

logger = logging.getLogger("chatio.chat")

READ_AT_ONCE: Final = 1000
PAUSE_SECONDS: Final = 0.25  # after a read that failed
# Between two reads, unless a sender waits for one: messages that come faster are read together, since a read takes
# 0.3 ms of CPU.
READ_SECONDS: Final = 0.005
GAP_SECONDS: Final = 0.002  # before a read: what is missing is mostly on its way, as a signal or as an answer
MOST_AHEAD: Final = 1000


class Follower:
    """The window of the newest messages, kept up with the journal. Event loop only."""

    def __init__(self, journal: Journal, window: MessageLog, *, tail: int, broken: asyncio.Event) -> None:
        """`window` ends where the journal did, whose tail was `tail`.

        `broken` is set if the process must start anew.
        """
        self.window = window
        self.tail = tail  # of the journal
        self.broken = broken
        self.on_new: Callable[[], None] = lambda: None  # called when the window has a new entry
        self._journal = journal
        self._heard = window.head
        self._ahead: dict[int, Record] = {}  # by number: the journal has them, and some before them are missing
        self._awaited: dict[asyncio.Future[None], int] = {}
        self._following: asyncio.Task[None] | None = None
        self._read_at = 0.0  # when the last read began

    @property
    def head(self) -> int:
        """The newest number that the journal is known to have."""
        return max(self._heard, self.window.head)

    def offer(self, records: Iterable[Record]) -> None:
        """Apply what is new of `records`, which the journal has given."""
        newest = 0
        for record in records:
            newest = max(newest, record.number)
            if self.window.head < record.number <= self.window.head + MOST_AHEAD:
                self._ahead[record.number] = record
                self._apply_next()
        self.heard(newest)

    def heard(self, head: int) -> None:
        """The journal has a message with the number `head`: read up to it, unless that is done already."""
        self._heard = max(self._heard, head)
        if self._heard > self.window.head and self._following is None and not self.broken.is_set():
            self._following = asyncio.get_running_loop().create_task(self._follow())

    def until(self, number: int) -> "asyncio.Future[None]":
        """A future that is done when the window has the entry `number`, or has dropped it for newer ones."""
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited[reached] = number
        reached.add_done_callback(lambda done: self._awaited.pop(done, None))
        self._tell_reached()
        return reached

    def contradicts(self, record: Record) -> bool:
        """Whether the window has an entry of another message under the number of `record`."""
        known = self.window.read(record.number - 1, limit=1) if record.number <= self.window.head else []
        return any(
            entry.sequence == record.number
            and entry.message.id != record.message.id
            and Kind.VOID not in (entry.kind, record.kind)
            for entry in known
        )

    async def check(self) -> None:
        """Compare the window with the journal's extent. Raises `StoreUnavailable`."""
        head = self.window.head
        try:
            extent = await self._journal.extent()
        except (WentBack, SchemaChanged) as error:
            await self.give_up(error)
            return
        self.tail = extent.tail
        if extent.epoch != self.window.epoch or extent.head < head:
            await self.give_up(WentBack())
        else:
            self._ahead.clear()  # of another database perhaps, before a failover
            self.heard(extent.head)

    async def give_up(self, error: WentBack | SchemaChanged) -> None:
        """The process must end: its window and the journal are two logs, or it does not know the schema any more.

        A journal that went back gives numbers which clients have seen to other messages: a new epoch must begin.
        """
        if self.broken.is_set():
            return
        self.broken.set()
        if isinstance(error, SchemaChanged):
            logger.critical(
                "A server of another release has changed the schema of the database: the process ends",
                extra={"event": "store_migrated"},
            )
            return
        logger.critical(
            "The database has lost messages that clients have seen: the process ends, and a new log begins",
            extra={"event": "store_went_back"},
        )
        with contextlib.suppress(Temporary):
            await self._journal.renew_epoch(self.window.epoch)

    def _apply_next(self) -> None:
        while (record := self._ahead.pop(self.window.head + 1, None)) is not None:
            self.window.append(record.message, record.kind)
            self.on_new()  # for each: the window may keep less than a batch
        if self._awaited:
            self._tell_reached()

    def _tell_reached(self) -> None:
        for reached in [each for each, number in self._awaited.items() if number <= self.window.head]:
            if not reached.done():
                reached.set_result(None)

    async def _follow(self) -> None:
        try:
            while self.window.head < self._heard and not self.broken.is_set():
                head, next_read = self.window.head, 0.0 if self._awaited else self._read_at + READ_SECONDS
                await asyncio.sleep(max(GAP_SECONDS, next_read - self._now()))
                if self.window.head == head:
                    self._read_at = self._now()
                    await self._read_after(head)
        finally:
            self._following = None

    async def _read_after(self, head: int) -> None:
        try:
            records = await self._journal.read(head, limit=READ_AT_ONCE)
            self._ahead.clear()
            self.offer(records)
            if self.window.head == head and (not records or records[0].number > head + 1):
                self._skip()
        except (WentBack, SchemaChanged) as error:
            await self.give_up(error)
        except Temporary:
            await asyncio.sleep(PAUSE_SECONDS)
        except Exception as error:
            report(logger, "following the journal", error)
            await asyncio.sleep(PAUSE_SECONDS)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _skip(self) -> None:
        """The next message was deleted before this server has read it: only a window that is read anew goes on."""
        if not self.broken.is_set():
            logger.critical(
                "Messages were deleted before this server has read them: the process ends, and reads the log anew",
                extra={"event": "store_deleted"},
            )
            self.broken.set()
