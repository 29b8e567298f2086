"""When newcomers are asked to wait: a clock of its own, and a sleep that says how late it was."""

import pytest

from chatio.throttling.load_shedding import BEATS_TO_BEGIN, BEATS_TO_END, RETRY_AFTER_SECONDS, LoopLagMonitor
from tests.conftest import ExpectedLogs

LATE, IN_TIME = 0.3, 0.01
BEGINS = "^Overloaded: the event loop is 0.30 s late"


class NoMoreBeats(Exception):
    pass


class Loop:
    """Time, and a sleep that ends late by what the test says."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lateness: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if not self.lateness:
            raise NoMoreBeats
        self.now += seconds + self.lateness.pop(0)


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def overload(loop: Loop) -> LoopLagMonitor:
    return LoopLagMonitor(0.25, clock=loop.clock, sleep=loop.sleep)


async def play(overload: LoopLagMonitor, loop: Loop, *lateness: float) -> None:
    loop.lateness = list(lateness)
    with pytest.raises(NoMoreBeats):
        await overload.watch()


async def test_a_loop_in_time_lets_everybody_in(overload: LoopLagMonitor, loop: Loop) -> None:
    assert (overload.retry_after_seconds(), overload.lag_seconds) == (0, 0.0)
    await play(overload, loop, *[IN_TIME] * 50)
    assert overload.retry_after_seconds() == 0
    assert overload.lag_seconds == pytest.approx(IN_TIME)


async def test_one_pause_however_long_keeps_nobody_out(overload: LoopLagMonitor, loop: Loop) -> None:
    await play(overload, loop, *[IN_TIME, IN_TIME, 30.0] * 20)
    assert overload.retry_after_seconds() == 0
    assert overload.lag_seconds == pytest.approx(IN_TIME)


async def test_a_lag_that_stays_keeps_newcomers_out_and_is_said_once(
    overload: LoopLagMonitor, loop: Loop, logs: ExpectedLogs
) -> None:
    await play(overload, loop, *[LATE] * (BEATS_TO_BEGIN - 1))
    assert overload.retry_after_seconds() == 0
    logs.expect(BEGINS)
    await play(overload, loop, *[LATE] * 20)
    assert overload.retry_after_seconds() == RETRY_AFTER_SECONDS
    assert overload.lag_seconds == pytest.approx(LATE)
    assert len(logs.records) == 1
    assert vars(logs.records[0])["event"] == "overload_began"


async def test_a_lag_just_below_the_threshold_keeps_nobody_out(overload: LoopLagMonitor, loop: Loop) -> None:
    await play(overload, loop, *[0.249] * 50)
    assert not overload.is_on


async def test_it_ends_only_after_a_second_well_below_the_threshold(
    overload: LoopLagMonitor, loop: Loop, logs: ExpectedLogs
) -> None:
    logs.expect(BEGINS)
    await play(overload, loop, *[LATE] * BEATS_TO_BEGIN)
    await play(overload, loop, *[0.13] * 100)  # below the threshold, and above the half of it
    assert overload.is_on
    await play(overload, loop, *[IN_TIME] * (BEATS_TO_END - 1))
    assert overload.is_on
    await play(overload, loop, IN_TIME)
    assert overload.retry_after_seconds() == 0


async def test_it_begins_again_after_its_end(overload: LoopLagMonitor, loop: Loop, logs: ExpectedLogs) -> None:
    logs.expect(BEGINS)
    await play(overload, loop, *[LATE] * BEATS_TO_BEGIN, *[IN_TIME] * BEATS_TO_END, *[LATE] * BEATS_TO_BEGIN)
    assert overload.is_on
    assert len(logs.records) == 2


async def test_zero_measures_and_keeps_nobody_out(loop: Loop) -> None:
    overload = LoopLagMonitor(0.0, clock=loop.clock, sleep=loop.sleep)
    await play(overload, loop, *[LATE] * 20)
    assert overload.retry_after_seconds() == 0
    assert overload.lag_seconds == pytest.approx(LATE)


async def test_a_beat_that_comes_early_is_not_late(overload: LoopLagMonitor, loop: Loop) -> None:
    await play(overload, loop, *[-0.05] * 5)
    assert overload.lag_seconds == 0.0
