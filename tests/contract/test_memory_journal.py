"""MemoryJournal keeps the contract of a journal, within its bounds."""

import pytest

from chatio.stores.journal import Journal
from chatio.stores.memory.journal import MemoryJournal, size_bytes
from tests.contract.changes import ChangesContract
from tests.contract.journal import JournalContract, contents, fill, message


class TestMemoryJournal(JournalContract, ChangesContract):
    @pytest.fixture
    def journal(self) -> Journal:
        return MemoryJournal(max_bytes=2**20)


async def test_an_append_is_done_at_once() -> None:
    journal = MemoryJournal()
    assert not journal.is_durable
    assert journal.append([message("a")]).done()


async def test_only_the_newest_messages_are_kept() -> None:
    journal = MemoryJournal(max_messages=3)
    await fill(journal, 5)
    assert await contents(journal) == [(3, "text 3"), (4, "text 4"), (5, "text 5")]
    assert (await journal.extent())[1:] == (2, 5)
    assert [result.is_new for result in await journal.append([message("m3"), message("m1")])] == [False, True]


async def test_only_so_many_bytes_are_kept_and_at_least_one_message() -> None:
    journal = MemoryJournal(max_bytes=2 * size_bytes(message("m1")))
    await journal.append([message("m1"), message("m2"), message("m3")])
    assert [number for number, _ in await contents(journal)] == [2, 3]
    await journal.append([message("m4", content="x" * 100_000)])
    assert [number for number, _ in await contents(journal)] == [4]
