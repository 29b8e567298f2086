"""Limits on requests: their rate, and the answers that a client does not read.

Rate: to refuse a request costs as much as to answer most of them, so a flood that is only refused takes the same
time of the event loop. A client past its limit waits for each refusal. The wait is of the key and not of the
connection: other requests on a proxy's connection are not behind it.

Unread answers: this process holds an answer that is not read, whole, for as long as its connection is open. So an
answer is bounded (GET /messages: 256 KiB), each client may have a few of them, and a connection that takes none is
closed. What the kernel took counts as read.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from chatio.errors import RateLimited
from chatio.throttling.expiring_map import ExpiringMap
from chatio.throttling.rate_limiter import MAX_KEYS, RateLimiter

# No refusal waits longer; most clients wait 30 s for an answer, and more of them.
MAX_DELAY_SECONDS: Final = 10.0
# nginx's `send_timeout`. A client that takes 256 KiB in this time has 4 KiB/s.
ANSWER_SECONDS: Final = 60.0
# A page has one or two at a time; an office of pages that load at once may share an address.
MOST_PER_USER: Final = 8
MOST_PER_ADDRESS: Final = 64


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


class UnreadAnswers:
    """Counts answers by address and by user, and closes connections. None: no limit. Event loop only."""

    def __init__(
        self,
        *,
        most_per_address: int | None = MOST_PER_ADDRESS,
        most_per_user: int | None = MOST_PER_USER,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._most_per_address = most_per_address
        self._most_per_user = most_per_user
        self._seconds = seconds
        self._unread: Counter[tuple[str, str | None]] = Counter()

    def __len__(self) -> int:
        """The number of addresses and users that have one."""
        return len(self._unread)

    def require_capacity(self, address: str, user: str | None = None) -> None:
        """Raises `RateLimited` for a client that is to read first."""
        if self._unread and not all(
            most is None or self._unread[key] < most
            for key, most in (
                (("address", address), self._most_per_address),
                (("user", user), self._most_per_user),
            )
        ):
            raise RateLimited(retry_after_seconds=1)

    def add(
        self, answer: "asyncio.Future[None]", close: Callable[[], None], address: str, user: str | None = None
    ) -> None:
        """Count `answer` until it is taken; call `close` if that takes too long."""
        if answer.done():
            return
        keys: list[tuple[str, str | None]] = [("address", address), *([("user", user)] if user else ())]
        self._unread.update(keys)
        timeout = asyncio.get_running_loop().call_later(self._seconds, close)
        answer.add_done_callback(lambda _: self._taken(timeout, keys))

    def _taken(self, timeout: asyncio.TimerHandle, keys: list[tuple[str, str | None]]) -> None:
        timeout.cancel()
        self._unread.subtract(keys)
        for key in keys:
            if not self._unread[key]:
                del self._unread[key]
