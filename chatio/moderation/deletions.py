"""Deletions of messages that their author does not make one by one: by a moderator, or with an account."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final

from chatio.chat.changes import MessageChanges
from chatio.errors import MessageDeleted, MessageUnknown, StoreUnavailable
from chatio.log.message_log import Entry
from chatio.log.shared_log import SharedLog
from chatio.log.waiting import Unanswered
from chatio.moderation.enforcement import SETTLE_SECONDS
from chatio.moderation.moderation import Moderation
from chatio.stores.accounts import User

# Each deletion is an entry that every client receives: 200 in a second do not push the messages of other users out
# of the window within a minute.
DELETED_AT_ONCE: Final = 20
PAUSE_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Deletions:
    """Event loop only."""

    log: SharedLog
    changes: MessageChanges
    moderation: Moderation
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # of users whose messages are deleted

    async def delete_one(self, by: str, message_id: str, reason: str) -> None:
        """Delete a message of any user, for the moderator with the id `by`; returns when it is gone.

        Raises `MessageUnknown`, `MessageDeleted`, and what the acts of `Moderation` raise.
        """
        actor = await self.moderation.actor(by, "moderator")
        self.moderation.rate.acquire(by)
        message = await self.log.find_message(message_id)
        if message is None:
            raise MessageUnknown
        author = (message.author_id, message.author_name)
        await self.moderation.note(actor, "delete_message", author, reason, message.id)
        await _done(await self.changes.delete({"id": message.id}, by=by, is_moderator=True))

    async def delete_all_of(self, user: User) -> None:
        """Delete every message of `user` that was accepted, at a pace; returns when they are gone.

        Raises `StoreUnavailable`, `StoreFull` and `Overloaded`; then some are gone, and a repeat deletes the rest.
        """
        async with self._turn:
            await self.log.settle(SETTLE_SECONDS)
            async for entries in self.log.all_by_author(user.id):
                for start in range(0, len(entries), DELETED_AT_ONCE):
                    await asyncio.gather(*map(self._delete, entries[start : start + DELETED_AT_ONCE]))
                    await asyncio.sleep(PAUSE_SECONDS)

    async def _delete(self, entry: Entry) -> None:
        message = entry.message
        with contextlib.suppress(MessageDeleted, MessageUnknown):  # meanwhile, by the author or by age
            await _done(await self.changes.delete({"id": message.id}, by=message.author_id, is_moderator=True))


async def _done(deleting: "asyncio.Future[Entry]") -> None:
    try:
        await deleting
    except Unanswered:
        raise StoreUnavailable from None
