"""A throttle lets a burst through and then its rate, for each key by itself."""

import pytest

from chatio.errors import RateLimited
from chatio.throttling.rate_limiter import RateLimiter
from tests.unit.clock import Clock


def takes(throttle: RateLimiter, key: str, most: int = 1000) -> int:
    """How many events of `key` are let through at once."""
    for count in range(most):
        if throttle.wait_after(key):
            return count
    return most


def test_a_burst_passes_and_then_the_rate(clock: Clock) -> None:
    throttle = RateLimiter(5, 1, burst=60, clock=clock)
    assert takes(throttle, "a") == 60
    assert throttle.wait_after("a") == pytest.approx(0.2)
    clock.now += 1
    assert takes(throttle, "a") == 5
    clock.now += 3600
    assert takes(throttle, "a") == 60


def test_keys_are_counted_apart(clock: Clock) -> None:
    throttle = RateLimiter(3, 60, clock=clock)
    assert takes(throttle, "a") == 3
    assert takes(throttle, "b") == 3


def test_take_past_the_rate_says_when_to_come_back_in_whole_seconds(clock: Clock) -> None:
    throttle = RateLimiter(1, 60, clock=clock)
    throttle.acquire("a")
    clock.now += 1.5
    with pytest.raises(RateLimited) as refused:
        throttle.acquire("a")
    assert refused.value.retry_after_seconds == 59


def test_refused_events_do_not_lengthen_the_wait(clock: Clock) -> None:
    throttle = RateLimiter(1, 60, clock=clock)
    throttle.acquire("a")
    for _ in range(100):
        throttle.wait_after("a")
    clock.now += 60
    throttle.acquire("a")


def test_wait_counts_nothing(clock: Clock) -> None:
    throttle = RateLimiter(1, 60, clock=clock)
    assert throttle.wait("a") == 0.0
    throttle.acquire("a")
    assert throttle.wait("a") == pytest.approx(60)


def test_an_event_weighs_its_cost_and_one_heavier_than_the_burst_takes_all_of_it_and_more(clock: Clock) -> None:
    throttle = RateLimiter(100, 1, burst=1000, clock=clock)
    assert throttle.wait_after("a", 400) == 0.0
    assert throttle.wait_after("a", 700) == pytest.approx(1.0)
    assert throttle.wait_after("b", 5000) == 0.0
    assert throttle.wait_after("b", 1) == pytest.approx(40.01)


def test_a_throttle_that_is_off_lets_everything_through() -> None:
    throttle = RateLimiter(1, 60, is_on=False)
    assert takes(throttle, "a") == 1000
    assert throttle.wait("a") == 0.0


def test_keys_whose_bucket_is_empty_again_are_forgotten(clock: Clock) -> None:
    throttle = RateLimiter(1, 10, clock=clock)
    for number in range(100):
        throttle.acquire(f"before {number}")
    clock.now += 10
    for number in range(100):
        throttle.acquire(f"after {number}")
    assert len(throttle) == 100


def test_past_max_keys_who_was_longest_unseen_is_forgotten(clock: Clock) -> None:
    throttle = RateLimiter(2, 3600, max_keys=3, clock=clock)
    for key in ("a", "b", "c", "a", "d"):
        throttle.acquire(key)
    assert len(throttle) == 3
    assert throttle.wait("a")
    throttle.acquire("b")
    throttle.acquire("b")


def test_a_burst_of_any_size_passes_whole(clock: Clock) -> None:
    for burst in range(1, 300):
        clock.now += 0.123456789
        assert takes(RateLimiter(7, 3, burst=burst, clock=clock), "a", burst + 1) == burst


def test_what_is_given_back_was_never_taken(clock: Clock) -> None:
    throttle = RateLimiter(3, 60, clock=clock)
    for _ in range(20):
        throttle.acquire("a")
        throttle.refund("a")
    throttle.refund("never seen")
    assert takes(throttle, "a") == 3
    throttle.refund("a")
    assert takes(throttle, "a") == 1
