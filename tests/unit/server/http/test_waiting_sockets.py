"""Sockets that wait for input: a few in each turn of the event loop, each until it is removed."""

import asyncio
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from chatio.server.http.connection import MOST_PER_TURN, WaitingSockets
from tests.client.wire import until
from tests.conftest import ExpectedLogs

COUNT = 3 * MOST_PER_TURN


@pytest.fixture
def descriptors() -> Iterator[list[int]]:
    """Of sockets that have input, which nobody reads."""
    with ExitStack() as stack:
        ends = [stack.enter_context(end) for _ in range(COUNT) for end in socket.socketpair()]
        for end in ends[1::2]:
            end.send(b"x")
        yield [end.fileno() for end in ends[::2]]


async def test_a_few_are_looked_at_in_each_turn(descriptors: list[int]) -> None:
    waiting, turn, turns = WaitingSockets(), 0, list[int]()

    def look(descriptor: int) -> None:
        turns.append(turn)
        waiting.remove(descriptor)

    for descriptor in descriptors:
        waiting.add(descriptor, partial(look, descriptor))
    while len(turns) < COUNT:
        turn += 1
        await asyncio.sleep(0)
    assert max(map(turns.count, turns)) == MOST_PER_TURN
    waiting.close()


@pytest.mark.parametrize("has_epoll", [True, False])
async def test_each_is_called_back_until_it_is_removed(
    descriptors: list[int], monkeypatch: pytest.MonkeyPatch, *, has_epoll: bool
) -> None:
    if not has_epoll:
        monkeypatch.delattr(select, "epoll")
    waiting, called = WaitingSockets(), list[int]()
    for descriptor in descriptors:
        waiting.add(descriptor, partial(called.append, descriptor))
    await until(lambda: all(called.count(each) > 1 for each in descriptors))
    for descriptor in descriptors[1:]:
        waiting.remove(descriptor)
    called.clear()
    await until(lambda: len(called) > COUNT)
    assert set(called) == {descriptors[0]}
    waiting.remove(descriptors[0])
    waiting.close()


async def test_one_that_another_has_removed_is_not_called_back(descriptors: list[int]) -> None:
    waiting, called = WaitingSockets(), list[int]()
    pair = descriptors[:2]

    def remove_both(descriptor: int) -> None:
        called.append(descriptor)
        for each in pair:
            waiting.remove(each)

    for descriptor in pair:
        waiting.add(descriptor, partial(remove_both, descriptor))
    await until(lambda: called)
    await asyncio.sleep(0)
    assert len(called) == 1
    waiting.close()


async def test_an_exception_of_one_keeps_no_other_waiting(descriptors: list[int], logs: ExpectedLogs) -> None:
    waiting, called = WaitingSockets(), list[int]()

    def fail() -> None:
        raise MemoryError

    failing, *others = descriptors
    waiting.add(failing, fail)
    for descriptor in others:
        waiting.add(descriptor, partial(called.append, descriptor))
    await until(lambda: set(called) == set(others))
    waiting.remove(failing)
    waiting.close()
    logs.expect("looking at a connection")
