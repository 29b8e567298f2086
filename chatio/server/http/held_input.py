"""Held input: what connections have sent, and the server has read and not answered yet.

One connection holds some kilobytes: a head, a short body, the beginning of the next request. Thousands of
connections whose clients send half a request, or many at once, would hold hundreds of megabytes.
"""

from collections import Counter
from typing import Final

# An office of a hundred pages that load at once brings 2 MB: each page six requests, with a token and cookies.
MOST_PER_ADDRESS: Final = 4 * 1024 * 1024
MOST: Final = 64 * 1024 * 1024
# Of one address while all together hold more than they may: 15 whole heads.
FAIR_SHARE: Final = 256 * 1024


class HeldInput:
    """Counts bytes by rate-limit key. Event loop only."""

    def __init__(self, *, is_on: bool = True) -> None:
        """Not `is_on`: it is never too much."""
        self._is_on = is_on
        self._total = 0
        self._of_key: Counter[str] = Counter()

    def __len__(self) -> int:
        """The number of keys that hold some."""
        return len(self._of_key)

    def add(self, key: str, size_bytes: int) -> None:
        """Count `size_bytes` more of `key`, or less if they are negative."""
        self._total += size_bytes
        self._of_key[key] += size_bytes
        if not self._of_key[key]:
            del self._of_key[key]

    def of(self, key: str) -> int:
        """How many bytes `key` holds."""
        return self._of_key[key]

    def is_too_much(self, key: str) -> bool:
        """Whether a connection of `key` is to give way."""
        held = self.of(key)
        return self._is_on and (held > MOST_PER_ADDRESS or (held > FAIR_SHARE and self._total > MOST))
