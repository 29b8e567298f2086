"""Accounts: users, the tokens that were revoked, and failed logins. What every back end promises.

`tests/contract` has a test for each promise, and runs it on every back end.
"""

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

WITHOUT_END: Final = math.inf  # of a ban

# From the least to the most powerful.
Role = Literal["member", "moderator", "owner"]
ROLES: Final[tuple[Role, ...]] = ("member", "moderator", "owner")


class User(msgspec.Struct, frozen=True):
    """A registered user. E-mail addresses are compared by `email_key`, names by `name_key` and by `name_look`.

    The last five fields are the user's standing. Times are seconds since the epoch, 0 for never.
    """

    id: str
    name: str
    name_key: str  # shared by the same name in any case
    name_look: str  # shared by names that look alike
    email: str
    email_key: str
    password_hash: str
    role: Role = "member"
    banned_until: float = 0.0  # or `WITHOUT_END`
    muted_until: float = 0.0
    reset_hash: str = ""  # of the one-time code that sets a new password
    reset_until: float = 0.0


class UserStore(Protocol):
    """The users. When a call returns, it has happened as a whole, and is as durable as the back end is."""

    async def add(self, user: User) -> User:
        """Add `user`; of two calls at once that want the same key one wins. Returns the user as added.

        That is with the mute and the ban which a removed user of the same `email_key` had, if they end later.

        Raises `EmailAlreadyUsed` if its `email_key` is taken, else `NameTaken` if its `name_key` or
        its `name_look` is.
        """
        ...

    async def get(self, user_id: str) -> User | None:
        """The user with this id, if there is one."""
        ...

    async def get_by_email_key(self, email_key: str) -> User | None:
        """The user with this `email_key`, if there is one."""
        ...

    async def replace_password_hash(self, user_id: str, *, old: str, new: str) -> bool:
        """Set the user's hash to `new` if it still is `old`, and forget the one-time code.

        Else, or without such a user, False.
        """
        ...

    async def remove(self, user_id: str, *, password_hash: str, now: float = 0.0) -> bool:
        """Remove the user if the hash still is `password_hash`, which frees its keys; else return False.

        A mute and a ban that are not over at `now` are kept under the digest of the `email_key`, for `add`.
        """
        ...

    async def find(self, name_key: str, after: str, *, limit: int) -> list[User]:
        """The users whose `name_key` contains the text `name_key`, and sorts after `after`: in that order.

        At most `limit` of them. Texts sort by their code points.
        """
        ...

    async def muted(self, now: float) -> list[User]:
        """The users who are muted at `now`. What is kept of removed users, and is over by then, is forgotten."""
        ...


class Ended(msgspec.Struct, frozen=True):
    """Tokens that were revoked: the one `token_id`, or ("") all of `subject` that were issued up to `before`.

    Times are seconds since the epoch. At `until` the last of these tokens has expired by itself.
    """

    subject: str
    token_id: str
    before: float  # for a single token: when it was issued
    until: float


class RevocationStore(Protocol):
    """The revoked tokens."""

    async def add(self, ended: Ended, reason: str = "") -> None:
        """Keep `ended`; the other servers of the store, if it has any, are told of it and of the reason."""

    async def all(self, now: float) -> list[Ended]:
        """Everything that was added and is not over at `now`, oldest first.

        Of what is over, the one that revoked all tokens of a user up to the latest moment is kept too: a token of
        another issuer may outlive it, and stays revoked. The rest is forgotten.
        """
        ...


class LoginCount(NamedTuple):
    """What the login throttle counts for one key, as a text of its own. It is of no use after `until`."""

    kind: str
    key: str
    value: str
    until: float  # seconds since the epoch


class LoginStore(Protocol):
    """What the login throttle must not forget, by kind and key."""

    async def save(self, counts: Sequence[LoginCount], *, gone: Sequence[tuple[str, str]]) -> None:
        """Keep `counts`, each instead of the one before, and forget those that are `gone`."""

    async def all(self, now: float) -> list[LoginCount]:
        """Everything that is of use after `now`, in the order of `until`. The rest is forgotten."""
        ...
