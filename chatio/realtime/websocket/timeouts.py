"""Timeout queue: many timeouts of one length on one timer.

The library gives each connection a task that sleeps until its next ping. Here all timeouts of one length share
one dict and one timer: dicts keep the order of insertion, the length is constant, so the first entry is
always the next one due. Adding and removing a key are a dict operation each, and a removed key leaves nothing
behind.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K")


class TimeoutQueue(Generic[K]):
    """Calls `on_due(key)`, once, `seconds` after `add(key)`. Event loop only; `on_due` must not raise."""

    __slots__ = ("_due", "_grain", "_on_due", "_timer", "seconds")

    def __init__(self, seconds: float, on_due: Callable[[K], None]) -> None:
        self.seconds = seconds
        self._grain = seconds / 1000  # keys due this close together share one wake-up
        self._on_due = on_due
        self._due: dict[K, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __contains__(self, key: K) -> bool:
        return key in self._due

    def __len__(self) -> int:
        return len(self._due)

    def __iter__(self) -> Iterator[K]:
        """The waiting keys, the next one due first; the queue may change meanwhile."""
        return iter(list(self._due))

    def add(self, key: K) -> None:
        """Start the wait for `key`, or start it over."""
        loop = asyncio.get_running_loop()
        self._due.pop(key, None)
        self._due[key] = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_later(self.seconds, self._run, loop)

    def discard(self, key: K) -> bool:
        """Forget `key`; True if it was waiting."""
        return self._due.pop(key, None) is not None

    def is_overdue(self, key: K, early_seconds: float = 0.0) -> bool:
        """`key` is due, or will be within `early_seconds`, though the timer may not have run yet."""
        due = self._due.get(key)
        return due is not None and due - early_seconds <= asyncio.get_running_loop().time()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        ready = []
        for key, due in self._due.items():
            if due > now:
                break
            ready.append(key)
        for key in ready:
            del self._due[key]
        first = next(iter(self._due.values()), None)
        self._timer = None
        if first is not None:
            self._timer = loop.call_at(max(first, now + self._grain), self._run, loop)
        for key in ready:
            self._on_due(key)
