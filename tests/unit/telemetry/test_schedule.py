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

    monkeypatch.setattr(schedule, "asyncio", SimpleNamespace(sleep=pause))
    task = asyncio.create_task(repeat(logger, "tending", 0.001, tend))
    await until(lambda: done.count("action") >= 2)
    task.cancel()
