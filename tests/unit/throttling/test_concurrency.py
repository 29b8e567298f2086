"""Who is in is counted, and nothing is kept of who is not."""

import pytest

from chatio.throttling.concurrency import ConcurrencyLimit


def test_there_is_room_until_the_bound_and_again_when_one_leaves() -> None:
    heads = ConcurrencyLimit(2)
    for _ in range(2):
        assert heads.has_capacity("ann")
        heads.acquire("ann")
    assert not heads.has_capacity("ann")
    assert heads.has_capacity("bob")
    heads.release("ann")
    assert heads.has_capacity("ann")


def test_nothing_is_kept_of_who_has_left() -> None:
    heads = ConcurrencyLimit()
    for _ in range(3):
        heads.acquire("ann")
    heads.acquire("bob")
    assert len(heads) == 2
    for key in ("ann", "ann", "bob", "ann"):
        heads.release(key)
    assert len(heads) == 0


def test_without_a_bound_there_is_always_room() -> None:
    heads = ConcurrencyLimit()
    for _ in range(1000):
        heads.acquire("ann")
    assert heads.has_capacity("ann")


def test_who_never_came_cannot_leave() -> None:
    with pytest.raises(KeyError):
        ConcurrencyLimit().release("ann")
