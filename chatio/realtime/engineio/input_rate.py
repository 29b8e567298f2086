"""Input rate: how fast one connection may send.

A connection that sends faster is read more slowly: its output backs up in TCP, it loses nothing, and it costs the
other clients no more than any connection may. Therefore no connection is closed for its rate.
"""

from typing import Final

# A connection that was slowed down may have a pong on its way, behind its earlier output, for so long.
BEHIND_SECONDS: Final = 5.0


class InputRate:
    """A burst of `burst_bytes` at once, and then `bytes_per_second`. One object for all connections.

    Each connection keeps one number, the loop's time at which its input will be paid for (GCRA, as in
    chatio/throttling/rate_limiter.py): 24 bytes.
    """

    __slots__ = ("burst_seconds", "seconds_per_byte")

    def __init__(self, bytes_per_second: float = float("inf"), burst_bytes: int = 0) -> None:
        self.seconds_per_byte = 1 / bytes_per_second
        self.burst_seconds = burst_bytes / bytes_per_second  # a connection that owes more is not read

    def is_behind(self, paid_at: float, now: float) -> bool:
        """Whether a connection whose input is paid for at `paid_at` is slowed down, or was a moment ago."""
        return paid_at - now > max(0.0, self.burst_seconds - BEHIND_SECONDS)
