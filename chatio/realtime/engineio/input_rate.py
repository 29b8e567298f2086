"""How fast one connection may send.

Who sends faster is not refused but read more slowly, so that its output backs up in TCP: it loses nothing, and
costs the others no more than anybody may. Therefore nobody is closed for it either, however long it goes on.
"""

from typing import Final

# How long after it was last slowed down a connection may have a pong on its way, behind what it sent before.
BEHIND_SECONDS: Final = 5.0


class Pace:
    """A burst of `burst_bytes` at once, and then `bytes_per_second`. One for all; infinite if nothing is given.

    Of each connection only a number is kept, the loop's time at which all it sent will have been paid for (GCRA,
    as in chatio/throttling/rate_limiter.py): 24 bytes.
    """

    __slots__ = ("_seconds_per_byte", "burst_seconds")

    def __init__(self, bytes_per_second: float = float("inf"), burst_bytes: int = 0) -> None:
        self._seconds_per_byte = 1 / bytes_per_second
        self.burst_seconds = burst_bytes / bytes_per_second  # who owes more than that is not read

    def after(self, paid_at: float, size_bytes: int, now: float) -> float:
        """When a connection that sent `size_bytes` more will have paid for all; until then it was `paid_at`."""
        return max(paid_at, now) + size_bytes * self._seconds_per_byte

    def is_behind(self, paid_at: float, now: float) -> bool:
        """It is slowed down, or was a moment ago."""
        return paid_at - now > max(0.0, self.burst_seconds - BEHIND_SECONDS)
