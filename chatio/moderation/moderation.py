"""Moderation: every act of a moderator, an owner or the operator, by its rules.

An act looks up the roles of both users, and is recorded only if both still have them: no act is done with a role
that was taken away meanwhile, and none on a user who was promoted meanwhile. The audit trail has each act before
it has any effect.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from chatio.accounts.users import UserRegistry
from chatio.chat.messages import time_text
from chatio.errors import FieldError, InvalidInput, Overloaded, RoleRequired, UserNotFound, UserUnknown
from chatio.moderation.enforcement import Enforcement
from chatio.moderation.roles import require_power_over, require_role
from chatio.stores.accounts import WITHOUT_END, Role, User
from chatio.stores.moderation import Act, Action, ModerationStore
from chatio.text import VISIBLE, one_line
from chatio.throttling.rate_limiter import RateLimiter

MAX_REASON_CHARS: Final = 500
MAX_SECONDS: Final = 10 * 365 * 86_400
OPERATOR: Final = "operator"  # the name of the actor; no user has it
SERVER: Final = "server"  # as well
LEFT_BEHIND: Final = "of a deleted account with the same address"
ATTEMPTS: Final = 5
RETRY_AFTER_SECONDS: Final = 1

Sanction = Literal["mute", "ban"]
_WITHOUT_ACCOUNT: Final[frozenset[Action]] = frozenset({"mute", "kick", "ban", "lift"})


@dataclass(frozen=True)
class Moderation:
    """The acts. `by` is the id of the user who acts, by a verified token; None for the operator.

    Each act raises `RoleRequired`, `UserNotFound`, `InvalidInput`, `RateLimited`, `Overloaded`, `UserUnknown` for
    an actor without an account, `StoreUnavailable` and `StoreFull`. Event loop only.
    """

    users: UserRegistry
    store: ModerationStore
    enforcement: Enforcement
    rate: RateLimiter  # of the acts of one user
    clock: Callable[[], float] = time.time

    async def actor(self, user_id: str, least: Role) -> User:
        """The user with this id, of the role `least` or a higher one. Raises `RoleRequired`, `UserUnknown`."""
        user = await self.users.get(user_id)
        require_role(user, least)
        return user

    async def mute(self, by: str | None, user_id: str, seconds: int, reason: str) -> User:
        """Let the user read, and not write, for so many seconds."""
        until = self.clock() + seconds
        return await self._act(by, user_id, "mute", reason, until=until, standing={"muted_until": until})

    async def ban(self, by: str | None, user_id: str, seconds: int | None, reason: str) -> User:
        """End the user's sessions, and refuse their logins for so many seconds; None: without an end."""
        until = WITHOUT_END if seconds is None else self.clock() + seconds
        return await self._act(by, user_id, "ban", reason, until=until, standing={"banned_until": until})

    async def kick(self, by: str | None, user_id: str, reason: str) -> User:
        """End the user's sessions; they may log in again."""
        return await self._act(by, user_id, "kick", reason)

    async def lift(self, by: str | None, user_id: str, sanction: Sanction, reason: str) -> User:
        """End a mute or a ban."""
        standing = {"muted_until" if sanction == "mute" else "banned_until": 0.0}
        return await self._act(by, user_id, "lift", reason, detail=sanction, standing=standing)

    async def set_role(self, by: str | None, user_id: str, role: Role, reason: str) -> User:
        """Give the user a role; only owners and the operator do."""
        return await self._act(by, user_id, "role", reason, detail=role, standing={"role": role}, least="owner")

    async def set_reset_code(self, user_id: str, code_hash: str, seconds: float, reason: str) -> User:
        """Give the user a one-time code for a new password; only the operator does."""
        standing = {"reset_hash": code_hash, "reset_until": self.clock() + seconds}
        return await self._act(None, user_id, "reset_code", reason, standing=standing)

    async def remove(self, user_id: str, reason: str) -> User:
        """Delete the account; only the operator does."""
        user = await self._found(user_id)
        act = self._entry(None, "delete_user", (user.id, user.name), reason)
        number = await self.store.record(act)
        await self.users.remove(user)
        await self.enforcement.apply_own(number or 0, act, None)
        return user

    async def take_over(self, user: User) -> None:
        """Apply the mute and the ban that a new user has of a deleted account; other servers read the trail.

        Raises `StoreUnavailable` and `StoreFull`.
        """
        # At once, for the database may not answer.
        self.enforcement.voices.silence(user.id, max(user.muted_until, user.banned_until))
        sanctions: list[tuple[Action, float]] = [("mute", user.muted_until), ("ban", user.banned_until)]
        for action, until in sanctions:
            if until > self.clock():
                act = self._entry(None, action, (user.id, user.name), LEFT_BEHIND, until=until)
                act = msgspec.structs.replace(act, actor_name=SERVER)
                await self.enforcement.apply_own(await self.store.record(act) or 0, act, user)

    async def note(
        self, by: User | None, action: Action, user: tuple[str, str], reason: str, detail: str = ""
    ) -> None:
        """Record an act that changes no standing; `user` is the id and the name of the user it is done to.

        Raises `RoleRequired` if `by` has lost the role meanwhile.
        """
        act = self._entry(by, action, user, reason, detail=detail)
        if await self.store.record(act, by=by) is None:
            raise RoleRequired

    async def _act(
        self,
        by: str | None,
        user_id: str,
        action: Action,
        reason: str,
        *,
        until: float = 0.0,
        detail: str = "",
        standing: dict[str, Any] | None = None,
        least: Role = "moderator",
    ) -> User:
        if by is not None:
            self.rate.acquire(by)
        for _ in range(ATTEMPTS):
            actor = None if by is None else await self.actor(by, least)
            user, has_account = await self._target(user_id, action)
            if actor is not None:
                require_power_over(actor, user)
            changed = msgspec.structs.replace(user, **(standing or {}))
            act = self._entry(actor, action, (user.id, user.name), reason, until=until, detail=detail)
            number = await self.store.record(act, by=actor, change=(user, changed) if has_account else None)
            if number is not None:
                await self.enforcement.apply_own(number, act, changed)
                return changed
        raise Overloaded(retry_after_seconds=RETRY_AFTER_SECONDS)  # others act on the same user, again and again

    async def _target(self, user_id: str, action: Action) -> tuple[User, bool]:
        """The user, and whether there is an account.

        There is none after a restart without a database, while the token is valid. Such a user can be silenced
        while connected, and does not come back once the token has ended.
        """
        try:
            return await self._found(user_id), True
        except UserNotFound:
            if action not in _WITHOUT_ACCOUNT or not self.enforcement.sockets.has_any_of(user_id):
                raise
            return User(user_id, "", "", "", "", "", ""), False

    async def _found(self, user_id: str) -> User:
        try:
            return await self.users.get(user_id)
        except UserUnknown:
            raise UserNotFound from None

    def _entry(
        self,
        by: User | None,
        action: Action,
        user: tuple[str, str],
        reason: str,
        *,
        until: float = 0.0,
        detail: str = "",
    ) -> Act:
        reason = one_line(reason)
        if not VISIBLE.search(reason) or len(reason) > MAX_REASON_CHARS:
            raise InvalidInput(FieldError("reason", f"This must be text of 1 to {MAX_REASON_CHARS} characters."))
        user_id, user_name = user
        return Act(
            at=time_text(datetime.fromtimestamp(self.clock(), UTC)),
            actor_id="" if by is None else by.id,
            actor_name=OPERATOR if by is None else by.name,
            action=action,
            user_id=user_id,
            user_name=user_name,
            reason=reason,
            until=until,
            detail=detail,
        )


def until_text(until: float) -> str | None:
    """The end of a mute or a ban, in seconds since the epoch, as clients read it; None for one without an end."""
    return None if math.isinf(until) else time_text(datetime.fromtimestamp(until, UTC))
