"""The audit trail, and the standing of users: what every back end promises. `tests/contract` tests it."""

import hashlib
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from chatio.stores.accounts import User
from chatio.stores.records import SentAt

# The fields of a user that an act changes.
STANDING: Final = ("role", "banned_until", "muted_until", "reset_hash", "reset_until")

Action = Literal["mute", "kick", "ban", "lift", "role", "delete_message", "add_user", "reset_code", "delete_user"]


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the audit trail: what a moderator, an owner or the operator did, to which user, and why."""

    at: SentAt
    actor_id: str  # "": the operator, on the server's machine
    actor_name: str
    action: Action
    user_id: str
    user_name: str
    reason: str
    until: float = 0.0  # of a mute or a ban; seconds since the epoch
    detail: str = ""  # the new role, the id of the message that was deleted, or what was lifted


class RecordedAct(NamedTuple):
    """An act, and its number in the audit trail: from 1, without gaps, in the order of the commits."""

    number: int
    act: Act


class ModerationStore(Protocol):
    """The audit trail, and the standing of users, which changes with an entry of it only."""

    async def record(
        self, act: Act, *, by: User | None = None, change: tuple[User, User] | None = None
    ) -> int | None:
        """Add `act` to the trail, and give the first user of `change` the standing of the second; the number.

        All of it or nothing: None if the role of `by` is another one than that, or the standing of the first user.
        `by`: the user who acts; None for the operator.
        """
        ...

    async def acts(self, after: int, *, limit: int) -> list[RecordedAct]:
        """The acts after the number `after`, oldest first, at most `limit` of them."""
        ...

    async def last_number(self) -> int:
        """The number of the newest act; 0 before the first."""
        ...


def sanction_key(email_key: str) -> str:
    """The key under which a store keeps the mute and the ban of a removed user: a digest, and not the address."""
    return hashlib.sha256(email_key.encode(errors="replace")).hexdigest()


def with_sanctions(user: User, banned_until: float, muted_until: float) -> User:
    """`user` with a ban and a mute that end then, or with their own if these end later."""
    return msgspec.structs.replace(
        user,
        banned_until=max(user.banned_until, banned_until),
        muted_until=max(user.muted_until, muted_until),
    )


def standing(user: User) -> tuple[object, ...]:
    """The values of `STANDING`."""
    return tuple(getattr(user, name) for name in STANDING)


def recorded(rows: Iterable[Iterable[object]]) -> list[RecordedAct]:
    """The acts in rows of a database: the number, and the fields of `Act`."""
    return [
        RecordedAct(number, Act(**dict(zip(Act.__struct_fields__, values, strict=True))))  # type: ignore[arg-type]
        for number, *values in rows
    ]
