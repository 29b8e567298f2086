"""Limits on requests: paced refusals, unread answers."""

import asyncio

import pytest

from chatio.errors import RateLimited
from chatio.throttling.request_limits import MAX_DELAY_SECONDS, PacedLimiter, UnreadAnswers
from tests.unit.clock import Clock

# --- rates


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


# --- unread answers


def pending() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


async def test_a_client_has_as_many_as_its_limit_until_it_reads_one() -> None:
    unread, answers = UnreadAnswers(most_per_address=2), [pending(), pending()]
    for answer in answers:
        unread.require_capacity("192.0.2.1")
        unread.add(answer, lambda: None, "192.0.2.1")
    with pytest.raises(RateLimited):
        unread.require_capacity("192.0.2.1")
    unread.require_capacity("192.0.2.2")
    answers[0].set_result(None)
    await asyncio.sleep(0)
    unread.require_capacity("192.0.2.1")
    answers[1].cancel()
    await asyncio.sleep(0)
    assert len(unread) == 0


async def test_a_user_has_one_limit_at_all_addresses() -> None:
    unread = UnreadAnswers(most_per_user=1)
    answer = pending()
    unread.add(answer, lambda: None, "192.0.2.1", "ann")
    with pytest.raises(RateLimited):
        unread.require_capacity("192.0.2.2", "ann")
    unread.require_capacity("192.0.2.1", "bob")
    answer.set_exception(ConnectionError())
    await asyncio.sleep(0)
    unread.require_capacity("192.0.2.2", "ann")
    answer.exception()


async def test_an_answer_that_is_not_taken_in_time_ends_its_connection() -> None:
    unread, closed = UnreadAnswers(seconds=0.01), asyncio.Event()
    unread.add(pending(), closed.set, "192.0.2.1")
    await asyncio.wait_for(closed.wait(), 5)


async def test_an_answer_that_was_taken_is_not_counted_and_ends_nothing() -> None:
    unread = UnreadAnswers(most_per_address=0)
    taken = pending()
    taken.set_result(None)
    unread.add(taken, lambda: pytest.fail("closed"), "192.0.2.1", "ann")
    assert len(unread) == 0


async def test_without_limits_none_is_refused() -> None:
    unread = UnreadAnswers(most_per_address=None, most_per_user=None)
    answers = [pending() for _ in range(100)]
    for answer in answers:
        unread.add(answer, lambda: None, "192.0.2.1", "ann")
    unread.require_capacity("192.0.2.1", "ann")
    for answer in answers:
        answer.set_result(None)
