"""MemoryUserStore keeps the contract of a user store."""

import pytest

from chatio.stores.accounts import UserStore
from chatio.stores.memory.accounts import MemoryUserStore
from tests.contract.user_store import ADA, UserStoreContract


class TestMemoryUserStore(UserStoreContract):
    @pytest.fixture
    def store(self) -> UserStore:
        return MemoryUserStore()


async def test_two_stores_share_nothing() -> None:
    one, other = MemoryUserStore(), MemoryUserStore()
    await one.add(ADA)
    assert await other.get_by_email_key(ADA.email_key) is None
