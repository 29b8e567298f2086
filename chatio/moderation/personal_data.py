"""Personal data: all that the server keeps of one user, as JSON.

Not in it: the hash of the password, and the ids of ended tokens, which say nothing of the user.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from chatio.accounts.login_throttle import LoginThrottle
from chatio.log.shared_log import SharedLog
from chatio.moderation.moderation import until_text
from chatio.stores.accounts import User
from chatio.stores.moderation import Act, ModerationStore

READ_AT_ONCE: Final = 1000
PIECE_BYTES: Final = 64 * 1024  # or one message more


def account_of(user: User) -> dict[str, Any]:
    """The account of `user`, as its owner and the operator see it."""
    return {
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "role": user.role,
        "banned_until": ending(user.banned_until),
        "muted_until": ending(user.muted_until),
    }


def entry_of(act: Act) -> dict[str, Any]:
    """An act, as owners, the operator and the users of the act read it."""
    return msgspec.structs.asdict(act) | {"until": ending(act.until)}


def ending(until: float) -> str | None:
    """When a ban or a mute ends: a time, "never", or None if there is none."""
    return (until_text(until) or "never") if until else None


async def personal_data(
    user: User, logins: LoginThrottle, log: SharedLog, store: ModerationStore
) -> AsyncIterator[bytes]:
    """The pieces of one JSON object: the account, known addresses, acts that name the user, the user's messages.

    It reads the log as it is now, in portions: neither the whole of it nor the whole answer is ever in memory.
    Raises `StoreUnavailable`, maybe after some pieces.
    """
    encode = msgspec.json.encode
    yield b'{"user":' + encode(account_of(user))
    yield b',"addresses":' + encode(logins.addresses_of(user.email_key)) + b',"audit":['
    separator = b""
    async for act in _acts_of(user, store):
        yield separator + encode(entry_of(act))
        separator = b","
    yield b'],"messages":['
    piece, separator = bytearray(), b""
    async for entries in log.all_by_author(user.id):
        for entry in entries:
            piece += separator + encode(msgspec.to_builtins(entry.message) | {"offset": entry.offset})
            separator = b","
            if len(piece) >= PIECE_BYTES:
                yield bytes(piece)
                piece.clear()
    yield bytes(piece) + b"]}"


async def _acts_of(user: User, store: ModerationStore) -> AsyncIterator[Act]:
    after = 0
    while acts := await store.acts(after, limit=READ_AT_ONCE):
        for after, act in acts:  # noqa: B007 - the last number goes on
            if user.id in (act.actor_id, act.user_id):
                yield act
