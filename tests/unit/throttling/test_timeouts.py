import asyncio

import pytest

from chatio.throttling.timeouts import TimeoutQueue
from tests.client.wire import until
from tests.conftest import ExpectedLogs
from tests.unit.faults import fail_once, failing


async def test_keys_are_due_in_the_order_they_were_added() -> None:
    due: list[str] = []
    deadlines = TimeoutQueue(0.01, due.append)
    for key in "abc":
        deadlines.add(key)
    deadlines.add("a")  # starts over, behind the others
    await until(lambda: len(due) == 3)
    assert due == ["b", "c", "a"]
    assert not len(deadlines)


async def test_discarded_key_is_never_due() -> None:
    due: list[str] = []
    deadlines = TimeoutQueue(0.01, due.append)
    deadlines.add("a")
    deadlines.add("b")
    assert deadlines.discard("a")
    assert not deadlines.discard("a")
    await until(lambda: due)
    assert due == ["b"]


async def test_key_added_when_one_is_due_has_its_whole_time() -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    def on_due(key: int) -> None:
        times.append(loop.time())
        if key < 2:
            deadlines.add(key + 1)

    deadlines = TimeoutQueue(0.01, on_due)
    began = loop.time()
    deadlines.add(0)
    await until(lambda: len(times) == 3)
    assert all(later - earlier >= 0.01 for earlier, later in zip([began, *times], times, strict=False))


async def test_key_is_overdue_before_its_timer_has_run() -> None:
    deadlines: TimeoutQueue[str] = TimeoutQueue(60.0, lambda key: None)
    deadlines.add("a")
    assert not deadlines.is_overdue("a")
    assert deadlines.is_overdue("a", early_seconds=61.0)
    assert not deadlines.is_overdue("b", early_seconds=61.0)


async def test_key_whose_timeout_raises_costs_the_others_nothing(
    error: type[Exception], logs: ExpectedLogs
) -> None:
    logs.expect(f"^timeout failed: {error.__name__}")
    due: list[str] = []

    def on_due(key: str) -> None:
        if key == "b":
            raise error
        due.append(key)

    deadlines = TimeoutQueue(0.01, on_due)
    for key in "abc":
        deadlines.add(key)
    await until(lambda: len(due) == 2)
    deadlines.add("d")
    await until(lambda: due == ["a", "c", "d"])
    assert not len(deadlines)


async def test_timer_that_cannot_be_set_once_is_set_with_the_next_key(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    due: list[str] = []
    deadlines = TimeoutQueue(0.01, due.append)
    with monkeypatch.context() as patch:
        fail_once(patch, asyncio.get_running_loop(), "call_later", error)
        with pytest.raises(error):
            deadlines.add("a")
    deadlines.add("b")
    await until(lambda: due == ["a", "b"])


async def test_keys_are_due_although_the_next_timer_cannot_be_set(
    monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect("^timeout failed: MemoryError ")
    due: list[str] = []
    deadlines = TimeoutQueue(0.01, due.append)
    loop = asyncio.get_running_loop()

    deadlines.add("a")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "call_at", failing(loop.call_at, MemoryError, times=9))
        dict.__setitem__(deadlines, "b", loop.time() + 0.02)
        deadlines._run(loop)  # before the key is due
        patch.setattr(loop, "time", lambda: deadlines["a"])
        deadlines._run(loop)
    assert due == ["a"]
    deadlines.add("c")
    await until(lambda: due == ["a", "b", "c"])
