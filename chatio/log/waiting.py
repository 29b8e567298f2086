"""What waits for the journal: messages and changes, each with the future of its entry.

Those of one batch go to the journal together. The others are the queue behind it, which is bounded.
"""

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from chatio.errors import Overloaded, Temporary
from chatio.log.message_log import Entry
from chatio.stores.memory.journal import MESSAGE_OVERHEAD_BYTES, size_bytes
from chatio.stores.records import Change, Message

BATCH_MESSAGES: Final = 500
BATCH_BYTES: Final = 2**20
QUEUE_BYTES: Final = 4 * 2**20
GIVEN_UP_SECONDS: Final = 10.0  # after this time the sender of a message is told nothing, and sends it again
SLOW_SECONDS: Final = 2.0


class Unanswered(Exception):
    """The outcome of a message stays unknown: no ack and no error is true. Its sender must send it again."""


@dataclass(eq=False, slots=True)
class Waiting:
    """A message or a change that is not in the journal yet, as far as is known."""

    key: tuple[str, str]
    message: Message | Change
    size_bytes: int
    since: float
    done: "asyncio.Future[Entry]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def wait_anew(self) -> None:
        """Its sender was told nothing, and has sent it again."""
        loop = asyncio.get_running_loop()
        self.done, self.since = loop.create_future(), loop.time()


class WaitingMessages:
    """Everything that waits for the journal. Event loop only."""

    def __init__(self, *, queue_max: int) -> None:
        self.by_key: dict[tuple[str, str], Waiting] = {}  # see `key_of`; the oldest first
        self.queue: list[Waiting] = []  # not handed over yet
        self._queue_max = queue_max
        self._queue_bytes = 0

    def put(self, message: Message | Change) -> "asyncio.Future[Entry]":
        """Take `message`; the future of its entry. Raises `Overloaded` if the queue is full."""
        if len(self.queue) >= self._queue_max or self._queue_bytes >= QUEUE_BYTES:
            raise Overloaded
        key, since = key_of(message), asyncio.get_running_loop().time()
        waiting = Waiting(key, message, _size_bytes(message), since)
        self.queue.append(waiting)
        self.by_key[key] = waiting
        self._queue_bytes += waiting.size_bytes
        return waiting.done

    def with_id(self, message_id: str) -> list[Waiting]:
        """The messages that wait under this id, each of another author."""
        return [waiting for (_, id_), waiting in self.by_key.items() if id_ == message_id]

    def take_batch(self) -> list[Waiting]:
        """The batch that is handed over next: messages or changes, of the kind that has waited longest.

        Those of the other kind stay in the queue: a batch that ended at the first of them would have one message
        where members send both by turns. The batch is in `by_key` until it is answered or dropped.
        """
        kind, size = type(self.queue[0].message), 0
        batch = [waiting for waiting in self.queue if type(waiting.message) is kind][:BATCH_MESSAGES]
        for count, waiting in enumerate(batch):
            if count and size + waiting.size_bytes > BATCH_BYTES:
                del batch[count:]
                break
            size += waiting.size_bytes
        taken = {waiting.key for waiting in batch}
        self.queue = [waiting for waiting in self.queue if waiting.key not in taken]
        self._queue_bytes -= size
        return batch

    def drop(self, dropped: Iterable[Waiting], error: Temporary) -> None:
        """Tell the senders of `dropped` that the journal did not take them, as `error` says."""
        for waiting in dropped:
            self.by_key.pop(waiting.key, None)
            if not waiting.done.done():
                waiting.done.set_exception(type(error)())

    def drop_queue(self, error: Temporary) -> None:
        queue, self.queue, self._queue_bytes = self.queue, [], 0
        self.drop(queue, error)

    def drop_forgotten(self, batch: list[Waiting]) -> None:
        """Those that an exception has left in neither the queue nor `batch`; their senders are told nothing."""
        if len(self.by_key) > len(self.queue) + len(batch):
            known = {waiting.key for waiting in (*self.queue, *batch)}
            for waiting in [each for key, each in self.by_key.items() if key not in known]:
                self.by_key.pop(waiting.key)
                if not waiting.done.done():
                    waiting.done.set_exception(Unanswered())

    def give_up_oldest(self) -> None:
        """The senders of messages that have waited for too long are told nothing; the messages wait on."""
        until = asyncio.get_running_loop().time() - GIVEN_UP_SECONDS
        for waiting in self.by_key.values():
            if waiting.since < until and not waiting.done.done():
                waiting.done.set_exception(Unanswered())

    @property
    def is_slow(self) -> bool:
        oldest = next(iter(self.by_key.values()), None)
        return oldest is not None and asyncio.get_running_loop().time() - oldest.since > SLOW_SECONDS


def key_of(message: Message | Change) -> tuple[str, str]:
    """The author's id, and the id that the message has; for a change "" and its key."""
    return ("", message.key) if isinstance(message, Change) else (message.author_id, message.id)


def _size_bytes(message: Message | Change) -> int:
    if isinstance(message, Message):
        return size_bytes(message)
    return MESSAGE_OVERHEAD_BYTES + sys.getsizeof(message.content)
