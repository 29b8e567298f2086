"""How fast a connection and a person may speak, and when a connection is closed."""

import pytest

from chatio.chat.message_rates import MessageRateLimits, Rates
from tests.unit.clock import Clock


@pytest.fixture
def turns(clock: Clock) -> MessageRateLimits:
    return MessageRateLimits(Rates(), clock=clock)


def spoken(turns: MessageRateLimits, sid: str, author_id: str = "ada", most: int = 1000) -> int:
    """How many messages are taken in one go."""
    for count in range(most):
        if turns.message(sid, author_id):
            return count
    return most


def test_sixty_messages_pass_at_once_and_then_five_a_second(turns: MessageRateLimits, clock: Clock) -> None:
    assert spoken(turns, "a") == 60
    assert turns.message("a", "ada") == pytest.approx(0.2)
    clock.now += 1
    assert spoken(turns, "a") == 5


def test_a_person_is_held_over_all_connections(turns: MessageRateLimits, clock: Clock) -> None:
    assert [spoken(turns, sid) for sid in ("a", "b", "c")] == [60, 60, 0]
    clock.now += 1
    assert [spoken(turns, sid) for sid in ("a", "b", "c")] == [5, 5, 0]
    assert spoken(turns, "d", "eve") == 60


def test_what_a_person_is_refused_is_not_taken_from_the_connection(turns: MessageRateLimits, clock: Clock) -> None:
    for sid in ("a", "b"):
        spoken(turns, sid)
    for _ in range(60):
        assert turns.message("c", "ada")
    clock.now += 1
    assert spoken(turns, "c") == 10


def test_other_events_are_counted_by_person_and_coming_in_weighs_five(turns: MessageRateLimits) -> None:
    assert all(turns.other("ada") for _ in range(200))
    assert not turns.other("ada")
    assert not turns.joining("ada")
    assert [turns.joining("eve") for _ in range(41)] == [True] * 40 + [False]


def test_messages_and_other_events_do_not_take_from_each_other(turns: MessageRateLimits) -> None:
    assert spoken(turns, "a") == 60
    assert all(turns.other("ada") for _ in range(200))
    assert spoken(turns, "b") == 60


def test_three_hundred_refusals_at_once_are_borne_and_one_a_second(turns: MessageRateLimits, clock: Clock) -> None:
    assert not any(turns.refused("a", "ada") for _ in range(300))
    clock.now += 10
    assert [turns.refused("a", "ada") for _ in range(11)] == [False] * 10 + [True]


def test_who_was_shown_out_may_say_nothing_for_a_minute_and_is_borne_less(
    turns: MessageRateLimits, clock: Clock
) -> None:
    while not turns.refused("a", "ada"):
        pass
    assert turns.message("new", "ada") == pytest.approx(60)
    assert [turns.refused("new", "ada") for _ in range(31)] == [False] * 30 + [True]
    assert turns.message("b", "eve") == 0
    clock.now += 60
    assert spoken(turns, "new") == 60


def test_off_counts_nothing(clock: Clock) -> None:
    turns = MessageRateLimits(Rates(), is_on=False, clock=clock)
    assert spoken(turns, "a", most=10_000) == 10_000
    assert not any(turns.refused("a", "ada") for _ in range(10_000))
    assert all(turns.other("ada") and turns.joining("ada") for _ in range(10_000))
