"""The interfaces of stores: what every back end promises to the rules above it.

`tests/contract` has a test for each promise, and runs it on every back end.
"""

from typing import Protocol

import msgspec


class User(msgspec.Struct, frozen=True):
    """A registered user. `email` is as the user wrote it; e-mail addresses are compared by `email_key`."""

    id: str
    name: str
    email: str
    email_key: str
    password_hash: str


class UserStore(Protocol):
    """The users. When a call returns, it has happened as a whole, and is as durable as the back end is."""

    async def add(self, user: User) -> None:
        """Add `user`. Raises `EmailAlreadyUsed` if its `email_key` is taken; of two calls at once one wins."""

    async def get(self, user_id: str) -> User | None:
        """The user with this id, if there is one."""
        ...

    async def get_by_email_key(self, email_key: str) -> User | None:
        """The user with this `email_key`, if there is one."""
        ...

    async def replace_password_hash(self, user_id: str, *, old: str, new: str) -> bool:
        """Set the user's hash to `new` if it still is `old`. Else, or without such a user, False."""
        ...

    async def remove(self, user_id: str, *, password_hash: str) -> bool:
        """Remove the user if the hash still is `password_hash`, which frees the `email_key`; else return False."""
        ...
