"""The journal: what every back end promises. `tests/contract` has a test for each promise."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from chatio.errors import MessageRejected
from chatio.stores.records import Change, Message, Record

EPOCH_DIGITS: Final = 14
# 1000 of the largest are 40 MB, and a client may read them as slowly as it likes.
OF_AUTHOR_AT_ONCE: Final = 50


class Appended(NamedTuple):
    """The outcome for one message or change.

    `is_new` is False for an id that the journal knew: `record` is then the first message under that id. So it is
    for a change that was made before, and for an edit to the text of the newest edit: `record` is then that.
    With `refusal` nothing was done, and `record` says nothing.
    """

    record: Record
    is_new: bool
    refusal: type[MessageRejected] | None = None


class Extent(NamedTuple):
    """The journal keeps the numbers after `tail`, up to `head`. Another `epoch` is another journal."""

    epoch: str
    tail: int
    head: int


class Journal(Protocol):
    """The accepted messages and their changes, in one order.

    Numbers begin at 1, without gaps, in the order of the commits. No entry changes, but for texts: the journal has
    the newest text of a message only, and none of one that was deleted or forgotten.

    The same author's same id is one message, for as long as the journal keeps it. The same id from another author
    is another message, under the id that `derived_id` makes.

    A journal that several servers share raises `WentBack`, and appends nothing, if it has not the newest message
    that it gave to this process; and `SchemaChanged`.
    """

    @property
    def is_durable(self) -> bool:
        """Whether messages outlive the process."""

    def append(self, batch: Sequence[Message]) -> "asyncio.Future[list[Appended]]":
        """Append all messages of `batch` or none; one result for each, in their order.

        When the future is done, the messages are as durable as the back end is, and every reader finds them. An id
        that no author can use any more gives the message that has it, of whichever author.

        The future raises `OutcomeUnknown`, `StoreUnavailable` or `StoreFull`. A journal in memory returns a future
        that is done.
        """

    def change(self, batch: Sequence[Change]) -> "asyncio.Future[list[Appended]]":
        """As `append`, for changes. When the future is done, the old text is gone for good.

        Refused with `MessageUnknown` or `MessageDeleted` where there is no message any more to change.
        """

    async def read(self, after: int, *, limit: int) -> list[Record]:
        """The entries after number `after`, oldest first, at most `limit` of them."""
        ...

    async def messages(self, after: int, before: int, *, limit: int) -> list[Record]:
        """The newest `limit` messages between the two numbers that were not deleted, oldest first."""
        ...

    async def find(self, message_id: str) -> Record | None:
        """The message that clients know by this id, `VOID` if it was deleted; None if there is none."""
        ...

    async def by_author(self, author_id: str, after: int, *, limit: int) -> list[Record]:
        """The messages of this author that were not deleted, among the `limit` entries after number `after`.

        They are the oldest `OF_AUTHOR_AT_ONCE` of them, if there are so many. So the time and the memory of a call
        are bounded, however seldom or much the author writes.
        """
        ...

    async def extent(self) -> Extent:
        """What the journal keeps now."""
        ...

    async def forget(self, up_to: int, *, limit: int) -> int:
        """Delete the oldest entries up to number `up_to`, at most `limit` of them; how many were deleted.

        The changes of a deleted message are `VOID`.
        """
        ...

    async def renew_epoch(self, old: str) -> str:
        """Begin a new epoch if it still is `old`; the epoch from now on, which sorts after all earlier ones."""
        ...


def new_epoch(after: str = "") -> str:
    """An epoch by the clock, in microseconds: no two journals of one machine begin in the same one.

    It sorts after the epoch `after`, also when the clock was set back.
    """
    least = int(after, 16) + 1 if after else 0
    return f"{max(time.time_ns() // 1000, least):0{EPOCH_DIGITS}x}"
