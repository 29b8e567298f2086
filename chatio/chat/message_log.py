"""The one ordered log of what was said: every delivery is a reading of it.

Rules: an entry is never changed, and its offset never given again. The log forgets from its beginning only, by
count and by bytes, whichever comes first. It knows nothing of sockets; who wants to hear of new entries reads.

An offset is text: the log's epoch, a dash, the entry's number, both in hexadecimal of fixed width. So offsets of
one log sort as its entries do, and one of another log (this server before its restart) is known for what it is.
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
_NUMBER_DIGITS: Final = 10
OFFSET_PATTERN: Final = f"^[0-9a-f]{{{_EPOCH_DIGITS}}}-[0-9a-f]{{{_NUMBER_DIGITS}}}$"
# What an entry weighs besides its texts: the objects that hold them, measured with sys.getsizeof.
ENTRY_OVERHEAD_BYTES: Final = 1024


class Entry(NamedTuple):
    sequence: int
    offset: Offset
    message: Message
    sent_id: str  # the message's id as its author gave it
    size_bytes: int


class Appended(NamedTuple):
    """`is_new` is False when the author had sent that message before; `entry` is then the first one."""

    entry: Entry
    is_new: bool


class MessageLog:
    """Keeps the newest messages, at most `max_messages` and at most `max_bytes` of them. Event loop only."""

    def __init__(self, *, max_messages: int = 10_000, max_bytes: int = 32 * 2**20) -> None:
        # Microseconds: no two logs of one machine begin in the same one, and a later log sorts behind.
        self.epoch: Final = f"{time.time_ns() // 1000:0{_EPOCH_DIGITS}x}"
        self._entries: deque[Entry] = deque()
        self._by_author: dict[tuple[str, str], Entry] = {}  # author's id and sent id
        self._ids: set[str] = set()
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self._head = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        return self._bytes

    @property
    def head(self) -> int:
        """The number of the newest entry; 0 when there never was one."""
        return self._head

    @property
    def tail(self) -> int:
        """Entries after this number are still here."""
        return self._head - len(self._entries)

    def append(self, message: Message) -> Appended:
        """Add `message` at the head.

        The same author's same id again, while the log has it, is the same message: nothing is added. The same
        id from somebody else is another message and gets an id of ours.
        """
        key = message.author_id, message.id
        if (known := self._by_author.get(key)) is not None:
            return Appended(known, is_new=False)
        sent_id = message.id
        if sent_id in self._ids:
            message = msgspec.structs.replace(message, id=new_id())
        self._head += 1
        entry = Entry(self._head, self.offset_of(self._head), message, sent_id, _size(message))
        self._entries.append(entry)
        self._by_author[key] = entry
        self._ids.add(message.id)
        self._bytes += entry.size_bytes
        self._forget()
        return Appended(entry, is_new=True)

    def find_duplicate(self, author_id: str, sent_id: str | None) -> Entry | None:
        """The entry of the message that this author sent under this id, while the log has it."""
        return None if sent_id is None else self._by_author.get((author_id, sent_id))

    def read(self, after: int, *, limit: int | None = None) -> list[Entry]:
        """The entries after number `after`, oldest first; those that were forgotten are missing."""
        start = max(after, self.tail)
        stop = self._head if limit is None else min(self._head, start + limit)
        tail = self.tail
        return [self._entries[number - tail] for number in range(start, stop)]

    def offset_of(self, number: int) -> Offset:
        return Offset(f"{self.epoch}-{number:0{_NUMBER_DIGITS}x}")

    def sequence_of(self, offset: str) -> int:
        """The number that `offset` stands for. Raises `OffsetInvalid` unless this log gave it, or could have."""
        epoch, dash, digits = offset.partition("-") if len(offset) < 64 else ("", "", "")
        if epoch != self.epoch or not dash or len(digits) != _NUMBER_DIGITS:
            raise OffsetInvalid
        try:
            number = int(digits, 16)
        except ValueError:
            raise OffsetInvalid from None
        if not 0 <= number <= self._head or self.offset_of(number) != offset:
            raise OffsetInvalid
        return number

    def is_foreign(self, offset: str) -> bool:
        """Whether `offset` has the form of one, and is of another log."""
        epoch, _, digits = offset.partition("-") if len(offset) < 64 else ("", "", "")
        return (
            epoch != self.epoch
            and _is_hexadecimal(epoch, _EPOCH_DIGITS)
            and _is_hexadecimal(digits, _NUMBER_DIGITS)
        )

    def _forget(self) -> None:
        # The newest entry stays, however large.
        while len(self._entries) > 1 and (
            len(self._entries) > self._max_messages or self._bytes > self._max_bytes
        ):
            gone = self._entries.popleft()
            self._bytes -= gone.size_bytes
            del self._by_author[gone.message.author_id, gone.sent_id]
            self._ids.discard(gone.message.id)


def _is_hexadecimal(text: str, digits: int) -> bool:
    return len(text) == digits and all(char in "0123456789abcdef" for char in text)


def _size(message: Message) -> int:
    # As Python holds them: one character outside ASCII makes every other of its text take 2 or 4 bytes, not 1.
    texts = (message.id, message.content, message.author_id, message.author_name, message.timestamp)
    return ENTRY_OVERHEAD_BYTES + sum(sys.getsizeof(text) for text in texts)
