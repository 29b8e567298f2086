"""Unread answers: a few for each client, each for a bounded time."""

import asyncio

import pytest

from chatio.errors import RateLimited
from chatio.server.unread import UnreadAnswers


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
