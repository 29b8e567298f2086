"""GET /users, GET /audit and POST /moderation/...: for moderators and owners.

The role is that of the account now, whatever the age of the token.
"""

from typing import Final

from chatio.errors import (
    STORE_ERRORS,
    MessageDeleted,
    MessageUnknown,
    Overloaded,
    RateLimited,
    RoleRequired,
    StoreUnavailable,
    UserNotFound,
    UserUnknown,
)
from chatio.moderation.personal_data import ending, entry_of
from chatio.stores.accounts import User
from handlers.http.auth import authenticated
from handlers.http.base import BaseHandler
from handlers.http.operation import operation
from handlers.http.responses import AuditEntry, AuditPage, ModeratedUser, UserPage
from handlers.rest.bodies import AuditQuery, Ban, Deletion, Kick, Lift, Mute, RoleChange, UserQuery

_OF_ACTS: Final = (RoleRequired, UserUnknown, UserNotFound, RateLimited, Overloaded, *STORE_ERRORS)
_OF_DELETIONS: Final = (
    *(RoleRequired, UserUnknown, MessageUnknown, MessageDeleted, RateLimited, Overloaded),
    *STORE_ERRORS,
)
_OF_LISTS: Final = (RoleRequired, UserUnknown, StoreUnavailable)


class _ModerationHandler(BaseHandler):
    tag = "Moderation"

    def answer_user(self, user: User) -> None:
        self.answer(200, _as_moderated(user))


class UsersHandler(BaseHandler):
    tag = "Moderation"

    @authenticated
    @operation(200, UserPage, query=UserQuery, raises=_OF_LISTS)
    async def get(self) -> None:
        """List users whose name has `query` in it, for moderators, in a fixed order.

        `after` of the answer is the value for the next page; null after the last one.
        """
        await self.services.moderation.actor(self.claims.subject, "moderator")
        query = self.query_as(UserQuery)
        users = await self.services.registry.find(query.query, after=query.after, limit=query.limit)
        after = users[-1].name_key if len(users) == query.limit else None
        self.answer(200, UserPage([_as_moderated(user) for user in users], after))


class AuditHandler(BaseHandler):
    tag = "Moderation"

    @authenticated
    @operation(200, AuditPage, query=AuditQuery, raises=_OF_LISTS)
    async def get(self) -> None:
        """List acts of moderation for owners: those before the number `before`, or the newest, newest first.

        `before` of the answer is the number to ask for next; null where nothing is older.
        """
        await self.services.moderation.actor(self.claims.subject, "owner")
        query, store = self.query_as(AuditQuery), self.services.moderation.store
        newest = await store.last_number()
        end = newest if query.before is None else min(query.before - 1, newest)
        start = max(end - query.limit, 0)
        acts = await store.acts(start, limit=end - start) if end > start else []
        # In memory the oldest are gone: then there are later ones in their place.
        entries = [AuditEntry(number=number, **entry_of(act)) for number, act in reversed(acts) if number <= end]
        oldest = entries[-1].number if entries else 1
        self.answer(200, AuditPage(entries, oldest if oldest > 1 and len(entries) == query.limit else None))


class MuteHandler(_ModerationHandler):
    @authenticated
    @operation(200, ModeratedUser, takes=Mute, raises=_OF_ACTS)
    async def post(self) -> None:
        """Mute a member for a time: they may read, and not write."""
        body = self.body_as(Mute)
        act = self.services.moderation.mute
        self.answer_user(await act(self.claims.subject, body.user_id, body.seconds, body.reason))


class KickHandler(_ModerationHandler):
    @authenticated
    @operation(200, ModeratedUser, takes=Kick, raises=_OF_ACTS)
    async def post(self) -> None:
        """End every session of a member, who may log in again."""
        body = self.body_as(Kick)
        self.answer_user(await self.services.moderation.kick(self.claims.subject, body.user_id, body.reason))


class BanHandler(_ModerationHandler):
    @authenticated
    @operation(200, ModeratedUser, takes=Ban, raises=_OF_ACTS)
    async def post(self) -> None:
        """Ban the account of a member, for a time or without an end: its sessions end, and logins are refused."""
        body = self.body_as(Ban)
        act = self.services.moderation.ban
        self.answer_user(await act(self.claims.subject, body.user_id, body.seconds, body.reason))


class LiftHandler(_ModerationHandler):
    @authenticated
    @operation(200, ModeratedUser, takes=Lift, raises=_OF_ACTS)
    async def post(self) -> None:
        """Lift a mute or a ban."""
        body = self.body_as(Lift)
        act = self.services.moderation.lift
        self.answer_user(await act(self.claims.subject, body.user_id, body.sanction, body.reason))


class DeleteHandler(_ModerationHandler):
    @authenticated
    @operation(204, takes=Deletion, raises=_OF_DELETIONS)
    async def post(self) -> None:
        """Delete a message of any user, for good."""
        body = self.body_as(Deletion)
        await self.services.deletions.delete_one(self.claims.subject, body.message_id, body.reason)
        self.set_status(204)
        self.finish()


class RoleHandler(_ModerationHandler):
    @authenticated
    @operation(200, ModeratedUser, takes=RoleChange, raises=_OF_ACTS)
    async def post(self) -> None:
        """Give a user another role; for owners, on users who are not owners."""
        body = self.body_as(RoleChange)
        act = self.services.moderation.set_role
        self.answer_user(await act(self.claims.subject, body.user_id, body.role, body.reason))


def _as_moderated(user: User) -> ModeratedUser:
    return ModeratedUser(user.id, user.name, user.role, ending(user.banned_until), ending(user.muted_until))
