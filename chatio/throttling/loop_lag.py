"""Load shedding: measure whether the event loop keeps up, and say when new clients have to wait.

A timer that is late by L shows that every due callback waited L as well. One late measurement is a pause, which
passes; what must be acted upon is a standing queue. So, as CoDel does with packets (RFC 8289, section 3), the
monitor looks at the least of several lags in a row: it is small after any single pause, however long, and large as
long as work arrives faster than it is done.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from chatio.telemetry.counters import Histogram
from chatio.telemetry.error_report import report

INTERVAL_SECONDS: Final = 0.1
LATE_TO_BEGIN: Final = 3  # late measurements in a row
CALM_TO_END: Final = 10  # a second without lag, while clients came back
CALM: Final = 0.5  # of the threshold: a lag below it is calm
RETRY_AFTER_SECONDS: Final = 2

logger = logging.getLogger("chatio")


class LoopLagMonitor:
    """Measures the event loop's lag; past `lag_seconds` new clients have to wait, and never if that is 0.

    Event loop only. `clock` and `sleep` are for tests.
    """

    def __init__(
        self,
        lag_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.is_on = False  # new clients have to wait now
        self.retry_after_seconds = 0  # after which a new client should try again; 0 if it is accepted now
        self.lag_histogram = Histogram()
        self._threshold = lag_seconds
        self._clock = clock
        self._sleep = sleep
        self._recent: deque[float] = deque(maxlen=CALM_TO_END)

    @property
    def lag_seconds(self) -> float:
        """The standing lag: the least of the last measurements, and 0.0 before there were enough."""
        if len(self._recent) < LATE_TO_BEGIN:
            return 0.0
        return min(list(self._recent)[-LATE_TO_BEGIN:])

    async def watch(self) -> None:
        """Measure until cancelled."""
        while True:
            due = self._clock() + INTERVAL_SECONDS
            try:
                await self._sleep(INTERVAL_SECONDS)
                self._measured(max(0.0, self._clock() - due))
            except Exception as error:
                report(logger, "measuring the event loop", error)
                await asyncio.sleep(INTERVAL_SECONDS)

    def _measured(self, lag_seconds: float) -> None:
        self._recent.append(lag_seconds)
        self.lag_histogram.observe(lag_seconds)
        if not self._threshold:
            return
        if not self.is_on and self.lag_seconds > self._threshold:
            self.is_on, self.retry_after_seconds = True, RETRY_AFTER_SECONDS
            logger.warning(
                "Overloaded: the event loop is %.2f s late; new clients have to wait",
                self.lag_seconds,
                extra={"event": "overload_began", "lag_seconds": self.lag_seconds},
            )
        elif self.is_on and len(self._recent) == CALM_TO_END and max(self._recent) < self._threshold * CALM:
            self.is_on, self.retry_after_seconds = False, 0
            logger.info("No longer overloaded: new clients are accepted", extra={"event": "overload_ended"})
