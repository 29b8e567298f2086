"""Which requests are admitted, how many answers a client may leave unread, and for which the server waits."""

import asyncio

import pytest

from chatio.errors import Overloaded, RateLimited, ShuttingDown
from chatio.server.in_flight import InFlightRequests, UnreadAnswers
from chatio.server.lifecycle import Lifecycle
from tests.unit.load import Load


class Request:
    """One that is answered when it is given up, or by the test."""

    def __init__(self, requests: InFlightRequests, *, body_is_complete: bool = True) -> None:
        self.body_is_complete = body_is_complete
        self.was_given_up = False
        self._requests = requests
        requests.begin(self)

    def give_up(self) -> None:
        self.was_given_up = True
        self.end()

    def end(self) -> None:
        self._requests.end(self)


def test_overload_is_answered_to_requests_that_can_wait_and_to_no_other() -> None:
    requests = InFlightRequests(Lifecycle(), Load(7))
    requests.admit(sheds_load=False)
    with pytest.raises(Overloaded) as caught:
        requests.admit(sheds_load=True)
    assert caught.value.retry_after_seconds == 7
    InFlightRequests(Lifecycle()).admit(sheds_load=True)


async def test_while_the_server_drains_requests_are_refused_and_those_in_flight_finish() -> None:
    lifecycle = Lifecycle()
    requests = InFlightRequests(lifecycle)
    request = Request(requests)
    lifecycle.drain()
    finishing = asyncio.ensure_future(requests.finish(30))
    await asyncio.sleep(0)
    for sheds_load in (False, True):
        with pytest.raises(ShuttingDown):
            requests.admit(sheds_load=sheds_load)
    assert not finishing.done()
    request.end()
    assert await asyncio.wait_for(finishing, 5)
    assert not request.was_given_up


async def test_while_the_port_is_handed_over_no_request_is_refused_and_all_finish() -> None:
    lifecycle = Lifecycle()
    requests = InFlightRequests(lifecycle)
    lifecycle.hand_over()
    requests.admit(sheds_load=True)
    request = Request(requests)
    finishing = asyncio.ensure_future(requests.finish(30))
    await asyncio.sleep(0)
    requests.admit(sheds_load=True)
    assert not finishing.done()
    request.end()
    assert await asyncio.wait_for(finishing, 5)


async def test_shutdown_waits_for_nothing_where_no_request_is_in_flight() -> None:
    assert await InFlightRequests(Lifecycle()).finish(0)


async def test_a_request_with_half_a_body_is_given_up_soon_and_one_with_all_of_it_is_not() -> None:
    requests = InFlightRequests(Lifecycle())
    half, whole = Request(requests, body_is_complete=False), Request(requests)
    finishing = asyncio.ensure_future(requests.finish(30))
    while len(requests) == 2:  # noqa: ASYNC110 - the second after which it is given up
        await asyncio.sleep(0.01)
    assert (half.was_given_up, whole.was_given_up) == (True, False)
    whole.end()
    assert await asyncio.wait_for(finishing, 5)


async def given_up(request: Request) -> None:
    while not request.was_given_up:  # noqa: ASYNC110 - after a time that has no event
        await asyncio.sleep(0.001)


async def test_while_port_is_handed_over_each_body_has_second_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatio.server.in_flight.LATE_BODY_SECONDS", 0.05)
    lifecycle = Lifecycle()
    requests = InFlightRequests(lifecycle)
    early = Request(requests, body_is_complete=False)
    lifecycle.hand_over()
    requests.start_body_timeouts()
    await given_up(early)
    late, whole = Request(requests, body_is_complete=False), Request(requests)
    assert [late.was_given_up, whole.was_given_up] == [False, False]
    await given_up(late)
    assert [late.was_given_up, whole.was_given_up] == [True, False]
    assert not await requests.finish(0)
    assert await requests.finish(0)


async def test_a_request_that_does_not_finish_in_time_is_given_up_and_told() -> None:
    requests = InFlightRequests(Lifecycle())
    request = Request(requests)
    assert not await requests.finish(0.01)
    assert request.was_given_up
    assert len(requests) == 0


async def test_an_answer_that_is_not_taken_is_waited_for_like_a_request() -> None:
    requests = InFlightRequests(Lifecycle())
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    request = Request(requests)
    requests.sending(answer)
    request.end()
    assert not await requests.finish(0.01)
    answer.set_exception(ConnectionResetError())
    assert await requests.finish(5)


async def test_an_answer_that_was_taken_is_not_waited_for() -> None:
    requests = InFlightRequests(Lifecycle())
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answer.set_result(None)
    requests.sending(answer)
    assert await requests.finish(0.5)


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
