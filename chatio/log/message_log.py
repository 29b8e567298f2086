"""The message log: the newest accepted messages in one order. Every delivery to a connection is a read of it.

Rules: an edit or a deletion is an entry of its own. The entry of the message has its newest text from then on, and
an earlier edit none, so that a client that reads the log later has the same view as the others. An offset is never
given to another entry. The log drops its oldest entries, when there are too many or they take too many bytes. It
knows nothing of sockets: a connection's cursor reads it. It appends what a journal has accepted and numbered (see
`shared_log`), and keeps no more than the newest of that.

An offset is text: the journal's epoch, a dash, the entry's sequence, both in hexadecimal of fixed width. So the
offsets of one journal sort as its entries do, and an offset of another journal is known by its epoch: one of this
server before a restart, for instance, when messages are kept in memory.
"""

from collections import deque
from itertools import islice, takewhile
from typing import Final, NamedTuple, NewType

import msgspec

from chatio.errors import OffsetInvalid
from chatio.stores.journal import EPOCH_DIGITS, new_epoch
from chatio.stores.memory.journal import size_bytes
from chatio.stores.records import Kind, Message, derived_id

Offset = NewType("Offset", str)

_SEQUENCE_DIGITS: Final = 10
OFFSET_PATTERN: Final = f"^[0-9a-f]{{{EPOCH_DIGITS}}}-[0-9a-f]{{{_SEQUENCE_DIGITS}}}$"


class Entry(NamedTuple):
    """One accepted message, or a change of one: as it is now."""

    sequence: int  # from 1, without gaps
    offset: Offset  # the sequence, as clients know it
    message: Message
    size_bytes: int
    kind: Kind = Kind.POSTED
    changed: tuple[int, ...] = ()  # the sequences of the earlier entries that this one changed


