"""Saves in the store what a restart must not make the login throttle forget.

A client that guesses passwords gains nothing by a restart, and an owner's address stays known to the account. What
changed is written each second, many keys in one transaction, so that a failed login writes nothing by itself: a
process that is killed forgets its last second. The store keeps no more than the throttle does.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec

from chatio.accounts.login_throttle import LoginThrottle
from chatio.errors import Temporary
from chatio.stores.accounts import LoginCount, LoginStore
from chatio.telemetry.schedule import repeat

logger = logging.getLogger("chatio.accounts")

SAVE_SECONDS: Final = 1.0
SAVED_AT_ONCE: Final = 200  # messages wait for such a transaction too
LAST_SAVE_SECONDS: Final = 0.5


def steady_clock() -> Callable[[], float]:
    """Seconds since the epoch that advance steadily, although the clock of the machine is set meanwhile."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


class ThrottleSaver:
    """Keeps the tables of a `LoginThrottle` in `store`. Event loop only."""

    def __init__(self, store: LoginStore, throttle: LoginThrottle, *, clock: Callable[[], float]) -> None:
        """`clock`: the throttle's, in seconds since the epoch."""
        self._store = store
        self._tables = throttle.tables
        self._clock = clock

    async def restore(self) -> None:
        """Fill the throttle, which has counted nothing yet. Raises `StoreUnavailable`.

        Left out is what lies further ahead than it can: the clock was set back meanwhile.
        """
        now = self._clock()
        for kind, key, value, until in await self._store.all(now):
            table = self._tables.get(kind)
            if table is not None and until <= now + table.longest_seconds:
                table.entries.put(key, msgspec.json.decode(value, type=table.type), now)
        for table in self._tables.values():
            table.entries.take_changed()

    async def save(self) -> None:
        """Write what has changed. Raises `StoreUnavailable` or `StoreFull`; the rest is then written later."""
        for kind, table in self._tables.items():
            entries = table.entries
            while changed := entries.take_changed(SAVED_AT_ONCE):
                kept = [
                    LoginCount(kind, key, msgspec.json.encode(entries[key]).decode(), entries.until(key))
                    for key in changed
                    if key in entries
                ]
                try:
                    await self._store.save(kept, gone=[(kind, key) for key in changed if key not in entries])
                except BaseException:
                    entries.note(changed)
                    raise

    async def watch(self) -> None:
        """Write what has changed each second, until cancelled; then see `save_last`."""
        await repeat(logger, "saving counts of logins", SAVE_SECONDS, self.save)

    async def save_last(self) -> None:
        """Write what has changed, for as long as a process may take that ends."""
        with contextlib.suppress(Temporary, TimeoutError):
            await asyncio.wait_for(self.save(), LAST_SAVE_SECONDS)
