"""RateLimiter: a burst passes, and then so many events in a time, for each key by itself."""

import asyncio

import pytest

from chatio.errors import RateLimited
from chatio.throttling.rate_limiter import MAX_DELAY_SECONDS, AddressRateLimiter, PacedLimiter, RateLimiter
from tests.unit.clock import Clock


def passed(limiter: RateLimiter, key: str, most: int = 1000) -> int:
    """The number of events of `key` that pass at once."""
    for count in range(most):
        if limiter.wait_after(key):
            return count
    return most


def test_a_burst_passes_and_then_the_rate(clock: Clock) -> None:
    limiter = RateLimiter(5, 1, burst=60, clock=clock)
    assert passed(limiter, "a") == 60
    assert limiter.wait_after("a") == pytest.approx(0.2)
    clock.now += 1
    assert passed(limiter, "a") == 5
    clock.now += 3600
    assert passed(limiter, "a") == 60


def test_keys_are_counted_apart(clock: Clock) -> None:
    limiter = RateLimiter(3, 60, clock=clock)
    assert passed(limiter, "a") == 3
    assert passed(limiter, "b") == 3


def test_acquire_past_the_rate_raises_with_the_wait_in_whole_seconds(clock: Clock) -> None:
    limiter = RateLimiter(1, 60, clock=clock)
    limiter.acquire("a")
    clock.now += 1.5
    with pytest.raises(RateLimited) as refused:
        limiter.acquire("a")
    assert refused.value.retry_after_seconds == 59


def test_refused_events_do_not_lengthen_the_wait(clock: Clock) -> None:
    limiter = RateLimiter(1, 60, clock=clock)
    limiter.acquire("a")
    for _ in range(100):
        limiter.wait_after("a")
    clock.now += 60
    limiter.acquire("a")


def test_wait_counts_no_event(clock: Clock) -> None:
    limiter = RateLimiter(1, 60, clock=clock)
    assert limiter.wait("a") == 0.0
    limiter.acquire("a")
    assert limiter.wait("a") == pytest.approx(60)


def test_an_event_weighs_its_cost_and_one_heavier_than_the_burst_takes_all_of_it_and_more(clock: Clock) -> None:
    limiter = RateLimiter(100, 1, burst=1000, clock=clock)
    assert limiter.wait_after("a", 400) == 0.0
    assert limiter.wait_after("a", 700) == pytest.approx(1.0)
    assert limiter.wait_after("b", 5000) == 0.0
    assert limiter.wait_after("b", 1) == pytest.approx(40.01)


def test_a_limiter_that_is_off_lets_every_event_through() -> None:
    limiter = RateLimiter(1, 60, is_on=False)
    assert passed(limiter, "a") == 1000
    assert limiter.wait("a") == 0.0


def test_a_key_whose_bucket_is_empty_again_is_forgotten(clock: Clock) -> None:
    limiter = RateLimiter(1, 10, clock=clock)
    for number in range(100):
        limiter.acquire(f"before {number}")
    clock.now += 10
    for number in range(100):
        limiter.acquire(f"after {number}")
    assert len(limiter) == 100


def test_past_max_keys_the_key_longest_without_an_event_is_forgotten(clock: Clock) -> None:
    limiter = RateLimiter(2, 3600, max_keys=3, clock=clock)
    for key in ("a", "b", "c", "a", "d"):
        limiter.acquire(key)
    assert len(limiter) == 3
    assert limiter.wait("a")
    limiter.acquire("b")
    limiter.acquire("b")


def test_a_burst_of_any_size_passes_whole(clock: Clock) -> None:
    for burst in range(1, 300):
        clock.now += 0.123456789
        assert passed(RateLimiter(7, 3, burst=burst, clock=clock), "a", burst + 1) == burst


def test_a_refunded_event_does_not_count(clock: Clock) -> None:
    limiter = RateLimiter(3, 60, clock=clock)
    for _ in range(20):
        limiter.acquire("a")
        limiter.refund("a")
    limiter.refund("never seen")
    assert passed(limiter, "a") == 3
    limiter.refund("a")
    assert passed(limiter, "a") == 1


def passes(limiter: AddressRateLimiter, key: str) -> bool:
    try:
        limiter.acquire(key)
    except RateLimited:
        return False
    return True


def test_the_64s_of_one_48_have_ten_times_the_events_of_one(clock: Clock) -> None:
    limiter = AddressRateLimiter(lambda times: RateLimiter(2 * times, 60, clock=clock))
    keys = [f"2001:db8:0:{number:x}::/64" for number in range(12)]
    assert [passes(limiter, key) for key in keys for _ in range(2)] == [True] * 20 + [False] * 4
    assert passes(limiter, "2001:db8:1::/64")
    limiter.refund(keys[0])
    assert not passes(limiter, keys[1])
    assert passes(limiter, keys[11])  # what was refused for the /48 did not count for the /64
    assert not passes(limiter, keys[11])
    clock.now += 3
    assert passes(limiter, keys[11])


def test_addresses_of_ipv4_have_their_own_events_only(clock: Clock) -> None:
    limiter = AddressRateLimiter(lambda times: RateLimiter(times, 60, clock=clock))
    assert all(passes(limiter, f"192.0.2.{number}") for number in range(100))
    assert passes(limiter, "")
    assert not passes(limiter, "192.0.2.1")
    limiter.refund("192.0.2.1")
    assert passes(limiter, "192.0.2.1")


# --- refusals at a rate


async def test_half_a_minutes_events_pass_at_once_and_then_one_in_each_interval(clock: Clock) -> None:
    limiter = PacedLimiter(600, clock=clock)
    for _ in range(300):
        await limiter.acquire("a")
    with pytest.raises(RateLimited):
        await limiter.acquire("a")
    await limiter.acquire("b")
    clock.now += 0.1
    await limiter.acquire("a")


def test_refusals_of_a_key_are_due_one_in_each_interval(clock: Clock) -> None:
    limiter = PacedLimiter(600, clock=clock)
    assert [round(limiter.delay("a"), 6) for _ in range(3)] == [0.1, 0.2, 0.3]
    assert round(limiter.delay("b"), 6) == 0.1
    clock.now += 60
    assert round(limiter.delay("a"), 6) == 0.1


def test_no_refusal_waits_longer_than_a_client_would(clock: Clock) -> None:
    limiter = PacedLimiter(60, clock=clock)
    assert max(limiter.delay("a") for _ in range(1000)) == MAX_DELAY_SECONDS
    clock.now += MAX_DELAY_SECONDS
    assert limiter.delay("a") == 1.0


async def test_a_refusal_is_raised_when_it_is_due() -> None:
    limiter = PacedLimiter(6000)
    for _ in range(3000):
        await limiter.acquire("a")
    loop = asyncio.get_running_loop()
    begun = loop.time()
    outcomes = await asyncio.gather(*(limiter.acquire("a") for _ in range(60)), return_exceptions=True)
    assert loop.time() - begun >= 0.2  # some pass meanwhile, and the rate lets no two go at once
    assert any(isinstance(outcome, RateLimited) for outcome in outcomes)


async def test_what_is_off_counts_nothing() -> None:
    limiter = PacedLimiter(10, is_on=False)
    for _ in range(100):
        await limiter.acquire("a")
