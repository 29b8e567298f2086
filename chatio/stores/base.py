"""The ports: what a back end must promise, so that the rules above it need not know which one it is.

`tests/contract` holds every back end against these words.
"""

from typing import Protocol

import msgspec


class User(msgspec.Struct, frozen=True):
    """Somebody who has registered. `email` is as they wrote it, `email_key` is what addresses are compared by."""

    id: str
    name: str
    email: str
    email_key: str
    password_hash: str


class UserStore(Protocol):
    """Who exists. Each call is atomic and durable, as far as the back end is, when it returns."""

    async def add(self, user: User) -> None:
        """Keep `user`. Raises `EmailAlreadyUsed` when its `email_key` is taken: of two at once, one gets it."""

    async def get(self, user_id: str) -> User | None: ...

    async def get_by_email_key(self, email_key: str) -> User | None: ...

    async def replace_password_hash(self, user_id: str, *, old: str, new: str) -> bool:
        """Set the hash to `new` if it still is `old`; False if somebody was faster, and then nothing changes."""
        ...

    async def remove(self, user_id: str, *, password_hash: str) -> bool:
        """Forget the user if the hash still is this one, so that the `email_key` is free; False if it is not."""
        ...
