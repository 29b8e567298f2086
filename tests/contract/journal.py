"""The contract of a `Journal`: the tests that every back end must pass.

A back end runs them in a subclass whose fixture `journal` returns an empty journal.
"""

import asyncio

import msgspec
import pytest

from chatio.stores.journal import Appended, Extent, Journal
from chatio.stores.records import Message, Record, derived_id


def message(id_: str, author_id: str = "7", content: str = "hello") -> Message:
    return Message(id_, content, author_id, "Ada", "10:32", "2031-05-09T12:04:05.678Z")


async def fill(journal: Journal, count: int) -> None:
    await journal.append([message(f"m{number}", content=f"text {number}") for number in range(1, count + 1)])


async def contents(journal: Journal, after: int = 0, limit: int = 1000) -> list[tuple[int, str]]:
    return [(record.number, record.message.content) for record in await journal.read(after, limit=limit)]


class JournalContract:
    @pytest.fixture
    def journal(self) -> Journal:
        raise NotImplementedError("a back end returns an empty journal here")

    async def test_a_new_journal_is_empty(self, journal: Journal) -> None:
        epoch, tail, head = await journal.extent()
        assert (len(epoch), tail, head) == (14, 0, 0)
        assert int(epoch, 16) > 0
        assert await journal.read(0, limit=10) == []

    async def test_messages_are_numbered_from_one_in_the_order_of_the_batches(self, journal: Journal) -> None:
        assert await journal.append([message("a"), message("b")]) == [
            Appended(Record(1, message("a")), is_new=True),
            Appended(Record(2, message("b")), is_new=True),
        ]
        assert await journal.append([message("c")]) == [Appended(Record(3, message("c")), is_new=True)]
        assert (await journal.extent())[1:] == (0, 3)
        assert await journal.read(0, limit=10) == [
            Record(1, message("a")),
            Record(2, message("b")),
            Record(3, message("c")),
        ]

    async def test_a_batch_without_messages_changes_nothing(self, journal: Journal) -> None:
        assert await journal.append([]) == []
        assert (await journal.extent())[1:] == (0, 0)

    @pytest.mark.parametrize(
        "text",
        [
            "'; DROP TABLE messages; --",
            "Ünï \U0001f600 עדה",
            "\u200d\u0007\u0085",
            "%_\\",
            '{"a": [NULL]}',
            "🎈" * 10_000,
        ],
    )
    async def test_any_text_is_kept_as_it_is(self, journal: Journal, text: str) -> None:
        sent = Message(text[:64], text, text[:100], text[:100], text[:64], text[:24])
        assert await journal.append([sent]) == [Appended(Record(1, sent), is_new=True)]
        assert await journal.read(0, limit=1) == [Record(1, sent)]

    @pytest.mark.parametrize(
        ("after", "limit", "expected"),
        [
            (0, 10, [1, 2, 3, 4, 5]),
            (2, 10, [3, 4, 5]),
            (0, 2, [1, 2]),
            (3, 1, [4]),
            (5, 10, []),
            (9, 10, []),
            (-3, 2, [1, 2]),
            (0, 0, []),
        ],
    )
    async def test_reading_gives_the_oldest_messages_after_a_number(
        self, journal: Journal, after: int, limit: int, expected: list[int]
    ) -> None:
        await fill(journal, 5)
        assert await contents(journal, after, limit) == [(number, f"text {number}") for number in expected]

    async def test_a_batch_as_large_as_the_largest_is_one_append(self, journal: Journal) -> None:
        batch = [message(f"m{number}", content=f"text {number}") for number in range(500)]
        results = await journal.append(batch)
        assert [result.record.number for result in results] == list(range(1, 501))
        assert [record.message for record in await journal.read(0, limit=1000)] == batch

    async def test_batches_at_once_have_numbers_without_gaps(self, journal: Journal) -> None:
        batches = [[message(f"{batch} {number}") for number in range(5)] for batch in range(20)]
        results = await asyncio.gather(*(journal.append(batch) for batch in batches))
        numbers = [[result.record.number for result in of_batch] for of_batch in results]
        assert sorted(number for of_batch in numbers for number in of_batch) == list(range(1, 101))
        assert all(of_batch == list(range(of_batch[0], of_batch[0] + 5)) for of_batch in numbers)
        assert [record.number for record in await journal.read(0, limit=1000)] == list(range(1, 101))

    # The same message again

    async def test_the_same_id_of_the_same_author_is_the_first_message(self, journal: Journal) -> None:
        await journal.append([message("a", content="first"), message("b")])
        again = await journal.append([message("a", content="first"), message("c"), message("a", content="other")])
        first = Appended(Record(1, message("a", content="first")), is_new=False)
        assert again == [first, Appended(Record(3, message("c")), is_new=True), first]
        assert (await journal.extent()).head == 3

    async def test_a_message_twice_in_one_batch_is_one(self, journal: Journal) -> None:
        results = await journal.append([message("a"), message("a"), message("b")])
        assert [(result.record.number, result.is_new) for result in results] == [(1, True), (1, False), (2, True)]

    async def test_a_batch_again_is_the_same_batch(self, journal: Journal) -> None:
        """So that a batch whose answer was lost can be appended again."""
        batch = [message("a"), message("a", author_id="8"), message("b")]
        first = await journal.append(batch)
        assert await journal.append(batch) == [Appended(appended.record, is_new=False) for appended in first]
        assert (await journal.extent()).head == 3

    async def test_the_same_id_of_another_author_is_another_message(self, journal: Journal) -> None:
        await journal.append([message("a", "7")])
        other = msgspec.structs.replace(message("a", "8"), id=derived_id("8", "a"))
        assert await journal.append([message("a", "8")]) == [Appended(Record(2, other), is_new=True)]
        assert await journal.append([message("a", "8")]) == [Appended(Record(2, other), is_new=False)]
        assert await journal.append([message("a", "7")]) == [Appended(Record(1, message("a")), is_new=False)]
        assert (await journal.append([message("a", "9")]))[0].is_new
        ids = [record.message.id for record in await journal.read(0, limit=10)]
        assert len(set(ids)) == 3

    async def test_an_id_that_no_author_can_use_gives_the_message_that_has_it(self, journal: Journal) -> None:
        """An author took the id that another one would be given: the rules above refuse the message."""
        taken = message(derived_id("8", "a"), "7", "mine")
        await journal.append([message("a", "7"), taken])
        assert await journal.append([message("a", "8")]) == [Appended(Record(2, taken), is_new=False)]

    @pytest.mark.parametrize("id_", ["A", "a ", "á", "\u0061\u0301"])
    async def test_ids_are_compared_as_they_are(self, journal: Journal, id_: str) -> None:
        await journal.append([message("a"), message("á")][: 1 if id_ == "á" else 2])
        assert (await journal.append([message(id_)]))[0].is_new

    # Retention

    async def test_the_oldest_messages_are_forgotten_up_to_a_number(self, journal: Journal) -> None:
        await fill(journal, 5)
        assert await journal.forget(3, limit=100) == 3
        assert (await journal.extent())[1:] == (3, 5)
        assert await contents(journal) == [(4, "text 4"), (5, "text 5")]
        assert await journal.forget(3, limit=100) == 0

    async def test_no_more_messages_are_forgotten_at_once_than_the_limit(self, journal: Journal) -> None:
        await fill(journal, 5)
        assert [await journal.forget(4, limit=3) for _ in range(3)] == [3, 1, 0]
        assert await contents(journal) == [(5, "text 5")]

    async def test_numbers_go_on_after_every_message_is_forgotten(self, journal: Journal) -> None:
        await fill(journal, 3)
        assert await journal.forget(99, limit=100) == 3
        assert (await journal.extent())[1:] == (3, 3)
        assert (await journal.append([message("new")]))[0].record.number == 4
        assert (await journal.extent())[1:] == (3, 4)

    async def test_the_id_of_a_forgotten_message_is_free(self, journal: Journal) -> None:
        await fill(journal, 3)
        await journal.forget(1, limit=1)
        assert [result.is_new for result in await journal.append([message("m1"), message("m2")])] == [True, False]

    # Epochs

    async def test_the_epoch_is_renewed_once_for_each_old_one(self, journal: Journal) -> None:
        await fill(journal, 2)
        old = (await journal.extent()).epoch
        new = await journal.renew_epoch(old)
        assert new > old
        assert len(new) == len(old)
        assert await journal.renew_epoch(old) == new
        assert await journal.extent() == Extent(new, 0, 2)
        assert await journal.renew_epoch(new) > new
