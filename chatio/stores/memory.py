"""The stores in memory: what they keep is gone when the process ends, as in the original server."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from chatio.errors import EmailAlreadyUsed, MessageDeleted, MessageUnknown, NameTaken
from chatio.stores.base import (
    FORGOTTEN,
    Appended,
    Change,
    Ended,
    Extent,
    Kind,
    LoginCount,
    Message,
    Record,
    User,
    Version,
    derived_id,
    folded,
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


class _Change(NamedTuple):
    """Of a change: its message, the number of that, and its own time and key."""

    message_id: str
    post: int
    at: str
    key: str


class MemoryJournal:
    """A `Journal` of the newest entries: at most `max_messages`, of at most `max_bytes`. Event loop only.

    Dropping a message for newer ones does not forget it, while the journal has changes of it.
    """

    is_durable = False

    def __init__(self, *, max_messages: int = 10_000, max_bytes: int = 32 * 2**20) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self._epoch = new_epoch()
        self._head = 0
        self._entries: deque[tuple[Record | _Change, int]] = deque()  # with the bytes of each
        self._by_id: dict[str, Record] = {}  # messages; without their texts once these have changed
        self._newest: dict[int, Version] = {}  # change of a message, by the number of the message
        self._numbers: dict[str, int] = {}  # of changes, by their keys

    def append(self, batch: Sequence[Message]) -> "asyncio.Future[list[Appended]]":
        return _done([self._append(message) for message in batch])

    def change(self, batch: Sequence[Change]) -> "asyncio.Future[list[Appended]]":
        return _done([self._change(change) for change in batch])

    async def read(self, after: int, *, limit: int) -> list[Record]:
        start = max(after - self._tail, 0)
        stop = min(start + limit, len(self._entries))
        return [self._record(self._tail + index + 1) for index in range(start, stop)]

    async def find(self, message_id: str) -> Record | None:
        post = self._by_id.get(message_id)
        return None if post is None else self._now(post)

    async def by_author(self, author_id: str, after: int, *, limit: int) -> list[Record]:
        records = await self.read(after, limit=after + limit - max(after, self._tail))
        return [each for each in records if each.kind is Kind.POSTED and each.message.author_id == author_id]

    async def extent(self) -> Extent:
        return Extent(self._epoch, self._tail, self._head)

    async def forget(self, up_to: int, *, limit: int) -> int:
        count = max(0, min(up_to - self._tail, limit, len(self._entries)))
        for _ in range(count):
            entry, _ = self._entries[0]
            if isinstance(entry, Record):
                self._newest.pop(entry.number, None)
            self._drop_oldest()
        return count

    async def renew_epoch(self, old: str) -> str:
        if old == self._epoch:
            self._epoch = new_epoch(old)
        return self._epoch

    @property
    def _tail(self) -> int:
        return self._head - len(self._entries)

    def _append(self, message: Message) -> Appended:
        if (first := self._by_id.get(message.id)) is not None:
            if first.message.author_id == message.author_id:
                return Appended(self._now(first), is_new=False)
            message = msgspec.structs.replace(message, id=derived_id(message.author_id, message.id))
            if (first := self._by_id.get(message.id)) is not None:
                return Appended(self._now(first), is_new=False)
        record = self._by_id[message.id] = Record(self._head + 1, message)
        self._add(record, size_bytes(message))
        return Appended(record, is_new=True)

    def _change(self, change: Change) -> Appended:
        if (number := self._numbers.get(change.key)) is not None:
            return Appended(self._record(number), is_new=False)
        if (post := self._by_id.get(change.message_id)) is None:
            return Appended(Record(0, FORGOTTEN), is_new=False, refusal=MessageUnknown)
        if (newest := self._newest.get(post.number)) is not None:
            if newest.content is None:
                return Appended(post, is_new=False, refusal=MessageDeleted)
            if newest.content == change.content:
                return Appended(self._record(newest.number), is_new=False)
        else:
            post = self._erase(post)
        number = self._numbers[change.key] = self._head + 1
        self._newest[post.number] = newest = Version(number, change.content, change.at)
        record = folded(number, post, change.at, newest)
        self._add(_Change(change.message_id, post.number, change.at, change.key), size_bytes(record.message))
        return Appended(record, is_new=True)

    def _erase(self, post: Record) -> Record:
        """Forget the text of a message."""
        erased = post._replace(message=msgspec.structs.replace(post.message, content=""))
        self._by_id[post.message.id] = erased
        if (index := post.number - self._tail - 1) >= 0:
            self._entries[index] = erased, self._entries[index][1]
        return erased

    def _now(self, post: Record) -> Record:
        return folded(post.number, post, None, self._newest.get(post.number))

    def _record(self, number: int) -> Record:
        entry, _ = self._entries[number - self._tail - 1]
        if isinstance(entry, Record):
            return self._now(entry)
        newest = self._newest.get(entry.post)
        return folded(number, None if newest is None else self._by_id[entry.message_id], entry.at, newest)

    def _add(self, entry: Record | _Change, size: int) -> None:
        self._head += 1
        self._entries.append((entry, size))
        self._bytes += size
        while len(self._entries) > 1 and (
            len(self._entries) > self._max_messages or self._bytes > self._max_bytes
        ):
            self._drop_oldest()  # the newest entry stays, however large

    def _drop_oldest(self) -> None:
        number = self._tail + 1
        entry, size = self._entries.popleft()
        self._bytes -= size
        if isinstance(entry, Record):
            if entry.number not in self._newest:
                del self._by_id[entry.message.id]
            return
        del self._numbers[entry.key]
        newest = self._newest.get(entry.post)
        if newest is not None and newest.number == number:
            del self._newest[entry.post], self._by_id[entry.message_id]


def _done(results: list[Appended]) -> "asyncio.Future[list[Appended]]":
    done: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
    done.set_result(results)
    return done


class MemoryRevocationStore:
    """A `RevocationStore` that keeps nothing: a process that ends forgets its users too."""

    async def add(self, ended: Ended, reason: str = "") -> None:
        pass

    async def all(self, now: float) -> list[Ended]:
        return []


class MemoryLoginStore:
    """A `LoginStore` that keeps nothing, since a restart forgets the accounts too."""

    async def save(self, counts: Sequence[LoginCount], *, gone: Sequence[tuple[str, str]]) -> None:
        pass

    async def all(self, now: float) -> list[LoginCount]:
        return []
