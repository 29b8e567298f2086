"""For users, on themselves: /user and its password, reset, sessions; /logout."""

from typing import Final

from chatio.accounts import password_rules
from chatio.accounts.users import account_key
from chatio.chat.socket_sessions import EndReason
from chatio.errors import (
    STORE_ERRORS,
    FieldError,
    InvalidInput,
    Overloaded,
    PasswordReplaced,
    RateLimited,
    ResetCodeInvalid,
    StoreUnavailable,
    UserUnknown,
    WrongPassword,
)
from chatio.stores.accounts import Ended, User
from handlers.http.auth import authenticated, public
from handlers.http.base import BaseHandler
from handlers.http.operation import operation
from handlers.http.responses import UserResponse
from handlers.rest.bodies import Confirmation, PasswordChange, PasswordReset, RemovalQuery

# What an endpoint that asks for the password again raises.
_WHEN_CONFIRMING: Final = (UserUnknown, WrongPassword, PasswordReplaced, RateLimited, Overloaded, *STORE_ERRORS)


class _LoggedInHandler(BaseHandler):
    tag = "Account"

    async def confirmed(self, password: str) -> User:
        """The user of the token, if `password` is theirs. The one place of these endpoints to guess passwords at.

        Raises `UserUnknown`, `WrongPassword`, `RateLimited` and `Overloaded`, also when no token can be revoked.
        """
        self.tokens.require_capacity(self.claims.subject)
        user = await self.services.registry.get(self.claims.subject)
        with self.services.logins.attempt(user.email_key, self.rate_limit_key, failure=WrongPassword) as is_known:
            await self.services.registry.confirm(user, password, is_known=is_known)
        return user

    async def keep_end(self, user: User, reason: EndReason) -> None:
        """Make durable that the tokens which `user` has now end, before what they must not outlive is done.

        If that fails, all is as before, but for a restart and for other servers, which log the user out.
        """
        await self.services.revocations.add(self.tokens.ending_all(user.id), reason)

    async def end_all(self, user: User, reason: EndReason) -> None:
        """End every token of `user`, also of logins since `keep_end`, which knew the old password."""
        ended = self.tokens.end(self.tokens.ending_all(user.id))
        await self.services.end_sockets(user.id, reason)
        await self.services.revocations.add(ended, reason)

    async def log_out(self, ended: Ended) -> None:
        """End the tokens that `ended` names, and answer 204."""
        # First: a log-out that fails can be tried again.
        await self.services.revocations.add(ended, EndReason.SIGNED_OUT)
        self.tokens.end(ended)
        await self.services.end_sockets(self.claims.subject, EndReason.SIGNED_OUT)
        self.answer_nothing()


class LogoutHandler(_LoggedInHandler):
    @authenticated
    @operation(204, raises=[Overloaded, RateLimited, *STORE_ERRORS])
    async def post(self) -> None:
        """Log out here: revoke this token, and end its sockets."""
        await self.log_out(self.tokens.ending(self.claims))


class SessionsHandler(_LoggedInHandler):
    @authenticated
    @operation(204, raises=[Overloaded, *STORE_ERRORS])
    async def delete(self) -> None:
        """Log out everywhere: revoke every token of the user, and end all their sockets."""
        self.tokens.require_capacity(self.claims.subject)
        await self.log_out(self.tokens.ending_all(self.claims.subject))


class PasswordHandler(_LoggedInHandler):
    work_steps = 500

    @authenticated
    @operation(204, takes=PasswordChange, raises=_WHEN_CONFIRMING)
    async def post(self) -> None:
        """Change the password, and revoke every token: all devices are logged out."""
        body = self.body_as(PasswordChange)
        if fault := password_rules.fault_of(body.new_password, name=self.claims.name, email=self.claims.email):
            raise InvalidInput(FieldError("new_password", fault))
        user = await self.confirmed(body.old_password)
        await self.keep_end(user, EndReason.PASSWORD_CHANGED)
        await self.services.registry.change_password(user, body.new_password)
        await self.end_all(user, EndReason.PASSWORD_CHANGED)
        self.answer_nothing()


class ResetHandler(_LoggedInHandler):
    work_steps = 700

    @public
    @operation(
        204,
        takes=PasswordReset,
        raises=[ResetCodeInvalid, PasswordReplaced, RateLimited, Overloaded, *STORE_ERRORS],
    )
    async def post(self) -> None:
        """Set a new password with a one-time code of the operator, and revoke every token."""
        body, registry = self.body_as(PasswordReset), self.services.registry
        account = account_key(body.email)
        with self.services.logins.attempt(account, self.rate_limit_key, failure=ResetCodeInvalid):
            user = await registry.get_by_code(body.email, body.code)
            if fault := password_rules.fault_of(body.new_password, name=user.name, email=user.email):
                raise InvalidInput(FieldError("new_password", fault))
            self.tokens.require_capacity(user.id)
            await self.keep_end(user, EndReason.PASSWORD_CHANGED)
            await registry.change_password(user, body.new_password)
        await self.end_all(user, EndReason.PASSWORD_CHANGED)
        self.answer_nothing()


class UserHandler(_LoggedInHandler):
    @authenticated
    @operation(200, UserResponse, raises=[UserUnknown, StoreUnavailable])
    async def get(self) -> None:
        """Show the user who is logged in."""
        user = await self.services.registry.get(self.claims.subject)
        self.answer(200, UserResponse(user.id, user.name, user.email, user.role))

    @authenticated
    @operation(204, takes=Confirmation, query=RemovalQuery, raises=_WHEN_CONFIRMING)
    async def delete(self) -> None:
        """Delete the account of the user who is logged in, and their messages if asked for.

        With many messages the answer takes a while: 200 are deleted in a second.
        """
        body, query = self.body_as(Confirmation), self.query_as(RemovalQuery)
        user = await self.confirmed(body.password)
        takes_messages = "delete" in (body.messages, query.messages)
        if takes_messages:  # first: as long as some are there, the user can ask for it again
            await self.services.deletions.delete_all_of(user)
        await self.keep_end(user, EndReason.ACCOUNT_DELETED)
        await self.services.registry.remove(user)
        self.services.moderation.enforcement.silence_removed(user.id)
        self.services.logins.forget(user.email_key)
        await self.end_all(user, EndReason.ACCOUNT_DELETED)
        if takes_messages:  # those written meanwhile
            await self.services.deletions.delete_all_of(user)
        self.answer_nothing()
