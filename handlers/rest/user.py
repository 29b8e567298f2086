"""GET /user, DELETE /user, POST /user/password, POST /logout: what somebody who is signed in does about it."""

from collections.abc import Awaitable, Callable
from typing import Final

from chatio.accounts.tokens import Claims, Tokens
from chatio.accounts.users import Confirmation, PasswordChange, UserRegistry
from chatio.chat.socket_sessions import Reason
from chatio.errors import Overloaded, PasswordReplaced, RateLimited, UserUnknown, WrongPassword
from chatio.server.in_flight import InFlightRequests
from chatio.stores.base import User
from handlers.auth import authenticated
from handlers.base import BaseHandler
from handlers.client import PasswordThrottle
from handlers.cors import Cors
from handlers.operation import described
from handlers.responses import UserResponse

# What a door that asks for the password again raises.
_OF_CONFIRMING: Final = (UserUnknown, WrongPassword, PasswordReplaced, RateLimited, Overloaded)

EndSockets = Callable[[str, Reason], Awaitable[None]]  # those of a person whose tokens were just ended


class _SignedInHandler(BaseHandler):
    tokens: Tokens
    claims: Claims

    def initialize(  # type: ignore[override]
        self,
        cors: Cors,
        requests: InFlightRequests,
        registry: UserRegistry,
        tokens: Tokens,
        door: PasswordThrottle,
        end_sockets: EndSockets,
    ) -> None:
        super().initialize(cors, requests)
        self.registry = registry
        self.tokens = tokens
        self._door = door
        self._end_sockets = end_sockets

    async def confirmed(self, password: str) -> User:
        """Who is signed in, if this is their password. The one place of these doors where one can be guessed.

        Raises `UserUnknown`, `WrongPassword`, `RateLimited` and `Overloaded`, also when no token can be ended.
        """
        self.tokens.require_room(self.claims.subject)
        user = await self.registry.get(self.claims.subject)
        with self._door.attempt(self.request, user.email_key, failure=WrongPassword):
            await self.registry.confirm(user, password)
        return user

    async def answer_ended(self, reason: Reason) -> None:
        """End the sockets whose tokens have been ended, and say that it is done."""
        await self._end_sockets(self.claims.subject, reason)
        self.set_status(204)
        self.finish()


class LogoutHandler(_SignedInHandler):
    @authenticated
    @described(204, raises=[Overloaded])
    async def post(self) -> None:
        """End this token, here and on every socket."""
        self.tokens.revoke(self.claims)
        await self.answer_ended(Reason.SIGNED_OUT)


class PasswordHandler(_SignedInHandler):
    @authenticated
    @described(204, takes=PasswordChange, raises=_OF_CONFIRMING)
    async def post(self) -> None:
        """Change the password, and end all tokens: whoever had the old one is out."""
        change = self.body_as(PasswordChange)
        change.check()
        user = await self.confirmed(change.old_password)
        await self.registry.change_password(user, change.new_password)
        self.tokens.revoke_all(user.id)
        await self.answer_ended(Reason.PASSWORD_CHANGED)


class UserHandler(_SignedInHandler):
    @authenticated
    @described(200, UserResponse, raises=[UserUnknown])
    async def get(self) -> None:
        """Who is signed in."""
        user = await self.registry.get(self.claims.subject)
        self.answer(200, UserResponse(user.id, user.name, user.email))

    @authenticated
    @described(204, takes=Confirmation, raises=_OF_CONFIRMING)
    async def delete(self) -> None:
        """Forget who is signed in; what they have said stays."""
        user = await self.confirmed(self.body_as(Confirmation).password)
        await self.registry.remove(user)
        self.tokens.revoke_all(user.id)
        await self.answer_ended(Reason.ACCOUNT_DELETED)
