"""The stores in SQLite keep the contracts, and go on after a restart where they were."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from chatio.errors import StoreUnavailable
from chatio.stores.accounts import UserStore
from chatio.stores.errors import OutcomeUnknown, StoreStuck
from chatio.stores.journal import Journal
from chatio.stores.opening import Stores, open_stores
from chatio.stores.sqlite import database
from tests.client.wire import until
from tests.conftest import ExpectedLogs
from tests.contract.changes import ChangesContract, deletion, edit
from tests.contract.journal import JournalContract, message
from tests.contract.moderation import ModerationContract
from tests.contract.reopening import Reopen, ReopeningContract
from tests.contract.user_store import UserStoreContract


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/chat.db"


@pytest.fixture
def stores(io_loop: IOLoop, url: str) -> Iterator[Stores]:
    stores = io_loop.run_sync(lambda: open_stores(url, folder=Path()))
    yield stores
    io_loop.run_sync(stores.close)


class TestSqliteUserStore(UserStoreContract):
    @pytest.fixture
    def store(self, stores: Stores) -> UserStore:
        return stores.users


class TestSqliteJournal(JournalContract, ChangesContract):
    @pytest.fixture
    def journal(self, stores: Stores) -> Journal:
        return stores.journal


class TestSqliteModeration(ModerationContract):
    @pytest.fixture
    def stores(self, stores: Stores) -> Stores:
        return stores


class TestReopenedSqlite(ReopeningContract):
    @pytest.fixture
    def reopen(self, url: str) -> Reopen:
        return lambda: open_stores(url, folder=Path())


def kept(url: str, suffix: str = "") -> bytes:
    return Path(url.removeprefix("sqlite:///") + suffix).read_bytes()


async def test_no_byte_of_a_text_is_left_that_was_edited_or_deleted(url: str, stores: Stores) -> None:
    """The file is read as it is while a server uses it, right after the answer."""
    texts = {number: f"SECRET{number:06}{'x' * (number * 997 % 9_000)}END{number:06}" for number in range(300)}
    await stores.journal.append([message(f"m{number}", content=text) for number, text in texts.items()])
    longer = {number: f"SECRET{number + 1000:06}{'y' * (number * 7919 % 9_000)}" for number in range(0, 300, 3)}
    edits = [edit(f"edit {number}", f"m{number}", text) for number, text in longer.items()]
    for first in range(0, 100, 10):
        await stores.journal.change(edits[first : first + 10])
    await stores.journal.change([deletion(f"delete {number}", f"m{number}") for number in range(0, 300, 2)])
    data = kept(url) + kept(url, "-wal")
    gone = [number for number in range(300) if number % 3 == 0 or number % 2 == 0]
    assert [number for number in gone if f"SECRET{number:06}".encode() in data] == []
    assert [number for number in gone if f"END{number:06}".encode() in data] == []
    assert [number for number in range(0, 300, 6) if f"SECRET{number + 1000:06}".encode() in data] == []
    assert all(f"SECRET{number:06}".encode() in data for number in range(300) if number not in gone)


async def test_texts_that_a_reader_keeps_in_the_wal_are_gone_when_it_has_ended(url: str, stores: Stores) -> None:
    await stores.journal.append([message("a", content="SECRET")])
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM messages").fetchone()
        await stores.journal.change([deletion("k", "a")])
        assert b"SECRET" in kept(url, "-wal")
        await stores.journal.append([message("b")])  # no server waits for a reader
    await until(lambda: not kept(url, "-wal"))
    assert b"SECRET" not in kept(url)


def test_a_disk_that_does_not_answer_keeps_no_process(
    io_loop: IOLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect("^The disk does not answer: the process ends without waiting for it$")
    monkeypatch.setattr(database, "CLOSE_SECONDS", 0.05)
    answers = threading.Event()

    async def run() -> None:
        stuck = database.open_database(tmp_path / "chat.db")
        writing = stuck.write(lambda _: answers.wait())
        with pytest.raises(StoreStuck):
            await stuck.close()
        answers.set()
        await writing
        await stuck.close()

    io_loop.run_sync(run)


async def test_a_thread_that_does_not_answer_fails_the_call_and_not_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect("^The database refused: no answer in 0.05 s$")
    disk = threading.Event()
    sqlite_database = database.open_database(tmp_path / "chat.db")
    monkeypatch.setattr(database, "ANSWER_SECONDS", 0.05)
    with pytest.raises(OutcomeUnknown):
        await sqlite_database.write(lambda _: disk.wait())
    with pytest.raises(StoreUnavailable):
        await sqlite_database.read(lambda _: disk.wait())
    disk.set()
    monkeypatch.setattr(database, "ANSWER_SECONDS", 60)
    assert await sqlite_database.write(lambda _: 1) == await sqlite_database.read(lambda _: 1) == 1
    await sqlite_database.close()


@pytest.mark.parametrize("call", ["read", "write"])
async def test_an_answer_that_is_lost_on_its_way_to_the_loop_fails_the_call_and_not_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs, call: str
) -> None:
    logs.expect("^exception calling callback ")  # concurrent.futures'
    logs.expect("^The database refused: no answer in 0.05 s$")
    loop = asyncio.get_running_loop()
    sqlite_database = database.open_database(tmp_path / "chat.db")
    monkeypatch.setattr(database, "ANSWER_SECONDS", 0.05)

    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as without_memory:
        without_memory.setattr(loop, "call_soon_threadsafe", no_memory)
        with pytest.raises((OutcomeUnknown, StoreUnavailable)):
            await getattr(sqlite_database, call)(lambda _: 1)
    assert await getattr(sqlite_database, call)(lambda _: 1) == 1
    await sqlite_database.close()
