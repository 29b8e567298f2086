"""The shared log: from accepted messages to entries that every client receives, in the order of the journal.

    batches     accepted messages wait, become durable, and their senders have their acks (`Batches`)
    following   what the journal has goes to the window, the newest messages in memory, which the fan-out reads
                (`Follower`): the messages of this server, and of the other servers of the same database

No client sees a message, and no sender an ack, before the journal has the message: an entry that a crash forgets
would give its offset to another message.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator
from typing import Final

from chatio.errors import ChatioError, MessageDeleted, StoreUnavailable, Temporary
from chatio.log.batches import Batches
from chatio.log.following import READ_AT_ONCE, Follower
from chatio.log.message_log import Entry, MessageLog
from chatio.log.waiting import Unanswered
from chatio.stores.journal import OF_AUTHOR_AT_ONCE, Journal
from chatio.stores.memory.journal import size_bytes
from chatio.stores.records import Kind, Message, Record
from chatio.telemetry.schedule import repeat

logger = logging.getLogger("chatio.chat")

FORGOTTEN_AT_ONCE: Final = 200
WATCH_SECONDS: Final = 1.0
CATCH_UP_SECONDS: Final = 1.0


class SharedLog:
    """A journal, and the window of its newest messages. Event loop only."""

    def __init__(
        self,
        journal: Journal,
        window: MessageLog,
        *,
        tail: int = 0,
        queue_max: int = 2000,
        broken: asyncio.Event | None = None,
    ) -> None:
        """`window` ends where `journal` does; see `open_log`. `tail`: the journal's.

        `broken` is set if the process must start anew, because the journal has lost what clients have seen.
        """
        self.window = window
        self.broken = broken or asyncio.Event()
        self.follower = Follower(journal, window, tail=tail, broken=self.broken)
        self.batches = Batches(journal, self.follower, queue_max=queue_max)
        batches = self.batches
        self.find, self.accept, self.settle = batches.find, batches.accept, batches.settle
        self.change = batches.change
        self._journal = journal

    @property
    def is_durable(self) -> bool:
        return self._journal.is_durable

    @property
    def tail(self) -> int:
        """The sequence of the newest entry that is in the journal no more; entries after it can be read."""
        return self.follower.tail if self._journal.is_durable else self.window.tail

    async def messages(self, after: int, before: int, *, limit: int) -> list[Entry]:
        """The newest `limit` messages that were not deleted, of those with a sequence between the two.

        Oldest first, also what the window has dropped. Raises `StoreUnavailable`.
        """
        window = self.window
        messages = window.messages(after, before, limit=limit)
        if after < window.tail and len(messages) < limit:
            end = min(before, window.tail + 1)
            records = await self._journal.messages(after, end, limit=limit - len(messages))
            messages[:0] = [window.entry_of(*record) for record in records]
        return messages

    async def find_message(self, message_id: str) -> Message | None:
        """The message with this id, as it is now, or None. One that waits for the journal is waited for.

        Raises `MessageDeleted` and `StoreUnavailable`.
        """
        for waiting in self.batches.waiting.with_id(message_id):
            with contextlib.suppress(ChatioError, Unanswered):
                await asyncio.shield(waiting.done)
        if (entry := self.window.find(message_id)) is not None:
            return entry.message
        record = await self._journal.find(message_id)
        if record is not None and record.kind is Kind.VOID:
            raise MessageDeleted
        return None if record is None else record.message

    async def all_by_author(self, author_id: str) -> AsyncIterator[list[Entry]]:
        """The messages of this author that were not deleted, oldest first, some at a time.

        Raises `StoreUnavailable`, maybe after some.
        """
        after, head = self.tail, self.window.head
        while after < head:
            limit = min(READ_AT_ONCE, head - after)
            entries = await self.by_author(author_id, after, limit=limit)
            yield entries
            after = entries[-1].sequence if len(entries) >= OF_AUTHOR_AT_ONCE else after + limit

    async def by_author(self, author_id: str, after: int, *, limit: int) -> list[Entry]:
        """The oldest messages of this author that were not deleted, among the `limit` entries after `after`.

        See `Journal`. Raises `StoreUnavailable`.
        """
        records = await self._journal.by_author(author_id, after, limit=limit)
        return [self.window.entry_of(*record) for record in records]

    async def catch_up(self, *claimed: object) -> None:
        """Return when the window has reached the offsets that a client claims to have received.

        A client that comes from another server may be some milliseconds ahead of this one. An offset that the
        journal does not have is passed over. Raises `StoreUnavailable` if that cannot be told, or takes too long.
        """
        sequence = max(self.window.sequence_ahead(claim) for claim in claimed)
        if sequence <= self.window.head or not self.is_durable:  # in memory there is no other server
            return
        await self.follower.check()
        if self.follower.head < sequence:
            return
        try:
            await asyncio.wait_for(self.follower.until(sequence), CATCH_UP_SECONDS)
        except TimeoutError:
            raise StoreUnavailable from None

    async def forget_before(self, sent_at: str, *, now: str = "9999") -> bool:
        """Delete the oldest messages that were sent before `sent_at`, 200 at most. False if there are none.

        A message from after `now`, when the clock was ahead, does not keep older ones behind it. The portions are
        small, since appends wait meanwhile: 5,000 at once took SQLite 227 ms. Raises `StoreUnavailable`.
        """
        tail = self.follower.tail
        oldest = await self._journal.read(tail, limit=FORGOTTEN_AT_ONCE)
        older = list(itertools.takewhile(lambda record: not sent_at <= record.message.sent_at <= now, oldest))
        while older and older[-1].message.sent_at >= sent_at:
            older.pop()
        if not older:
            return False
        await self._journal.forget(older[-1].number, limit=FORGOTTEN_AT_ONCE)
        self.follower.tail = older[-1].number
        self.window.forget(self.follower.tail, sent_at)
        return True

    @property
    def trouble(self) -> str | None:
        """Why messages are not accepted as they should be, one of `STORE_TROUBLES`; or None."""
        return self.batches.trouble

    async def watch(self) -> None:
        """Look after the journal each second, until cancelled: its state, and messages that wait for too long."""
        await repeat(logger, "watching the store", WATCH_SECONDS, self._look_after)

    async def _look_after(self) -> None:
        self.batches.look_after()
        try:
            await self.follower.check()
        except Temporary as error:
            self.batches.refuse(error)


async def open_log(
    journal: Journal,
    *,
    max_messages: int = 10_000,
    max_bytes: int = 32 * 2**20,
    queue_max: int = 2000,
    broken: asyncio.Event | None = None,
) -> SharedLog:
    """The shared log of `journal`, with its newest messages in the window. Raises `StoreUnavailable`."""
    extent = await journal.extent()
    newest = await _newest(journal, extent.tail, extent.head, max_messages, max_bytes)
    after = newest[0].number - 1 if newest else extent.head
    window = MessageLog(max_messages=max_messages, max_bytes=max_bytes, epoch=extent.epoch, tail=after)
    for _, message, kind in newest:
        window.append(message, kind)
    return SharedLog(journal, window, tail=extent.tail, queue_max=queue_max, broken=broken)


async def _newest(journal: Journal, tail: int, head: int, max_messages: int, max_bytes: int) -> list[Record]:
    """The newest messages of the journal within the bounds of the window, oldest first, read in pieces.

    Those before a gap are left out: an operator who deletes messages makes one, and the window has no gaps.
    """
    newest: list[Record] = []
    size, end = 0, head
    while end > tail and len(newest) < max_messages and size <= max_bytes:
        after = max(tail, end - min(READ_AT_ONCE, max_messages - len(newest)))
        piece = await journal.read(after, limit=end - after)
        without_gap = [record for index, record in enumerate(reversed(piece)) if record.number == end - index][
            ::-1
        ]
        newest[:0] = without_gap
        if len(without_gap) < end - after:
            break
        size += sum(size_bytes(record.message) for record in piece)
        end = after
    return newest
