"""Who is in is counted, and nothing is kept of who is not."""

import pytest

from chatio.throttling.concurrency import Headcount


def test_there_is_room_until_the_bound_and_again_when_one_leaves() -> None:
    heads = Headcount(2)
    for _ in range(2):
        assert heads.has_room("ann")
        heads.enter("ann")
    assert not heads.has_room("ann")
    assert heads.has_room("bob")
    heads.leave("ann")
    assert heads.has_room("ann")


def test_nothing_is_kept_of_who_has_left() -> None:
    heads = Headcount()
    for _ in range(3):
        heads.enter("ann")
    heads.enter("bob")
    assert len(heads) == 2
    for key in ("ann", "ann", "bob", "ann"):
        heads.leave(key)
    assert len(heads) == 0


def test_without_a_bound_there_is_always_room() -> None:
    heads = Headcount()
    for _ in range(1000):
        heads.enter("ann")
    assert heads.has_room("ann")


def test_who_never_came_cannot_leave() -> None:
    with pytest.raises(KeyError):
        Headcount().leave("ann")
