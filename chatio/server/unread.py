"""Unread answers: how many a client may have, and for how long. What the kernel took counts as read.

This process holds an answer that is not read, whole, for as long as its connection is open. So an answer is
bounded (GET /messages: 256 KiB), each client may have a few of them, and a connection that takes none is closed.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from chatio.errors import RateLimited
from chatio.throttling.concurrency import ConcurrencyLimit

# nginx's `send_timeout`. A client that takes 256 KiB in this time has 4 KiB/s.
ANSWER_SECONDS: Final = 60.0
# A page has one or two at a time; an office of pages that load at once may share an address.
MOST_PER_USER: Final = 8
MOST_PER_ADDRESS: Final = 64


class UnreadAnswers:
    """Counts answers by address and by user, and closes connections. Event loop only."""

    def __init__(
        self,
        *,
        most_per_address: int | None = MOST_PER_ADDRESS,
        most_per_user: int | None = MOST_PER_USER,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._by_address = ConcurrencyLimit(most_per_address)
        self._by_user = ConcurrencyLimit(most_per_user)
        self._seconds = seconds

    def __len__(self) -> int:
        """The number of addresses and users that have one."""
        return len(self._by_address) + len(self._by_user)

    def require_capacity(self, address: str, user: str | None = None) -> None:
        """Raises `RateLimited` for a client that is to read first."""
        if not self._by_address.has_capacity(address) or (user and not self._by_user.has_capacity(user)):
            raise RateLimited(retry_after_seconds=1)

    def add(
        self, answer: "asyncio.Future[None]", close: Callable[[], None], address: str, user: str | None = None
    ) -> None:
        """Count `answer` until it is taken; call `close` if that takes too long."""
        if answer.done():
            return
        held = [(self._by_address, address), *([(self._by_user, user)] if user else ())]
        for limit, key in held:
            limit.acquire(key, always=True)
        timeout = asyncio.get_running_loop().call_later(self._seconds, close)
        answer.add_done_callback(lambda _: self._taken(timeout, held))

    def _taken(self, timeout: asyncio.TimerHandle, held: Iterable[tuple[ConcurrencyLimit, str]]) -> None:
        timeout.cancel()
        for limit, key in held:
            limit.release(key)
