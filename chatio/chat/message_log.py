"""The message log: accepted messages in one order. Every delivery to a connection is a read of it.

Rules: an entry never changes, and its offset is never given to another. The log drops its oldest entries, when
there are too many or they take too many bytes. It knows nothing of sockets: a connection's cursor reads it.

An offset is text: the log's epoch, a dash, the entry's sequence, both in hexadecimal of fixed width. So the
offsets of one log sort as its entries do, and an offset of another log (of this server before a restart) is known
by its epoch.
"""

import sys
import time
from collections import deque
from typing import Final, NamedTuple, NewType

import msgspec

from chatio.chat.messages import Message, new_id
from chatio.errors import OffsetInvalid

Offset = NewType("Offset", str)

_EPOCH_DIGITS: Final = 14
_SEQUENCE_DIGITS: Final = 10
OFFSET_PATTERN: Final = f"^[0-9a-f]{{{_EPOCH_DIGITS}}}-[0-9a-f]{{{_SEQUENCE_DIGITS}}}$"
# Of an entry, besides its texts: the objects that hold them, measured with sys.getsizeof.
ENTRY_OVERHEAD_BYTES: Final = 1024


class Entry(NamedTuple):
    """One accepted message."""

    sequence: int  # from 1, without gaps
    offset: Offset  # the sequence, as clients know it
    message: Message
    sent_id: str  # the id that the sender gave the message
    size_bytes: int


class Appended(NamedTuple):
    """`is_new` is False when the author sent that message before; `entry` is then the first one."""

    entry: Entry
    is_new: bool


class MessageLog:
    """The newest messages: at most `max_messages`, of at most `max_bytes` together. Event loop only."""

    def __init__(self, *, max_messages: int = 10_000, max_bytes: int = 32 * 2**20) -> None:
        # Microseconds: no two logs of one machine begin in the same one, and a later log sorts after an earlier.
        self.epoch: Final = f"{time.time_ns() // 1000:0{_EPOCH_DIGITS}x}"
        self._entries: deque[Entry] = deque()
        self._by_author: dict[tuple[str, str], Entry] = {}  # author's id and sent id
        self._ids: set[str] = set()
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self.head = 0  # the sequence of the newest entry; 0 before the first one
        self.tail = 0  # the sequence of the newest entry that was dropped; entries after it are kept

    def __len__(self) -> int:
        """The number of entries that are kept."""
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """The memory that the kept entries take."""
        return self._bytes

    def append(self, message: Message) -> Appended:
        """Add `message` at the head, unless it is a duplicate.

        The same id from the same author, while the log keeps it, is the same message. The same id from another
        author is another message, and the server gives it a new id.
        """
        key = message.author_id, message.id
        if (known := self._by_author.get(key)) is not None:
            return Appended(known, is_new=False)
        sent_id = message.id
        if sent_id in self._ids:
            message = msgspec.structs.replace(message, id=new_id())
        self.head += 1
        entry = Entry(self.head, self.offset_of(self.head), message, sent_id, _size(message))
        self._entries.append(entry)
        self._by_author[key] = entry
        self._ids.add(message.id)
        self._bytes += entry.size_bytes
        self._drop_oldest()
        return Appended(entry, is_new=True)

    def find_duplicate(self, author_id: str, sent_id: str | None) -> Entry | None:
        """The entry of the message that the author sent with this id, if the log keeps it."""
        return None if sent_id is None else self._by_author.get((author_id, sent_id))

    def read(self, after: int, *, limit: int | None = None) -> list[Entry]:
        """The kept entries after the sequence `after`, oldest first, at most `limit` of them."""
        tail = self.tail
        start = max(after, tail)
        stop = self.head if limit is None else min(self.head, start + limit)
        return [self._entries[index] for index in range(start - tail, stop - tail)]

    def offset_of(self, sequence: int) -> Offset:
        """The offset of `sequence`, whether the log keeps its entry or not."""
        return Offset(f"{self.epoch}-{sequence:0{_SEQUENCE_DIGITS}x}")

    def sequence_of(self, offset: str) -> int:
        """The sequence of `offset`, from 0 to `head`. Raises `OffsetInvalid` for one that is not of this log."""
        epoch, dash, digits = offset.partition("-") if len(offset) < 64 else ("", "", "")
        if epoch != self.epoch or not dash or len(digits) != _SEQUENCE_DIGITS:
            raise OffsetInvalid
        try:
            sequence = int(digits, 16)
        except ValueError:
            raise OffsetInvalid from None
        if not 0 <= sequence <= self.head or self.offset_of(sequence) != offset:
            raise OffsetInvalid
        return sequence

    def is_foreign(self, offset: str) -> bool:
        """Whether `offset` has the form of an offset, and the epoch of another log."""
        epoch, _, digits = offset.partition("-") if len(offset) < 64 else ("", "", "")
        return (
            epoch != self.epoch
            and _is_hexadecimal(epoch, _EPOCH_DIGITS)
            and _is_hexadecimal(digits, _SEQUENCE_DIGITS)
        )

    def _drop_oldest(self) -> None:
        # The newest entry stays, however large.
        while len(self._entries) > 1 and (
            len(self._entries) > self._max_messages or self._bytes > self._max_bytes
        ):
            oldest = self._entries.popleft()
            self.tail += 1
            self._bytes -= oldest.size_bytes
            del self._by_author[oldest.message.author_id, oldest.sent_id]
            self._ids.discard(oldest.message.id)


def _is_hexadecimal(text: str, digits: int) -> bool:
    return len(text) == digits and all(char in "0123456789abcdef" for char in text)


def _size(message: Message) -> int:
    # In memory: one character outside ASCII makes every character of its text take 2 or 4 bytes instead of 1.
    texts = (message.id, message.content, message.author_id, message.author_name, message.timestamp)
    return ENTRY_OVERHEAD_BYTES + sum(sys.getsizeof(text) for text in texts)
