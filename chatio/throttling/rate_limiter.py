"""Rate limit: how many events in a time are let through for each key.

GCRA ("leaky bucket as a meter", ITU-T I.371): a burst passes at once, and then one event in each interval. The
limiter keeps one number for each key, the time at which its bucket is empty. docs/decisions/0011-throttles.md says
why no library does this.
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

from chatio.errors import RateLimited
from chatio.throttling.client_ip import wider_rate_limit_key
from chatio.throttling.expiring_map import ExpiringMap

# Keys that are counted at once, about 200 bytes each; past it the key longest without an event is forgotten.
MAX_KEYS: Final = 100_000
# Most intervals are no binary fractions: without a tolerance the last event of a burst may be refused.
_ROUNDING_SECONDS: Final = 1e-6
# No refusal waits longer; most clients wait 30 s for an answer, and more of them.
MAX_DELAY_SECONDS: Final = 10.0


class RateLimiter:
    """Lets `events` in each `seconds` through for each key, and a `burst` of them at once.

    `burst` is `events` by default. `is_on=False` lets everything through and counts nothing. Event loop only.
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
        empty_at: ExpiringMap[float] | None = None,
    ) -> None:
        """`empty_at`: the map to count in, instead of one for `max_keys`."""
        self._interval = seconds / events
        self._burst = burst or events
        self._is_on = is_on
        self._clock = clock
        self._empty_at = ExpiringMap[float](max_keys, expires_at=float) if empty_at is None else empty_at

    def __len__(self) -> int:
        """The number of keys that are remembered."""
        return len(self._empty_at)

    def acquire(self, key: str, cost: float = 1) -> None:
        """Count an event of `key` that weighs `cost`. Raises `RateLimited`, and then counts nothing."""
        if wait := self.wait_after(key, cost):
            raise RateLimited(retry_after_seconds=math.ceil(wait))

    def wait_after(self, key: str, cost: float = 1) -> float:
        """`acquire` without an exception: 0.0 if the event was counted, else the seconds until it could be."""
        if not self._is_on:
            return 0.0
        now = self._clock()
        wait = self._wait(key, cost, now)
        if not wait:
            entries = self._empty_at
            empty_at = max(entries.get(key, now), now) + cost * self._interval
            if key in entries:
                entries[key] = empty_at
                entries.move_to_end(key)
            else:
                entries.put(key, empty_at, now)
        return wait

    def refund(self, key: str, cost: float = 1) -> None:
        """Undo an `acquire` of an event that proved to be of a kind that does not count."""
        if key in self._empty_at:
            self._empty_at[key] -= cost * self._interval

    def wait(self, key: str) -> float:
        """The seconds until an event of `key` would be let through; counts nothing."""
        return self._wait(key, 1, self._clock()) if self._is_on else 0.0

    def _wait(self, key: str, cost: float, now: float) -> float:
        # An event that weighs more than a burst waits until the bucket is empty.
        free_seconds = (self._burst - min(cost, self._burst)) * self._interval
        wait = self._empty_at.get(key, now) - now - free_seconds
        return wait if wait > _ROUNDING_SECONDS else 0.0


class AddressRateLimiter:
    """A `RateLimiter` for keys of `rate_limit_key`, which also counts the /48 of an IPv6 address.

    A /48 has 65,536 keys, and `WIDER` times as many events as one of them.
    """

    WIDER: Final = 10

    def __init__(self, make: Callable[[float], RateLimiter]) -> None:
        """`make`: a rate limiter that lets so many times its events through."""
        self._narrow = make(1)
        self._wide = make(self.WIDER)

    def acquire(self, key: str) -> None:
        """Count an event of `key`. Raises `RateLimited`, and then counts nothing."""
        self._narrow.acquire(key)
        if (wider := wider_rate_limit_key(key)) is not None:
            try:
                self._wide.acquire(wider)
            except RateLimited:
                self._narrow.refund(key)
                raise

    def refund(self, key: str) -> None:
        """Undo an `acquire` of an event that proved to be of a kind that does not count."""
        self._narrow.refund(key)
        if (wider := wider_rate_limit_key(key)) is not None:
            self._wide.refund(wider)


class PacedLimiter:
    """Lets `per_minute` events of each key through, half as many at once, and refuses others at the same rate.

    To refuse a request costs as much as to answer most of them, so a flood that is only refused takes the same
    time of the event loop. A client past its limit waits for each refusal. The wait is of the key and not of the
    connection: other requests on a proxy's connection are not behind it.

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
