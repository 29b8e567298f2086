"""The contract of a `Journal`'s changes, edits and deletions: the tests that every back end must pass.

A back end runs them in a subclass whose fixture `journal` returns an empty journal.
"""

import msgspec
import pytest

from chatio.errors import MessageDeleted, MessageRejected, MessageUnknown
from chatio.stores.journal import OF_AUTHOR_AT_ONCE, Appended, Journal
from chatio.stores.records import Change, Kind, Message, Record
from tests.contract.journal import fill, message

AT = "2031-05-09T12:05:00.000Z"


def edit(key: str, message_id: str, content: str, at: str = AT) -> Change:
    return Change(key, message_id, content, at)


def deletion(key: str, message_id: str, at: str = AT) -> Change:
    return Change(key, message_id, None, at)


def edited(id_: str, content: str, at: str = AT) -> Message:
    return msgspec.structs.replace(message(id_), content=content, edited_at=at)


async def view(journal: Journal) -> list[tuple[str, str, str]]:
    """What each entry says: its kind, the id of its message, and the text."""
    records = await journal.read(0, limit=1000)
    return [(record.kind.value, record.message.id, record.message.content) for record in records]


class ChangesContract:
    @pytest.fixture
    def journal(self) -> Journal:
        raise NotImplementedError("a back end returns an empty journal here")

    async def test_an_edit_is_an_entry_and_the_message_has_the_new_text(self, journal: Journal) -> None:
        await journal.append([message("a"), message("b")])
        (result,) = await journal.change([edit("k", "a", "other")])
        assert result == Appended(Record(3, edited("a", "other"), Kind.EDITED), is_new=True)
        assert await journal.read(0, limit=9) == [
            Record(1, edited("a", "other")),
            Record(2, message("b")),
            Record(3, edited("a", "other"), Kind.EDITED),
        ]
        assert await journal.find("a") == Record(1, edited("a", "other"))
        assert (await journal.extent())[1:] == (0, 3)
        assert (await journal.append([message("c")]))[0].record.number == 4

    async def test_only_the_newest_edit_has_a_text(self, journal: Journal) -> None:
        await journal.append([message("a")])
        await journal.change([edit("k1", "a", "second"), edit("k2", "a", "third, and longer than the others")])
        await journal.change([edit("k3", "a", "")])
        assert await view(journal) == [
            ("posted", "a", ""),
            ("void", "a", ""),
            ("void", "a", ""),
            ("edited", "a", ""),
        ]
        assert [record.message.edited_at for record in await journal.read(0, limit=9)] == [AT] * 4

    async def test_a_deletion_is_an_entry_and_no_text_is_left(self, journal: Journal) -> None:
        await journal.append([message("a"), message("b")])
        await journal.change([edit("k1", "a", "secret")])
        (result,) = await journal.change([deletion("k2", "a")])
        assert result == Appended(Record(4, edited("a", ""), Kind.DELETED), is_new=True)
        assert await view(journal) == [
            ("void", "a", ""),
            ("posted", "b", "hello"),
            ("void", "a", ""),
            ("deleted", "a", ""),
        ]
        found = await journal.find("a")
        assert found is not None
        assert (found.kind, found.message.content) == (Kind.VOID, "")

    async def test_any_text_replaces_any_other(self, journal: Journal) -> None:
        texts = ["🎈" * 10_000, "'; DROP TABLE messages; --", "x" * 100_000, "Ünï \U0001f600 עדה", "%s%n"]
        await journal.append([message("a", content="%*s" * 1000), message("b")])
        for number, text in enumerate(texts):
            (result,) = await journal.change([edit(f"k{number}", "a", text)])
            assert result.record.message.content == text
            assert await journal.find("a") == Record(1, edited("a", text))
        assert await journal.find("b") == Record(2, message("b"))

    async def test_a_change_of_no_message_is_refused_and_the_others_of_its_batch_are_not(
        self, journal: Journal
    ) -> None:
        await journal.append([message("a"), message("b")])
        results = await journal.change(
            [
                edit("k1", "nothing", "x"),
                deletion("k2", "a"),
                edit("k3", "a", "x"),
                deletion("k4", "a"),
                edit("k5", "b", "x"),
            ]
        )
        refusals: list[type[MessageRejected] | None] = [result.refusal for result in results]
        assert refusals == [MessageUnknown, None, MessageDeleted, MessageDeleted, None]
        assert [result.is_new for result in results] == [False, True, False, False, True]
        assert [(number, kind) for number, _, kind in await journal.read(2, limit=9)] == [
            (3, Kind.DELETED),
            (4, Kind.EDITED),
        ]

    # The same change again

    async def test_a_batch_again_is_the_same_batch_of_changes(self, journal: Journal) -> None:
        """So that a batch whose answer was lost can be given again."""
        await journal.append([message("a"), message("b")])
        batch = [edit("k1", "a", "x"), edit("k2", "a", "y"), deletion("k3", "b"), edit("k4", "a", "x")]
        first = await journal.change(batch)
        before = await view(journal)
        again = await journal.change(batch)
        assert [(result.record.number, result.is_new, result.refusal) for result in again] == [
            (result.record.number, False, None) for result in first
        ]
        assert await view(journal) == before

    async def test_an_edit_to_the_text_of_the_newest_edit_is_that_edit(self, journal: Journal) -> None:
        await journal.append([message("a")])
        (first,) = await journal.change([edit("k1", "a", "other")])
        assert await journal.change([edit("k2", "a", "other", at="2031-05-09T13:00:00.000Z")]) == [
            Appended(first.record, is_new=False)
        ]
        assert (await journal.extent()).head == 2

    async def test_an_edit_to_the_text_that_was_sent_is_an_edit(self, journal: Journal) -> None:
        await journal.append([message("a")])
        assert (await journal.change([edit("k1", "a", "hello")]))[0].is_new

    async def test_a_message_sent_again_is_the_message_as_it_is_now(self, journal: Journal) -> None:
        await journal.append([message("a"), message("b"), message("a", "8")])
        await journal.change([edit("k1", "a", "other"), deletion("k2", "b")])
        of_another = (await journal.read(2, limit=1))[0].message
        results = await journal.append([message("a"), message("b"), message("c"), message("a", "8")])
        assert [(result.record.number, result.is_new) for result in results] == [
            (1, False),
            (2, False),
            (6, True),
            (3, False),
        ]
        assert results[0].record == Record(1, edited("a", "other"))
        assert (results[1].record.kind, results[1].record.message.content) == (Kind.VOID, "")
        await journal.change([edit("k3", of_another.id, "mine")])
        assert (await journal.append([message("a", "8")]))[0].record.message.content == "mine"

    # Retention

    async def test_changes_of_a_forgotten_message_are_void_and_its_id_is_free(self, journal: Journal) -> None:
        await journal.append([message("a"), message("b"), message("c")])
        await journal.change([edit("k1", "a", "secret"), deletion("k2", "b"), edit("k3", "c", "kept")])
        assert await journal.forget(2, limit=9) == 2
        assert await view(journal) == [
            ("posted", "c", "kept"),
            ("void", "", ""),
            ("void", "", ""),
            ("edited", "c", "kept"),
        ]
        assert await journal.find("a") is None
        assert (await journal.change([edit("k4", "a", "x")]))[0].refusal is MessageUnknown
        assert (await journal.append([message("a")]))[0] == Appended(Record(7, message("a")), is_new=True)
        assert await view(journal) == [
            *(("posted", "c", "kept"), ("void", "", ""), ("void", "", ""), ("edited", "c", "kept")),
            ("posted", "a", "hello"),
        ]

    async def test_changes_are_forgotten_as_messages_are(self, journal: Journal) -> None:
        await journal.append([message("a")])
        await journal.change([edit("k1", "a", "x"), edit("k2", "a", "y")])
        await journal.append([message("b")])
        assert [await journal.forget(3, limit=2) for _ in range(3)] == [2, 1, 0]
        assert await view(journal) == [("posted", "b", "hello")]
        assert (await journal.extent())[1:] == (3, 4)

    # By author

    async def test_the_messages_of_an_author_are_read_without_changes_and_deleted_ones(
        self, journal: Journal
    ) -> None:
        await journal.append([message(id_, author) for id_, author in ("a7", "b8", "c7", "d7", "e7")])
        await journal.change([deletion("k1", "c"), edit("k2", "d", "other"), edit("k3", "a", "first")])
        assert await journal.by_author("7", 0, limit=4) == [
            Record(1, edited("a", "first")),
            Record(4, edited("d", "other")),
        ]
        assert await journal.by_author("7", 1, limit=2) == []
        assert await journal.by_author("7", 4, limit=9) == [Record(5, message("e"))]
        assert await journal.by_author("9", 0, limit=9) == []

    async def test_messages_are_read_back_from_a_number_without_changes_and_deleted_ones(
        self, journal: Journal
    ) -> None:
        """Changes were read too, with texts of 36 kB: a page of 256 KiB took 2.6 s and 30 MB."""
        await journal.append([message(id_) for id_ in "abcde"])
        await journal.change([deletion("k1", "c"), edit("k2", "d", "other"), edit("k3", "a", "first")])
        expected = [Record(1, edited("a", "first")), Record(2, message("b")), Record(4, edited("d", "other"))]
        expected.append(Record(5, message("e")))
        assert await journal.messages(0, 9, limit=9) == expected
        assert await journal.messages(0, 9, limit=2) == expected[2:]
        assert await journal.messages(1, 5, limit=9) == expected[1:3]
        assert await journal.messages(2, 4, limit=9) == []
        assert await journal.messages(5, 9, limit=9) == await journal.messages(4, 2, limit=9) == []

    async def test_no_more_messages_of_an_author_are_read_than_memory_is_meant_for(self, journal: Journal) -> None:
        await fill(journal, OF_AUTHOR_AT_ONCE + 3)
        await journal.change([deletion("k1", "m1")])
        first = await journal.by_author("7", 0, limit=99)
        assert [record.number for record in first] == list(range(2, OF_AUTHOR_AT_ONCE + 2))
        rest = await journal.by_author("7", first[-1].number, limit=99)
        assert [record.number for record in rest] == [OF_AUTHOR_AT_ONCE + 2, OF_AUTHOR_AT_ONCE + 3]
