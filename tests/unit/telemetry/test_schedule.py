"""Schedules: what fails is reported, and the next turn comes."""

import asyncio
import logging
from types import SimpleNamespace

import pytest

from chatio.errors import StoreUnavailable
from chatio.telemetry import schedule
from chatio.telemetry.schedule import repeat
from tests.client.wire import until
from tests.conftest import ExpectedLogs

logger = logging.getLogger("chatio")


@pytest.mark.parametrize("what", ["pause", "action"])
@pytest.mark.parametrize("error", [MemoryError, StoreUnavailable])
async def test_no_exception_ends_a_schedule(
    monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs, error: type[Exception], what: str
) -> None:
    failures = [MemoryError() if error is MemoryError else StoreUnavailable(retry_after_seconds=1)]
    if error is MemoryError:
        logs.expect("^tending failed: MemoryError ")
    done = []

    def do(one: str) -> None:
        if one == what and failures:
            raise failures.pop()
        done.append(one)

    async def pause(seconds: float) -> None:
        do("pause")
        await asyncio.sleep(seconds)

    async def tend() -> None:
        do("action")

    monkeypatch.setattr(schedule, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": pause}))
    task = asyncio.create_task(repeat(logger, "tending", 0.001, tend))
    await until(lambda: done.count("action") >= 2)
    task.cancel()


async def test_an_action_that_is_never_woken_ends_no_schedule(
    monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    """As with a future whose callbacks were lost: it is done, and cancelling it wakes nobody."""
    logs.expect("^tending failed: TimeoutError ")
    monkeypatch.setattr(schedule, "LONGEST_SECONDS", 0.01)
    count = 0

    async def tend() -> None:
        nonlocal count
        count += 1
        if count == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.Event().wait()

    task = asyncio.create_task(repeat(logger, "tending", 0.001, tend))
    await until(lambda: count >= 3)
    task.cancel()
