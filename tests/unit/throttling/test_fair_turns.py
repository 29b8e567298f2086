"""Fair turns: a crowd of one key waits for itself, and other keys do not wait for it."""

import asyncio

from chatio.throttling.fair_turns import FairTurns
from tests.client.wire import until


async def test_a_crowd_begins_a_few_at_a_turn_in_order_and_another_key_at_once() -> None:
    turns, begun = FairTurns(2), []

    async def request(key: str, number: int) -> None:
        await turns.take(key)
        begun.append((key, number))

    crowd = [asyncio.ensure_future(request("crowd", number)) for number in range(9)]
    await asyncio.sleep(0)
    assert begun == [("crowd", 0), ("crowd", 1)]
    other = asyncio.ensure_future(request("other", 0))
    await other
    assert len(begun) <= 7
    await asyncio.gather(*crowd)
    assert [number for key, number in begun if key == "crowd"] == list(range(9))
    await until(lambda: not len(turns))


async def test_a_request_that_is_cancelled_takes_no_turn_of_the_next() -> None:
    turns = FairTurns(1)
    await turns.take("a")
    waiting = [asyncio.ensure_future(turns.take("a")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert [task.cancelled() for task in waiting] == [False, True, False]
    await until(lambda: not len(turns))
