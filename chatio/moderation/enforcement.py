"""Enforcement: what the acts of the audit trail mean in this process.

    act                             in this process
    mute, and the end of it         the user may not write, from the next message on
    ban, kick, deletion             every token of the user ends, and so do their sockets
    deletion                        what the user sent before, and waits for its turn, is not accepted

The trail is the truth. A process applies its own acts at once. It asks the store each second for the acts of other
servers, and of the operator's commands, and applies them too.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from chatio.accounts.tokens import Tokens
from chatio.chat.socket_sessions import EndReason
from chatio.chat.voices import Voices
from chatio.stores.accounts import RevocationStore, User, UserStore
from chatio.stores.moderation import Act, Action, ModerationStore
from chatio.telemetry.schedule import repeat

logger = logging.getLogger("chatio.moderation")

WATCH_SECONDS: Final = 1.0
ACTS_AT_ONCE: Final = 500
SETTLE_SECONDS: Final = 2.0  # of a moderator's time, for a slow store
REMOVED_SECONDS: Final = 60.0  # until every message of a removed user has had its turn, or its socket has ended

ENDINGS: Final[dict[Action, EndReason]] = {
    "ban": EndReason.BANNED,
    "kick": EndReason.KICKED,
    "delete_user": EndReason.ACCOUNT_DELETED,
}
_RESTRICTING: Final[frozenset[Action]] = frozenset({"mute", "ban", "lift"})


class Sockets(Protocol):
    """The sockets of this process, by the ids of their users."""

    async def end_revoked(self, subject: str, reason: EndReason, until: float = 0.0) -> None:
        """Close those whose tokens were just ended; `until`: when a ban ends."""

    def has_any_of(self, subject: str) -> bool:
        """Whether the user has a socket."""
        ...


class NoSockets:
    """For a process that has none."""

    async def end_revoked(self, subject: str, reason: EndReason, until: float = 0.0) -> None:
        pass

    def has_any_of(self, subject: str) -> bool:
        return False


async def _nothing_waits(_seconds: float) -> None:
    pass


class Enforcement:
    """Which users may not write, and the end of sessions. Event loop only."""

    def __init__(
        self,
        store: ModerationStore,
        users: UserStore,
        tokens: Tokens,
        revocations: RevocationStore,
        *,
        settle: Callable[[float], Awaitable[None]] = _nothing_waits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`settle` returns when what was accepted by now is delivered, or after so many seconds."""
        self.sockets: Sockets = NoSockets()
        self.voices = Voices(clock)
        self._store = store
        self._clock = clock
        self._users = users
        self._tokens = tokens
        self._revocations = revocations
        self._settle = settle
        self._seen = 0  # acts up to this number are applied
        self._own: set[int] = set()  # later ones that are applied too

    async def open(self) -> None:
        """Take over what the trail says by now. Raises `StoreUnavailable`."""
        self._seen = await self._store.last_number()
        for user in await self._users.muted(self._clock()):
            self.voices.silence(user.id, user.muted_until)

    async def apply_own(self, number: int, act: Act, user: User | None) -> None:
        """Apply an act of this process, on `user` as they are from now on.

        Returns when their sockets have ended, and nothing that they have written waits for the store any more.
        Raises `StoreUnavailable` or `StoreFull` if the ended tokens are not in the store; they are ended here.
        """
        if number > self._seen:
            self._own.add(number)
        self._restrict(act, user)
        if act.action in ENDINGS:
            # No new message, and no new socket: both look at what was just set, in the same turn of the loop.
            ended = self._tokens.end(self._tokens.ending_all(act.user_id))
            await self.sockets.end_revoked(act.user_id, ENDINGS[act.action], act.until)
            await self._settle(SETTLE_SECONDS)
            await self._revocations.add(ended, ENDINGS[act.action])
        elif act.action == "mute":
            await self._settle(SETTLE_SECONDS)

    async def watch(self) -> None:
        """Apply the acts of other processes each second, until cancelled."""
        await repeat(logger, "applying acts of moderation", WATCH_SECONDS, self.catch_up)

    async def catch_up(self) -> None:
        """Apply the acts of other processes that are new in the store. Raises `StoreUnavailable`."""
        for number, act in await self._store.acts(self._seen, limit=ACTS_AT_ONCE):
            if number not in self._own:
                user = await self._users.get(act.user_id) if act.action in _RESTRICTING else None
                self._restrict(act, user)
                if act.action in ENDINGS:
                    self._tokens.end(self._tokens.ending_all(act.user_id))
                    await self.sockets.end_revoked(act.user_id, ENDINGS[act.action], act.until)
            self._own.discard(number)
            self._seen = number

    def silence_removed(self, user_id: str) -> None:
        """Let a user write nothing more whose account is gone. Their tokens are to end too."""
        self.voices.silence(user_id, self._clock() + REMOVED_SECONDS)

    def _restrict(self, act: Act, user: User | None) -> None:
        if act.action == "delete_user":
            self.silence_removed(act.user_id)
        if act.action in _RESTRICTING and user is not None:
            self.voices.silence(user.id, max(user.muted_until, user.banned_until))
