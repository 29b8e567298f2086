"""The store in memory: its users are gone when the process ends, as in the original server."""

import msgspec

from chatio.errors import EmailAlreadyUsed
from chatio.stores.base import User


class MemoryUserStore:
    """A `UserStore` of two dictionaries. Event loop only."""

    def __init__(self) -> None:
        self._by_id: dict[str, User] = {}
        self._id_by_email_key: dict[str, str] = {}

    async def add(self, user: User) -> None:
        if user.email_key in self._id_by_email_key:
            raise EmailAlreadyUsed
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
        self._by_id[user_id] = msgspec.structs.replace(user, password_hash=new)
        return True

    async def remove(self, user_id: str, *, password_hash: str) -> bool:
        user = self._by_id.get(user_id)
        if user is None or user.password_hash != password_hash:
            return False
        del self._by_id[user_id], self._id_by_email_key[user.email_key]
        return True
