"""The audit trail in memory, and the standing of users."""

import itertools
from collections import deque
from typing import Final

from chatio.stores.accounts import User
from chatio.stores.memory.accounts import MemoryUserStore
from chatio.stores.moderation import Act, RecordedAct

MAX_ACTS: Final = 10_000


class MemoryModerationStore:
    """A `ModerationStore` of the newest acts. Event loop only."""

    def __init__(self, users: MemoryUserStore) -> None:
        self._users = users
        self._acts: deque[RecordedAct] = deque(maxlen=MAX_ACTS)

    async def record(
        self, act: Act, *, by: User | None = None, change: tuple[User, User] | None = None
    ) -> int | None:
        if by is not None:
            actor = await self._users.get(by.id)
            if actor is None or actor.role != by.role:
                return None
        if change is not None and not self._users.change_standing(*change):
            return None
        number = await self.last_number() + 1
        self._acts.append(RecordedAct(number, act))
        return number

    async def acts(self, after: int, *, limit: int) -> list[RecordedAct]:
        first = self._acts[0].number if self._acts else 1
        start = max(after + 1 - first, 0)
        return list(itertools.islice(self._acts, start, start + limit))

    async def last_number(self) -> int:
        return self._acts[-1].number if self._acts else 0
