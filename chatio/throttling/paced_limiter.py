"""Rate limit that also paces its refusals: a client that goes on past the limit is answered slowly.

To refuse a request costs as much as to answer most of them. So a flood that is only refused takes the same time of
the event loop; one that waits for each refusal does not. The wait is of the key, not of the connection: other
requests on a proxy's connection are not behind it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from chatio.errors import RateLimited
from chatio.throttling.expiring_map import ExpiringMap
from chatio.throttling.rate_limiter import MAX_KEYS, RateLimiter

# No refusal waits longer; most clients wait 30 s for an answer, and more of them.
MAX_DELAY_SECONDS: Final = 10.0


class PacedLimiter:
    """Lets `per_minute` events of each key through, half as many at once, and refuses others at the same rate.

    `is_on=False` lets everything through. Event loop only.
    """

    def __init__(
        self, per_minute: float, *, is_on: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limiter = RateLimiter(per_minute, 60, burst=max(1, per_minute / 2), is_on=is_on, clock=clock)
        self._interval = 60 / per_minute
        self._clock = clock
        self._refused_until = ExpiringMap[float](MAX_KEYS, expires_at=float)

    async def acquire(self, key: str) -> None:
        """Count an event of `key`. Raises `RateLimited`, but not before the refusal is due."""
        try:
            self._limiter.acquire(key)
        except RateLimited:
            await asyncio.sleep(self.delay(key))
            raise

    def delay(self, key: str) -> float:
        """Count a refusal of `key`, and return the seconds after which it is due."""
        now = self._clock()
        due = min(max(now, self._refused_until.get(key, now)) + self._interval, now + MAX_DELAY_SECONDS)
        self._refused_until.put(key, due, now)
        return due - now
