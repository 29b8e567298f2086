"""ConcurrencyLimit: so many of each key at a time."""

import pytest

from chatio.throttling.concurrency import ConcurrencyLimit


def test_capacity_ends_at_the_limit_and_returns_with_a_release() -> None:
    limit = ConcurrencyLimit(2)
    assert [limit.acquire("ann") for _ in range(3)] == [True, True, False]
    assert limit.acquire("bob")
    limit.release("ann")
    assert [limit.acquire("ann") for _ in range(2)] == [True, False]


def test_a_key_with_nothing_open_is_forgotten() -> None:
    limit = ConcurrencyLimit()
    for _ in range(3):
        limit.acquire("ann")
    limit.acquire("bob")
    assert len(limit) == 2
    for key in ("ann", "ann", "bob", "ann"):
        limit.release(key)
    assert len(limit) == 0


def test_a_limit_of_none_always_has_capacity() -> None:
    limit = ConcurrencyLimit()
    assert all(limit.acquire("ann") for _ in range(1000))


def test_release_of_a_key_with_nothing_open_raises() -> None:
    with pytest.raises(KeyError):
        ConcurrencyLimit().release("ann")
