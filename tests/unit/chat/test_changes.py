"""MessageChanges: which user may change which message, until when; and what the log keeps of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatio.chat.changes import MessageChanges
from chatio.chat.messages import Author, stamp
from chatio.chat.voices import Voices
from chatio.errors import (
    ChangeTooLate,
    ChatioError,
    IdReused,
    MessageDeleted,
    MessageEmpty,
    MessageInvalid,
    MessageTooLong,
    MessageUnknown,
    NotYourMessage,
)
from chatio.log.message_log import Entry
from chatio.log.shared_log import SharedLog, open_log
from chatio.stores.memory.journal import MemoryJournal
from chatio.stores.records import Kind
from tests.unit.log.test_shared_log import SlowJournal, turn

ANN, BOB = Author("7", "Ann"), Author("8", "Bob")
SENT = datetime(2031, 5, 9, 12, 0, tzinfo=UTC)


class DurableJournal(MemoryJournal):
    is_durable = True


class World:
    """A log with the message "a" of Ann, and a clock."""

    def __init__(self, log: SharedLog, edit_seconds: int = 900, *, max_chars: int = 20) -> None:
        self.log, self.now = log, SENT
        self.changes = MessageChanges(
            log, edit_seconds=edit_seconds, max_chars=max_chars, voices=Voices(), clock=lambda: self.now
        )

    async def post(self, id_: str = "a", author: Author = ANN, content: str = "hello") -> Entry:
        return await self.log.accept(stamp({"id": id_, "content": content}, author, max_chars=20, now=self.now))

    async def edit(self, content: object, id_: object = "a", by: str = "7") -> Entry:
        return await (await self.changes.edit({"id": id_, "content": content}, by=by))

    async def delete(self, id_: object = "a", by: str = "7", *, is_moderator: bool = False) -> Entry:
        return await (await self.changes.delete({"id": id_}, by=by, is_moderator=is_moderator))

    def kinds(self) -> str:
        return " ".join(f"{entry.kind.value}:{entry.message.content}" for entry in self.log.window.read(0))


async def world(journal: MemoryJournal, *, edit_seconds: int = 900, max_messages: int = 100) -> World:
    made = World(await open_log(journal, max_messages=max_messages), edit_seconds)
    await made.post()
    return made


async def test_an_edit_and_a_deletion_are_entries() -> None:
    for journal in (MemoryJournal(), DurableJournal()):
        ann = await world(journal)
        ann.now += timedelta(seconds=60)
        edited = await ann.edit("other")
        assert (edited.sequence, edited.kind, edited.message.content) == (2, Kind.EDITED, "other")
        assert edited.message.edited_at == "2031-05-09T12:01:00.000Z"
        assert ann.kinds() == "posted:other edited:other"
        deleted = await ann.delete()
        assert (deleted.sequence, deleted.kind) == (3, Kind.DELETED)
        assert ann.kinds() == "void: void: deleted:"
        assert dict(ann.changes.counts) == {"edited": 1, "deleted": 1}


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (None, MessageInvalid),
        ({"id": "a"}, MessageInvalid),
        ({"id": "a", "content": 7}, MessageInvalid),
        ({"id": "a", "content": " \u200b"}, MessageEmpty),
        ({"id": "a", "content": "x" * 21}, MessageTooLong),
        ({"content": "x"}, MessageUnknown),
        ({"id": 7, "content": "x"}, MessageUnknown),
        ({"id": "a\0", "content": "x"}, MessageUnknown),
        ({"id": "a" * 65, "content": "x"}, MessageUnknown),
        ({"id": ["a"], "content": "x"}, MessageUnknown),
        ({"id": "\ud800", "content": "x"}, MessageUnknown),
        ({"id": "b", "content": "x"}, MessageUnknown),
    ],
)
async def test_an_edit_that_is_no_edit_of_a_message_is_refused(raw: Any, error: type[ChatioError]) -> None:
    ann = await world(DurableJournal())
    with pytest.raises(error):
        await ann.changes.edit(raw, by="7")
    assert ann.kinds() == "posted:hello"


async def test_content_is_kept_as_that_of_a_message() -> None:
    ann = await world(MemoryJournal())
    assert (await ann.edit("half \ud83d\0")).message.content == "half \ufffd\ufffd"


async def test_the_message_of_another_user_is_not_changed_but_by_a_moderator() -> None:
    ann = await world(MemoryJournal())
    with pytest.raises(NotYourMessage):
        await ann.edit("mine", by="8")
    with pytest.raises(NotYourMessage):
        await ann.delete(by="8")
    assert ann.kinds() == "posted:hello"
    ann.now += timedelta(days=9)
    assert (await ann.delete(by="8", is_moderator=True)).kind is Kind.DELETED


async def test_a_message_under_an_id_that_another_user_has_is_changed_under_its_own() -> None:
    ann = await world(MemoryJournal())
    of_bob = (await ann.post(author=BOB)).message
    with pytest.raises(NotYourMessage):
        await ann.edit("mine", by="8")
    await ann.edit("mine", id_=of_bob.id, by="8")
    assert ann.kinds() == "posted:hello posted:mine edited:mine"


async def test_after_a_time_a_message_stays_as_it_is() -> None:
    ann = await world(MemoryJournal())
    ann.now += timedelta(seconds=900)
    await ann.edit("in time")
    ann.now += timedelta(seconds=0.001)
    for changing in (ann.edit("late"), ann.delete()):
        with pytest.raises(ChangeTooLate):
            await changing
    assert (await ann.edit("in time")).sequence == 2  # sent again after a lost ack
    assert ann.kinds() == "posted:in time edited:in time"


async def test_never_is_never() -> None:
    ann = await world(MemoryJournal(), edit_seconds=0)
    for changing in (ann.edit("other"), ann.delete()):
        with pytest.raises(ChangeTooLate):
            await changing


async def test_a_deleted_message_is_not_changed_nor_sent_again() -> None:
    for journal in (MemoryJournal(), DurableJournal()):
        ann = await world(journal)
        await ann.delete()
        for again in (ann.edit("other"), ann.delete(), ann.post()):
            with pytest.raises(MessageDeleted):
                await again
        assert ann.kinds() == "void: deleted:"


async def test_the_same_edit_sent_again_is_one_entry() -> None:
    for journal in (MemoryJournal(), DurableJournal()):
        ann = await world(journal)
        first = await ann.edit("other")
        assert (await ann.edit("other")).offset == first.offset
        assert ann.log.window.head == 2


async def test_an_edited_message_sent_again_is_the_same_one_only_with_its_new_text() -> None:
    for journal in (MemoryJournal(), DurableJournal()):
        ann = await world(journal, max_messages=2)
        await ann.edit("other")
        with pytest.raises(IdReused):
            await ann.post()
        assert (await ann.post(content="other")).sequence == 1
        await ann.post("b")
        with pytest.raises(IdReused):  # which the window has dropped
            await ann.post()


async def test_a_message_that_the_window_has_dropped_is_changed_in_the_journal() -> None:
    ann = await world(DurableJournal(), max_messages=2)
    for id_ in "bcd":
        await ann.post(id_)
    await ann.edit("other")
    assert ann.kinds() == "posted:hello edited:other"
    await ann.delete()
    assert ann.kinds() == "void: deleted:"


async def test_in_memory_a_message_that_was_dropped_is_known_as_long_as_an_edit_of_it() -> None:
    """Else its text could not be deleted any more, and recovering clients would be sent it."""
    journal = MemoryJournal(max_messages=2)
    ann = await world(journal, max_messages=2)
    await ann.edit("other")
    await ann.post("b")
    assert ann.kinds() == "edited:other posted:hello"
    await ann.delete()
    assert ann.kinds() == "posted:hello deleted:"
    for id_ in "cd":
        await ann.post(id_)
    with pytest.raises(MessageUnknown):
        await ann.delete()
    assert (await ann.post()).sequence == 7


async def test_a_change_waits_for_a_message_that_waits_for_the_journal() -> None:
    journal = SlowJournal()
    ann = World(await open_log(journal))
    posting = asyncio.ensure_future(ann.post())
    await turn()
    editing = asyncio.ensure_future(ann.edit("other"))
    await turn()
    assert not editing.done()
    await journal.take()
    assert (await posting).sequence == 1
    assert (await editing).sequence == 2


async def test_messages_and_changes_are_batches_of_their_own_each_in_the_order_in_which_they_came() -> None:
    journal = SlowJournal()
    ann = World(await open_log(journal))
    posting = [asyncio.ensure_future(ann.post(id_)) for id_ in "ab"]
    await turn()
    await journal.take()
    later = [*(ann.post("c"), ann.edit("x"), ann.edit("y", "b"), ann.delete(), ann.post("d"))]
    running = [asyncio.ensure_future(each) for each in later]
    await turn()
    await journal.take()
    await turn()
    entries = [await each for each in (*posting, *running)]
    assert [entry.sequence for entry in entries] == [1, 2, 3, 5, 6, 7, 4]
    assert journal.batches == [["a", "b"], ["c", "d"]]
    assert ann.kinds() == "void: posted:y posted:hello posted:hello void: edited:y deleted:"


async def test_retention_takes_the_text_of_an_edit_with_its_message() -> None:
    journal = DurableJournal()
    ann = await world(journal)
    ann.now += timedelta(seconds=10)
    await ann.post("b")
    await ann.edit("other")
    await ann.edit("kept", "b")
    assert await ann.log.forget_before("2031-05-09T12:00:05.000Z")
    assert ann.kinds() == "posted:kept void: edited:kept"
    assert [record.kind for record in await journal.read(0, limit=9)] == [Kind.POSTED, Kind.VOID, Kind.EDITED]


async def test_the_newest_messages_are_counted_without_changes_and_deleted_ones() -> None:
    ann = await world(MemoryJournal())
    for id_ in "bcd":
        await ann.post(id_)
    await ann.delete("c")
    for number in range(10):
        await ann.edit(f"text {number}", "d")
    window = ann.log.window
    assert [window.before_newest(count) for count in (0, 1, 2, 3, 4)] == [window.head, 3, 1, 0, 0]


async def test_in_memory_every_message_that_clients_can_read_can_be_changed() -> None:
    """One user's edits pushed a message out of the journal, and not out of the window: it could not be deleted."""
    text_of_an_edit = "🎈" * 2000
    made = World(await open_log(MemoryJournal(max_bytes=100_000), max_bytes=100_000), max_chars=2002)
    await made.post("vile")
    await made.post("a")
    for number in range(50):
        await made.edit(f"{text_of_an_edit}{number}")
    await made.edit("mended", "vile")
    await made.delete("vile", "moderator", is_moderator=True)
    assert made.kinds().startswith("void: posted:🎈")
