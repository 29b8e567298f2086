"""Paced limiter: a key past its limit is refused, and waits for its refusals."""

import asyncio

import pytest

from chatio.errors import RateLimited
from chatio.throttling.paced_limiter import MAX_DELAY_SECONDS, PacedLimiter
from tests.unit.clock import Clock


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
