"""Whether the event loop keeps up, and when to ask newcomers to wait.

A timer that is late by L says that whatever was due waited L as well. One late beat is a pause, and passes; what
is to be acted upon is a queue that stands. So, as CoDel does with packets (RFC 8289, section 3), the least of some
beats in a row is looked at: it is small after any single pause, however long, and large as long as work comes in
faster than it is done.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from chatio.telemetry.counters import Histogram

BEAT_SECONDS: Final = 0.1
BEATS_TO_BEGIN: Final = 3  # late ones in a row
BEATS_TO_END: Final = 10  # in time: a second in which whoever came back did no harm
CALM: Final = 0.5  # of the threshold: below it a beat is in time
RETRY_AFTER_SECONDS: Final = 2

logger = logging.getLogger("chatio")


class LoopLagMonitor:
    """Measures the loop's lag; past `lag_seconds` newcomers are to wait. 0: it is measured, and nobody waits.

    Event loop only. `clock` and `sleep` are for tests.
    """

    def __init__(
        self,
        lag_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.is_on = False  # newcomers are to wait now
        self.beats = Histogram()  # how late each was
        self._threshold = lag_seconds
        self._clock = clock
        self._sleep = sleep
        self._recent: deque[float] = deque(maxlen=BEATS_TO_END)

    @property
    def lag_seconds(self) -> float:
        """How late the loop is: the least of the last beats, 0.0 before there were enough."""
        if len(self._recent) < BEATS_TO_BEGIN:
            return 0.0
        return min(list(self._recent)[-BEATS_TO_BEGIN:])

    def retry_after_seconds(self) -> int:
        """When a newcomer should try again; 0: come in."""
        return RETRY_AFTER_SECONDS if self.is_on else 0

    async def watch(self) -> None:
        """Measure until cancelled."""
        while True:
            due = self._clock() + BEAT_SECONDS
            await self._sleep(BEAT_SECONDS)
            self._beat(max(0.0, self._clock() - due))

    def _beat(self, late_seconds: float) -> None:
        self._recent.append(late_seconds)
        self.beats.observe(late_seconds)
        if not self._threshold:
            return
        if not self.is_on and self.lag_seconds > self._threshold:
            self.is_on = True
            logger.warning(
                "Overloaded: the event loop is %.2f s late; newcomers are asked to wait",
                self.lag_seconds,
                extra={"event": "overload_began", "lag_seconds": self.lag_seconds},
            )
        elif self.is_on and len(self._recent) == BEATS_TO_END and max(self._recent) < self._threshold * CALM:
            self.is_on = False
            logger.info("No longer overloaded: newcomers are let in", extra={"event": "overload_ended"})
