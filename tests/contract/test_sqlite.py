"""The stores in SQLite keep the contracts, and go on after a restart where they were."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from chatio.stores.base import Journal, UserStore
from chatio.stores.opening import Stores, open_stores
from tests.contract.changes import ChangesContract
from tests.contract.journal import JournalContract
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
