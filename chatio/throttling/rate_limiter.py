"""How often somebody may do something.

GCRA ("leaky bucket as a meter", ITU-T I.371): a burst is taken at once, and then one more for each interval. Of
each key one number is kept, the time at which its bucket has run empty. Why no library counts here:
docs/decisions/0011-throttles.md.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from chatio.errors import RateLimited

# Who is counted at once, at most; past it the one that was longest without an event is forgotten. 200 bytes each.
MAX_KEYS: Final = 100_000
# Intervals are no whole numbers in binary: without it the last of a burst may be refused.
_ROUNDING_SECONDS: Final = 1e-6


class RateLimiter:
    """Lets `events` in each `seconds` through, for each key by itself, and a `burst` of them at once.

    `burst` is `events` if it is not given. `is_on=False` lets everything through and counts nothing. Event loop
    only.
    """

    def __init__(
        self,
        events: float,
        seconds: float,
        *,
        burst: float | None = None,
        is_on: bool = True,
        max_keys: int = MAX_KEYS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = seconds / events
        self._burst = burst or events
        self._is_on = is_on
        self._max_keys = max_keys
        self._clock = clock
        # In order of counting. A plain dict looks long for its first key when many before it were deleted.
        self._empty_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._empty_at)

    def acquire(self, key: str, cost: float = 1) -> None:
        """Count an event of `key` that weighs `cost`. Raises `RateLimited`, and then counts nothing."""
        if wait := self.wait_after(key, cost):
            raise RateLimited(retry_after_seconds=math.ceil(wait))

    def wait_after(self, key: str, cost: float = 1) -> float:
        """`take` without an exception: 0.0 if it was counted, else the seconds until it could be."""
        if not self._is_on:
            return 0.0
        now = self._clock()
        wait = self._wait(key, cost, now)
        if wait:
            return wait
        empty_at = max(self._empty_at.pop(key, now), now) + cost * self._interval
        self._forget(now)
        self._empty_at[key] = empty_at
        return 0.0

    def refund(self, key: str, cost: float = 1) -> None:
        """Undo a `take` of what turned out not to be an event of the kind that is counted."""
        if key in self._empty_at:
            self._empty_at[key] -= cost * self._interval

    def wait(self, key: str) -> float:
        """The seconds until an event of `key` would be let through; counts nothing."""
        return self._wait(key, 1, self._clock()) if self._is_on else 0.0

    def _wait(self, key: str, cost: float, now: float) -> float:
        room = (
            self._burst - min(cost, self._burst)
        ) * self._interval  # more than a burst at once has to wait for all
        wait = self._empty_at.get(key, now) - now - room
        return wait if wait > _ROUNDING_SECONDS else 0.0

    def _forget(self, now: float) -> None:
        """Drop who would not be refused anyway, from the longest unseen on, and whoever is one too many."""
        for _ in range(2):  # two for each that comes, so that it shrinks
            key = next(iter(self._empty_at), None)
            if key is None or (self._empty_at[key] > now and len(self._empty_at) < self._max_keys):
                return
            del self._empty_at[key]
