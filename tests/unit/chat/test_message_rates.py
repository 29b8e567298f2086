"""MessageRateLimits: how many events a connection and a user may send, and when a connection must be closed."""

import pytest

from chatio.chat.message_rates import MessageRateLimits, Rates
from tests.unit.clock import Clock


@pytest.fixture
def limits(clock: Clock) -> MessageRateLimits:
    return MessageRateLimits(Rates(), clock=clock)


def accepted(limits: MessageRateLimits, sid: str, author_id: str = "ada", most: int = 1000) -> int:
    """The number of messages that are accepted at once."""
    for count in range(most):
        if limits.message(sid, author_id):
            return count
    return most


def test_sixty_messages_pass_at_once_and_then_five_a_second(limits: MessageRateLimits, clock: Clock) -> None:
    assert accepted(limits, "a") == 60
    assert limits.message("a", "ada") == pytest.approx(0.2)
    clock.now += 1
    assert accepted(limits, "a") == 5


def test_a_user_is_limited_over_all_connections(limits: MessageRateLimits, clock: Clock) -> None:
    assert [accepted(limits, sid) for sid in ("a", "b", "c")] == [60, 60, 0]
    clock.now += 1
    assert [accepted(limits, sid) for sid in ("a", "b", "c")] == [5, 5, 0]
    assert accepted(limits, "d", "eve") == 60


def test_message_refused_to_the_user_counts_for_no_connection(limits: MessageRateLimits, clock: Clock) -> None:
    for sid in ("a", "b"):
        accepted(limits, sid)
    for _ in range(60):
        assert limits.message("c", "ada")
    clock.now += 1
    assert accepted(limits, "c") == 10


def test_other_events_are_counted_by_user_and_joining_weighs_five(limits: MessageRateLimits) -> None:
    assert all(limits.other("ada") for _ in range(200))
    assert not limits.other("ada")
    assert not limits.joining("ada")
    assert [limits.joining("eve") for _ in range(41)] == [True] * 40 + [False]


def test_messages_and_other_events_are_counted_apart(limits: MessageRateLimits) -> None:
    assert accepted(limits, "a") == 60
    assert all(limits.other("ada") for _ in range(200))
    assert accepted(limits, "b") == 60


def test_past_300_limited_events_at_once_a_connection_is_closed(limits: MessageRateLimits, clock: Clock) -> None:
    assert not any(limits.count_limited("a", "ada") for _ in range(300))
    clock.now += 10
    assert [limits.count_limited("a", "ada") for _ in range(11)] == [False] * 10 + [True]


def test_flood_silences_its_user_and_limited_events_weigh_ten(limits: MessageRateLimits, clock: Clock) -> None:
    while not limits.count_limited("a", "ada"):
        pass
    assert limits.message("new", "ada") == pytest.approx(60)
    assert [limits.count_limited("new", "ada") for _ in range(31)] == [False] * 30 + [True]
    assert limits.message("b", "eve") == 0
    clock.now += 60
    assert accepted(limits, "new") == 60


def test_limits_that_are_off_count_nothing(clock: Clock) -> None:
    limits = MessageRateLimits(Rates(), is_on=False, clock=clock)
    assert accepted(limits, "a", most=10_000) == 10_000
    assert not any(limits.count_limited("a", "ada") for _ in range(10_000))
    assert all(limits.other("ada") and limits.joining("ada") for _ in range(10_000))
