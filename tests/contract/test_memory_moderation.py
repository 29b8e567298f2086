"""The stores in memory keep the contract of moderation."""

import pytest

from chatio.stores.memory import moderation
from chatio.stores.opening import Stores, in_memory
from tests.contract.moderation import ModerationContract, act


class TestMemoryModeration(ModerationContract):
    @pytest.fixture
    def stores(self) -> Stores:
        return in_memory(max_messages=9, max_bytes=9)


async def test_the_newest_acts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moderation, "MAX_ACTS", 2)
    store = in_memory(max_messages=9, max_bytes=9).moderation
    for number in (1, 2, 3):
        assert await store.record(act(f"{number}")) == number
    assert [number for number, _ in await store.acts(0, limit=9)] == [2, 3]
    assert [number for number, _ in await store.acts(2, limit=9)] == [3]
