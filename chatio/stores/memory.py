"""The stores in memory: what they keep is gone when the process ends, as in the original server."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from chatio.errors import EmailAlreadyUsed, NameTaken
from chatio.stores.base import (
    Appended,
    Ended,
    Extent,
    Message,
    Record,
    User,
    derived_id,
    new_epoch,
    size_bytes,
)
from chatio.stores.moderation import STANDING, Act, RecordedAct, standing

MAX_ACTS: Final = 10_000


class MemoryUserStore:
    """A `UserStore` of dictionaries. Event loop only."""

    def __init__(self) -> None:
        self._by_id: dict[str, User] = {}
        self._id_by_email_key: dict[str, str] = {}
        self._name_keys: set[str] = set()
        self._name_looks: set[str] = set()

    async def add(self, user: User) -> None:
        if user.email_key in self._id_by_email_key:
            raise EmailAlreadyUsed
        if user.name_key in self._name_keys or user.name_look in self._name_looks:
            raise NameTaken
        self._name_keys.add(user.name_key)
        self._name_looks.add(user.name_look)
        self._id_by_email_key[user.email_key] = user.id
        self._by_id[user.id] = user

    async def get(self, user_id: str) -> User | None:
        return self._by_id.get(user_id)

    async def get_by_email_key(self, email_key: str) -> User | None:
        user_id = self._id_by_email_key.get(email_key)
        return None if user_id is None else self._by_id[user_id]

    async def replace_password_hash(self, user_id: str, *, old: str, new: str) -> bool:
        user = self._by_id.get(user_id)
        if user is None or user.password_hash != old:
            return False
        self._by_id[user_id] = msgspec.structs.replace(user, password_hash=new, reset_hash="")
        return True

    async def remove(self, user_id: str, *, password_hash: str) -> bool:
        user = self._by_id.get(user_id)
        if user is None or user.password_hash != password_hash:
            return False
        del self._by_id[user_id], self._id_by_email_key[user.email_key]
        self._name_keys.remove(user.name_key)
        self._name_looks.remove(user.name_look)
        return True

    async def find(self, name_key: str, after: str, *, limit: int) -> list[User]:
        found = (user for user in self._by_id.values() if name_key in user.name_key and user.name_key > after)
        return heapq.nsmallest(limit, found, key=lambda user: user.name_key)

    async def muted(self, now: float) -> list[User]:
        return [user for user in self._by_id.values() if user.muted_until > max(now, 0.0)]

    def change_standing(self, old: User, new: User) -> bool:
        """Give `old` the standing of `new`, if it still is that of `old`."""
        user = self._by_id.get(old.id)
        if user is None or standing(user) != standing(old):
            return False
        values = dict(zip(STANDING, standing(new), strict=True))
        self._by_id[old.id] = msgspec.structs.replace(user, **values)
        return True


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


class MemoryJournal:
    """A `Journal` of the newest messages: at most `max_messages`, of at most `max_bytes`. Event loop only."""

    is_durable = False

    def __init__(self, *, max_messages: int = 10_000, max_bytes: int = 32 * 2**20) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self._epoch = new_epoch()
        self._head = 0
        self._kept: deque[tuple[Record, int]] = deque()  # with the bytes of each
        self._by_id: dict[str, Record] = {}

    def append(self, batch: Sequence[Message]) -> "asyncio.Future[list[Appended]]":
        appending: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        appending.set_result([self._append(message) for message in batch])
        return appending

    async def read(self, after: int, *, limit: int) -> list[Record]:
        start = max(after - self._tail, 0)
        return [record for record, _ in itertools.islice(self._kept, start, start + limit)]

    async def extent(self) -> Extent:
        return Extent(self._epoch, self._tail, self._head)

    async def forget(self, up_to: int, *, limit: int) -> int:
        count = max(0, min(up_to - self._tail, limit, len(self._kept)))
        for _ in range(count):
            self._drop_oldest()
        return count

    async def renew_epoch(self, old: str) -> str:
        if old == self._epoch:
            self._epoch = new_epoch(old)
        return self._epoch

    @property
    def _tail(self) -> int:
        return self._head - len(self._kept)

    def _append(self, message: Message) -> Appended:
        if (first := self._by_id.get(message.id)) is not None:
            if first.message.author_id == message.author_id:
                return Appended(first, is_new=False)
            message = msgspec.structs.replace(message, id=derived_id(message.author_id, message.id))
            if (first := self._by_id.get(message.id)) is not None:
                return Appended(first, is_new=False)
        self._head += 1
        record = self._by_id[message.id] = Record(self._head, message)
        size = size_bytes(message)
        self._kept.append((record, size))
        self._bytes += size
        while len(self._kept) > 1 and (len(self._kept) > self._max_messages or self._bytes > self._max_bytes):
            self._drop_oldest()  # the newest message stays, however large
        return Appended(record, is_new=True)

    def _drop_oldest(self) -> None:
        record, size = self._kept.popleft()
        self._bytes -= size
        del self._by_id[record.message.id]


class MemoryRevocationStore:
    """A `RevocationStore` that keeps nothing: a process that ends forgets its users too."""

    async def add(self, ended: Ended) -> None:
        pass

    async def all(self, now: float) -> list[Ended]:
        return []
