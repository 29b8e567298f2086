"""Users in memory. Revoked tokens and failed logins are not kept: a restart forgets the accounts too."""

import heapq
from collections.abc import Sequence

import msgspec

from chatio.errors import EmailAlreadyUsed, NameTaken
from chatio.stores.accounts import Ended, LoginCount, User
from chatio.stores.moderation import STANDING, sanction_key, standing, with_sanctions


class MemoryUserStore:
    """A `UserStore` of dictionaries. Event loop only."""

    def __init__(self) -> None:
        self._by_id: dict[str, User] = {}
        self._id_by_email_key: dict[str, str] = {}
        self._name_keys: set[str] = set()
        self._name_looks: set[str] = set()
        self._sanctions: dict[str, tuple[float, float]] = {}  # of removed users: the ends of a ban and of a mute

    async def add(self, user: User) -> User:
        if user.email_key in self._id_by_email_key:
            raise EmailAlreadyUsed
        if user.name_key in self._name_keys or user.name_look in self._name_looks:
            raise NameTaken
        self._name_keys.add(user.name_key)
        self._name_looks.add(user.name_look)
        self._id_by_email_key[user.email_key] = user.id
        if self._sanctions:
            user = with_sanctions(user, *self._sanctions.pop(sanction_key(user.email_key), (0.0, 0.0)))
        self._by_id[user.id] = user
        return user

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

    async def remove(self, user_id: str, *, password_hash: str, now: float = 0.0) -> bool:
        user = self._by_id.get(user_id)
        if user is None or user.password_hash != password_hash:
            return False
        del self._by_id[user_id], self._id_by_email_key[user.email_key]
        self._name_keys.remove(user.name_key)
        self._name_looks.remove(user.name_look)
        if max(user.banned_until, user.muted_until) > now:
            self._sanctions[sanction_key(user.email_key)] = (user.banned_until, user.muted_until)
        return True

    async def find(self, name_key: str, after: str, *, limit: int) -> list[User]:
        found = (user for user in self._by_id.values() if name_key in user.name_key and user.name_key > after)
        return heapq.nsmallest(limit, found, key=lambda user: user.name_key)

    async def muted(self, now: float) -> list[User]:
        self._sanctions = {key: ends for key, ends in self._sanctions.items() if max(ends) > now}
        return [user for user in self._by_id.values() if user.muted_until > max(now, 0.0)]

    def change_standing(self, old: User, new: User) -> bool:
        """Give `old` the standing of `new`, if it still is that of `old`."""
        user = self._by_id.get(old.id)
        if user is None or standing(user) != standing(old):
            return False
        values = dict(zip(STANDING, standing(new), strict=True))
        self._by_id[old.id] = msgspec.structs.replace(user, **values)
        return True


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
