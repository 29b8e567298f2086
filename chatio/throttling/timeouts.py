"""Timeout queue: many timeouts of one length on one timer.

Dicts keep the order of insertion and the length is constant, so the first entry is always the next one due. Adding
and removing a key are a dict operation each, and a removed key leaves nothing behind.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from chatio.telemetry.error_report import report

logger = logging.getLogger("chatio.throttling")

K = TypeVar("K")


class TimeoutQueue(dict[K, float]):
    """Calls `on_due(key)`, once, `seconds` after `add(key)`. Event loop only; what `on_due` raises is reported.

    A mapping of the waiting keys, the next one due first, to the loop's time at which they are due.
    """

    __slots__ = ("_grain", "_on_due", "_timer", "seconds")

    def __init__(self, seconds: float, on_due: Callable[[K], object]) -> None:
        super().__init__()
        self.seconds = seconds
        self._grain = seconds / 1000  # keys due this close together share one wake-up
        self._on_due = on_due
        self._timer: asyncio.TimerHandle | None = None

    def add(self, key: K) -> None:
        """Start the wait for `key`, or start it over."""
        self.pop(key, None)
        self[key] = monotonic() + self.seconds  # the loop's time
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.seconds, self._run, loop)

    def discard(self, key: K) -> bool:
        """Forget `key`; True if it was waiting."""
        return self.pop(key, None) is not None

    def is_overdue(self, key: K, early_seconds: float = 0.0) -> bool:
        """`key` is due, or will be within `early_seconds`, though the timer may not have run yet."""
        due = self.get(key)
        return due is not None and due - early_seconds <= asyncio.get_running_loop().time()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        ready = []
        for key, due in self.items():
            if due > now:
                break
            ready.append(key)
        for key in ready:
            del self[key]
        first = next(iter(self.values()), None)
        self._timer = None
        if first is not None:
            try:
                self._timer = loop.call_at(max(first, now + self._grain), self._run, loop)
            except Exception as error:  # the next `add` sets it
                report(logger, "timeout", error)
        for key in ready:
            try:
                self._on_due(key)
            except Exception as error:  # the other keys are due all the same
                report(logger, "timeout", error)
