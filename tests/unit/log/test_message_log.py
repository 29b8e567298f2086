"""MessageLog: appending, duplicates, bounds and offsets; and a comparison with a list that is never shortened."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatio.errors import OffsetInvalid
from chatio.log.message_log import Entry, MessageLog
from chatio.stores.memory.journal import MESSAGE_OVERHEAD_BYTES
from chatio.stores.records import Message, derived_id
from tests.contract.journal import message


def filled(count: int, *, max_messages: int = 100) -> MessageLog:
    log = MessageLog(max_messages=max_messages)
    for number in range(1, count + 1):
        log.append(message(f"m{number}"))
    return log


def ids(entries: list[Entry]) -> list[str]:
    return [entry.message.id for entry in entries]


# --- appending and reading


def test_a_new_log_is_empty() -> None:
    log = MessageLog()
    assert (len(log), log.head, log.tail, log.size_bytes, log.read(0)) == (0, 0, 0, 0, [])


def test_an_entry_that_cannot_be_made_leaves_the_log_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    log = filled(1)

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(log, "entry_of", fail)
        with pytest.raises(MemoryError):
            log.append(message("b"))
    assert (log.head, len(log), log.find("b")) == (1, 1, None)
    assert log.append(message("c")).sequence == 2
    assert ids(log.read(0)) == ["m1", "c"]


def test_a_log_goes_on_where_the_journal_is() -> None:
    log = MessageLog(epoch="0" * 13 + "7", tail=41)
    assert (log.head, log.tail, log.read(0)) == (41, 41, [])
    assert log.append(message("m42")).offset == "0" * 13 + "7-000000002a"
    assert ids(log.read(0)) == ids(log.read(41)) == ["m42"]


def test_a_reader_may_change_the_list_that_it_reads() -> None:
    log = filled(2)
    log.read(0).clear()
    assert ids(log.read(0)) == ["m1", "m2"]


# --- the same message again


def test_a_duplicate_is_found_by_its_author_and_id_while_it_is_kept() -> None:
    log = filled(4, max_messages=3)
    found = log.find_duplicate("7", "m2")
    assert found is not None
    assert found.sequence == 2
    for author_id, sent_id in [("7", "m1"), ("8", "m2"), ("7", "m5"), ("7", None)]:
        assert log.find_duplicate(author_id, sent_id) is None


def test_a_duplicate_under_an_id_that_another_author_had_first_is_found() -> None:
    log = MessageLog()
    log.append(message("a", "7"))
    entry = log.append(message(derived_id("8", "a"), "8"))
    assert log.find_duplicate("8", "a") == entry
    assert log.find_duplicate("9", "a") is None


# --- how much is kept


def test_the_size_is_that_of_the_texts_in_memory_and_of_the_entry() -> None:
    log = MessageLog()
    plain = log.append(message("m1", content="x" * 10_000))
    assert 10_000 + MESSAGE_OVERHEAD_BYTES < plain.size_bytes < 10_500 + MESSAGE_OVERHEAD_BYTES
    wide = log.append(message("m2", content="x" * 9_999 + "\U0001f600"))
    assert wide.size_bytes > 40_000  # one emoji, and each character takes four bytes
    assert log.size_bytes == plain.size_bytes + wide.size_bytes


def test_entries_past_the_limit_of_bytes_are_dropped_oldest_first() -> None:
    one = MessageLog().append(message("mm")).size_bytes
    log = MessageLog(max_bytes=3 * one)
    for id_ in ("m1", "m2", "m3"):
        log.append(message(id_))
    assert ids(log.read(0)) == ["m1", "m2", "m3"]
    log.append(message("m4", content="hello" + "x"))
    assert ids(log.read(0)) == ["m3", "m4"]
    assert log.size_bytes == 2 * one + 1


def test_the_newest_message_stays_however_large() -> None:
    log = MessageLog(max_bytes=1)
    log.append(message("m1"))
    log.append(message("m2", content="x" * 100_000))
    assert ids(log.read(0)) == ["m2"]


# --- offsets


def test_offsets_have_one_width_and_sort_as_their_entries_do() -> None:
    log = filled(20)
    offsets = [entry.offset for entry in log.read(0)]
    assert offsets == sorted(offsets)
    assert len({len(offset) for offset in offsets}) == 1
    assert len(log.offset_of(16**10 - 1)) == len(offsets[0])


def test_an_offset_has_its_sequence_also_when_the_entry_is_dropped() -> None:
    log = filled(5, max_messages=2)
    assert [log.sequence_of(log.offset_of(number)) for number in range(6)] == list(range(6))


def test_offsets_of_a_later_log_differ_and_sort_after_those_of_an_earlier() -> None:
    earlier = filled(3)
    while (later := MessageLog()).epoch == earlier.epoch:
        pass
    assert later.offset_of(0) > earlier.offset_of(3)
    later.append(message("m1"))
    with pytest.raises(OffsetInvalid):
        later.sequence_of(earlier.offset_of(1))


@pytest.mark.parametrize(
    "digits",
    [
        "",
        "b",
        "000000000c",  # after the head
        *("-000000001", "+000000001", "00000000 1", "000000000A", "000000000B", "0000_00001", "000000001\n"),
        "\u0660" * 9 + "\u0661",
    ],
)
def test_another_writing_of_a_sequence_is_no_offset(digits: str) -> None:
    log = filled(11)
    assert log.sequence_of(f"{log.epoch}-000000000b") == 11
    with pytest.raises(OffsetInvalid):
        log.sequence_of(f"{log.epoch}-{digits}")


@settings(database=None)
@given(st.text() | st.text(string.hexdigits + "-+_ "))
def test_no_other_text_is_an_offset(text: str) -> None:
    log = filled(1)
    for candidate in (text, f"{log.epoch}{text}", f"{log.epoch}-{text}", text * 1000):
        try:
            number = log.sequence_of(candidate)
        except OffsetInvalid:
            continue
        assert log.offset_of(number) == candidate


# --- all of it at once, against a list

MESSAGES = st.builds(
    message,
    st.sampled_from("abcdef") | st.text(min_size=1, max_size=3),
    st.sampled_from(["7", "8"]),
    st.text(max_size=3) | st.just("x" * 3000),
)
READINGS = st.tuples(st.integers(-2, 30), st.none() | st.integers(0, 5))


class Model:
    """Everything that was ever appended, in a list; what is kept is counted from its end."""

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._all: list[Entry] = []
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self.tail = 0

    @property
    def kept(self) -> list[Entry]:
        return self._all[self.tail :]

    def append(self, entry: Entry) -> None:
        self._all.append(entry)
        while len(self.kept) > 1 and (
            len(self.kept) > self._max_messages or sum(e.size_bytes for e in self.kept) > self._max_bytes
        ):
            self.tail += 1

    def read(self, after: int, limit: int | None) -> list[Entry]:
        behind = [entry for entry in self.kept if entry.sequence > after]
        return behind if limit is None else behind[:limit]


@settings(database=None)
@given(st.lists(MESSAGES, max_size=25), st.lists(READINGS, max_size=10), st.integers(1, 8), st.integers(1, 12_000))
def test_the_log_does_what_a_list_does(
    messages: list[Message], readings: list[tuple[int, int | None]], max_messages: int, max_bytes: int
) -> None:
    log, model = MessageLog(max_messages=max_messages, max_bytes=max_bytes), Model(max_messages, max_bytes)
    for sent in messages:
        head = log.head
        entry = log.append(sent)
        assert (entry.sequence, entry.offset, entry.message) == (head + 1, log.offset_of(head + 1), sent)
        model.append(entry)
        assert log.read(0) == model.kept
        assert (len(log), log.tail) == (len(model.kept), model.tail)
        assert log.size_bytes == sum(entry.size_bytes for entry in model.kept)
    for after, limit in readings:
        assert log.read(after, limit=limit) == model.read(after, limit)