class MessageLog:
    """The newest messages: at most `max_messages`, of at most `max_bytes` together. Event loop only."""

    def __init__(
        self, *, max_messages: int = 10_000, max_bytes: int = 32 * 2**20, epoch: str = "", tail: int = 0
    ) -> None:
        """An empty log of the journal with this `epoch`, which continues after the sequence `tail`."""
        self.epoch: Final = epoch or new_epoch()
        self._entries: deque[Entry] = deque()
        self._by_id: dict[str, Entry] = {}  # messages
        self._changes: dict[str, Entry] = {}  # the newest edit of each message
        # By the sequence of a void entry: its own, or that of a later one. All between the two are void.
        self._voids: dict[int, int] = {}
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self.head = tail  # the sequence of the newest entry; 0 before the first one
        self.tail = tail  # the sequence of the newest entry that was dropped; entries after it are kept

    def __len__(self) -> int:
        """The number of entries that are kept."""
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """The memory that the kept entries take."""
        return self._bytes

    def append(self, message: Message, kind: Kind = Kind.POSTED) -> Entry:
        """Add the next entry of the journal, which accepted `message`, or a change that made it what it is now."""
        entry = self.entry_of(self.head + 1, message, kind)
        if kind is not Kind.POSTED and kind is not Kind.VOID:
            entry = entry._replace(changed=self._fold(message, kind))
        self._entries.append(entry)
        self.head += 1  # not before the entry is there: what fails leaves no gap
        if kind is Kind.POSTED:
            self._by_id[message.id] = entry
        elif kind is Kind.EDITED:
            self._changes[message.id] = entry
        elif kind is Kind.VOID:
            self._voids[entry.sequence] = entry.sequence
        self._bytes += entry.size_bytes
        # The newest entry stays, however large.
        while len(self._entries) > 1 and (
            len(self._entries) > self._max_messages or self._bytes > self._max_bytes
        ):
            self._drop_first()
        return entry

    def forget(self, up_to: int, sent_before: str) -> None:
        """Drop the entries up to the sequence `up_to`, as the journal did; void the edits of older messages."""
        while self._entries and self.tail < up_to:
            self._drop_first()
        for entry in [each for each in self._changes.values() if each.message.sent_at < sent_before]:
            self._void(self._changes.pop(entry.message.id))

    def before_newest(self, count: int) -> int:
        """The sequence after which the newest `count` messages begin that were not deleted."""
        if not count:
            return self.head
        first = next(islice(reversed(self._by_id.values()), count - 1, None), None)
        return self.tail if first is None else first.sequence - 1

    def entry_of(self, sequence: int, message: Message, kind: Kind = Kind.POSTED) -> Entry:
        """An entry of the journal, whether the log keeps it or not."""
        return Entry(sequence, self.offset_of(sequence), message, size_bytes(message), kind)

    def find(self, message_id: str) -> Entry | None:
        """The message with this id, if the log keeps it and it was not deleted."""
        return self._by_id.get(message_id)

    def find_duplicate(self, author_id: str, sent_id: str | None) -> Entry | None:
        """The entry of the message that the author sent with this id, if the log keeps it.

        The journal knows duplicates of which the log keeps nothing any more.
        """
        if sent_id is None or (entry := self._by_id.get(sent_id)) is None:
            return None
        if entry.message.author_id != author_id:
            entry = self._by_id.get(derived_id(author_id, sent_id))
        return entry if entry is not None and entry.message.author_id == author_id else None

    def read(self, after: int, *, limit: int | None = None) -> list[Entry]:
        """The kept entries after the sequence `after`, oldest first, at most `limit` of them."""
        tail = self.tail
        start = max(after, tail)
        stop = self.head if limit is None else min(self.head, start + limit)
        return [self._entries[index] for index in range(start - tail, stop - tail)]

    def messages(self, after: int, before: int, *, limit: int) -> list[Entry]:
        """The newest `limit` messages that were not deleted, of those between the two sequences; oldest first."""
        newer = takewhile(lambda entry: entry.sequence > after, reversed(self._by_id.values()))
        return list(islice((entry for entry in newer if entry.sequence < before), limit))[::-1]

    def void_until(self, sequence: int) -> int:
        """The last of the void entries that begin with `sequence`, or `sequence` itself if it is none of them.

        Each client that comes reads past them, and a user makes 9,000 by editing one message.
        """
        last, passed = sequence - 1, []
        while (further := self._voids.get(last + 1)) is not None:
            passed.append(last + 1)
            last = further
        for each in passed:
            self._voids[each] = last
        return max(last, sequence)

    def offset_of(self, sequence: int) -> Offset:
        """The offset of `sequence`, whether the log keeps its entry or not."""
        return Offset(f"{self.epoch}-{sequence:0{_SEQUENCE_DIGITS}x}")

    def sequence_of(self, offset: str) -> int:
        """The sequence of `offset`, from 0 to `head`. Raises `OffsetInvalid` for one that is not of this log."""
        sequence = self._claimed(offset)
        if not 0 <= sequence <= self.head:
            raise OffsetInvalid
        return sequence

    def sequence_ahead(self, claimed: object) -> int:
        """The sequence of the offset of this log with which `claimed` begins, if it is after `head`; else 0."""
        text = claimed.partition(".")[0] if isinstance(claimed, str) and len(claimed) <= 64 else ""
        sequence = self._claimed(text)
        return sequence if sequence > self.head else 0

    def _claimed(self, offset: str) -> int:
        """The sequence of `offset`; -1 for a text that is no offset of this log."""
        epoch, dash, digits = offset.partition("-") if len(offset) < 64 else ("", "", "")
        if epoch != self.epoch or not dash or not _is_hexadecimal(digits, _SEQUENCE_DIGITS):
            return -1
        return int(digits, 16)

    def is_foreign(self, offset: str) -> bool:
        """Whether `offset` has the form of an offset, and the epoch of another log."""
        epoch, _, digits = offset.partition("-") if len(offset) < 64 else ("", "", "")
        return (
            epoch != self.epoch
            and _is_hexadecimal(epoch, EPOCH_DIGITS)
            and _is_hexadecimal(digits, _SEQUENCE_DIGITS)
        )

    def _fold(self, message: Message, kind: Kind) -> tuple[int, ...]:
        """Change the earlier entries of `message`, and return their sequences."""
        posted, edited = self._by_id.get(message.id), self._changes.pop(message.id, None)
        if posted is not None:
            if kind is Kind.DELETED:
                self._void(self._by_id.pop(message.id))
            else:
                self._by_id[message.id] = self._replace(posted, message, Kind.POSTED)
        if edited is not None:
            self._void(edited)
        return tuple(entry.sequence for entry in (posted, edited) if entry is not None)

    def _void(self, entry: Entry) -> None:
        self._replace(entry, msgspec.structs.replace(entry.message, content=""), Kind.VOID)
        self._voids[entry.sequence] = entry.sequence

    def _replace(self, old: Entry, message: Message, kind: Kind) -> Entry:
        entry = self._entries[old.sequence - self.tail - 1] = old._replace(
            message=message, size_bytes=size_bytes(message), kind=kind
        )
        self._bytes += entry.size_bytes - old.size_bytes
        return entry

    def _drop_first(self) -> None:
        oldest = self._entries.popleft()
        self.tail += 1
        self._bytes -= oldest.size_bytes
        self._voids.pop(self.tail, None)
        entries = self._by_id if oldest.kind is Kind.POSTED else self._changes
        if entries.get(oldest.message.id) is oldest:
            del entries[oldest.message.id]


def _is_hexadecimal(text: str, digits: int) -> bool:
    return len(text) == digits and all(char in "0123456789abcdef" for char in text)
