"""LoopLagMonitor: when new clients have to wait. A test sets how late each measurement is."""

import pytest

from chatio.throttling.loop_lag import CALM_TO_END, LATE_TO_BEGIN, RETRY_AFTER_SECONDS, LoopLagMonitor
from tests.conftest import ExpectedLogs
from tests.unit.faults import fail_once, failing

LATE, IN_TIME = 0.3, 0.01
BEGINS = "^Overloaded: the event loop is 0.30 s late"


class NoMoreLags(BaseException):
    """Ends a test, and is no failure of a measurement."""


class Loop:
    """Time, and a sleep that ends late by what the test says."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lateness: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if not self.lateness:
            raise NoMoreLags
        self.now += seconds + self.lateness.pop(0)


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def monitor(loop: Loop) -> LoopLagMonitor:
    return LoopLagMonitor(0.25, clock=loop.clock, sleep=loop.sleep)


async def play(monitor: LoopLagMonitor, loop: Loop, *lateness: float) -> None:
    loop.lateness = list(lateness)
    with pytest.raises(NoMoreLags):
        await monitor.watch()


async def test_a_loop_in_time_accepts_new_clients(monitor: LoopLagMonitor, loop: Loop) -> None:
    assert (monitor.retry_after_seconds, monitor.lag_seconds) == (0, 0.0)
    await play(monitor, loop, *[IN_TIME] * 50)
    assert monitor.retry_after_seconds == 0
    assert monitor.lag_seconds == pytest.approx(IN_TIME)


async def test_a_single_pause_however_long_keeps_no_client_waiting(monitor: LoopLagMonitor, loop: Loop) -> None:
    await play(monitor, loop, *[IN_TIME, IN_TIME, 30.0] * 20)
    assert monitor.retry_after_seconds == 0
    assert monitor.lag_seconds == pytest.approx(IN_TIME)


async def test_standing_lag_sheds_load_once(monitor: LoopLagMonitor, loop: Loop, logs: ExpectedLogs) -> None:
    await play(monitor, loop, *[LATE] * (LATE_TO_BEGIN - 1))
    assert monitor.retry_after_seconds == 0
    logs.expect(BEGINS)
    await play(monitor, loop, *[LATE] * 20)
    assert monitor.retry_after_seconds == RETRY_AFTER_SECONDS
    assert monitor.lag_seconds == pytest.approx(LATE)
    assert len(logs.records) == 1
    assert vars(logs.records[0])["event"] == "overload_began"


async def test_a_lag_just_below_the_threshold_keeps_no_client_waiting(monitor: LoopLagMonitor, loop: Loop) -> None:
    await play(monitor, loop, *[0.249] * 50)
    assert not monitor.is_on


async def test_overload_ends_after_a_low_second(monitor: LoopLagMonitor, loop: Loop, logs: ExpectedLogs) -> None:
    logs.expect(BEGINS)
    await play(monitor, loop, *[LATE] * LATE_TO_BEGIN)
    await play(monitor, loop, *[0.13] * 100)  # below the threshold, and above the half of it
    assert monitor.is_on
    await play(monitor, loop, *[IN_TIME] * (CALM_TO_END - 1))
    assert monitor.is_on
    await play(monitor, loop, IN_TIME)
    assert monitor.retry_after_seconds == 0


async def test_overload_begins_again_after_an_end(monitor: LoopLagMonitor, loop: Loop, logs: ExpectedLogs) -> None:
    logs.expect(BEGINS)
    await play(monitor, loop, *[LATE] * LATE_TO_BEGIN, *[IN_TIME] * CALM_TO_END, *[LATE] * LATE_TO_BEGIN)
    assert monitor.is_on
    assert len(logs.records) == 2


async def test_a_threshold_of_zero_measures_and_keeps_no_client_waiting(loop: Loop) -> None:
    monitor = LoopLagMonitor(0.0, clock=loop.clock, sleep=loop.sleep)
    await play(monitor, loop, *[LATE] * 20)
    assert monitor.retry_after_seconds == 0
    assert monitor.lag_seconds == pytest.approx(LATE)


async def test_a_timer_that_is_early_is_no_lag(monitor: LoopLagMonitor, loop: Loop) -> None:
    await play(monitor, loop, *[-0.05] * 5)
    assert monitor.lag_seconds == 0.0


async def test_measurement_that_fails_costs_itself_alone(
    monitor: LoopLagMonitor,
    loop: Loop,
    error: type[Exception],
    logs: ExpectedLogs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logs.expect(f"^measuring the event loop failed: {error.__name__}")
    logs.expect(BEGINS)
    fail_once(monkeypatch, monitor.lag_histogram, "observe", error)
    await play(monitor, loop, *[LATE] * 10)
    assert monitor.is_on


async def test_sleep_that_fails_does_not_end_the_measuring(
    loop: Loop, error: type[Exception], logs: ExpectedLogs
) -> None:
    logs.expect(f"^measuring the event loop failed: {error.__name__}")
    logs.expect(BEGINS)
    monitor = LoopLagMonitor(0.25, clock=loop.clock, sleep=failing(loop.sleep, error))
    await play(monitor, loop, *[LATE] * 10)
    assert monitor.is_on
