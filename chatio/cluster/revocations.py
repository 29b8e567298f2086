"""Shared revocations: the tokens that other servers of the database have revoked."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from chatio.stores.accounts import Ended
from chatio.stores.bus import Bus

RECENT: Final = 1000


class SharedRevocations:
    """Reads each revocation of the database once. Event loop only."""

    def __init__(self, bus: Bus, newest: int) -> None:
        """`newest`: the sequence of the newest revocation that this server knows."""
        self.on_revoked: Callable[[Ended, str], Awaitable[None]] = _ignore
        self._bus = bus
        self._newest = newest
        self._after = newest  # later ones are to be read
        self._applied: deque[int] = deque(maxlen=RECENT)

    def heard(self, sequence: int) -> None:
        """There is a revocation with this sequence: smaller than a known one if it began earlier."""
        self._after = min(self._after, sequence - 1)

    def unheard(self) -> None:
        """What was told may have been lost: read recent ones again."""
        self._after = min(self._after, max(0, self._newest - RECENT))

    async def follow(self) -> None:
        """Read what is new. Raises `StoreUnavailable`."""
        after = self._after
        for revoked in await self._bus.revoked_after(after):
            if revoked.sequence not in self._applied:
                self._applied.append(revoked.sequence)
                await self.on_revoked(revoked.ended, revoked.reason)
            self._newest = max(self._newest, revoked.sequence)
        if self._after == after:
            self._after = self._newest


async def _ignore(_ended: Ended, _reason: str) -> None:
    pass
