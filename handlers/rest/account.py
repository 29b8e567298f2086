"""POST /register and POST /login."""

from chatio.accounts.users import account_key
from chatio.errors import (
    STORE_ERRORS,
    BadCredentials,
    Banned,
    EmailAlreadyUsed,
    InvalidInput,
    NameTaken,
    Overloaded,
    RateLimited,
    RegistrationClosed,
    TokenRevoked,
)
from handlers.http.auth import public
from handlers.http.base import BaseHandler
from handlers.http.operation import operation
from handlers.http.responses import MessageResponse, TokenResponse
from handlers.rest.bodies import Credentials, Registration


class RegisterHandler(BaseHandler):
    tag = "Account"
    sheds_load = True
    work_steps = 1000  # names, addresses and passwords of the worst kind take 3 ms to judge

    @public
    @operation(
        201,
        MessageResponse,
        takes=Registration,
        raises=[RegistrationClosed, EmailAlreadyUsed, NameTaken, RateLimited, Overloaded, *STORE_ERRORS],
    )
    async def post(self) -> None:
        """Create an account."""
        if not self.services.is_registration_open:
            raise RegistrationClosed
        body, limit = self.body_as(Registration), self.services.registrations
        limit.acquire(self.rate_limit_key)
        try:
            user = await self.services.registry.register(body.name, body.email, body.password)
        except InvalidInput:  # a typo costs nothing; a client that tries addresses that are taken still counts
            limit.refund(self.rate_limit_key)
            raise
        if user.muted_until or user.banned_until:
            await self.services.moderation.take_over(user)
        # The page waits for exactly 201.
        self.answer(201, MessageResponse("User registered."))


class LoginHandler(BaseHandler):
    tag = "Account"
    sheds_load = True
    work_steps = 500  # an address may take 1.1 ms to parse

    @public
    @operation(
        200,
        TokenResponse,
        takes=Credentials,
        raises=[BadCredentials, Banned, RateLimited, Overloaded, *STORE_ERRORS],
    )
    async def post(self) -> None:
        """Log in: a token for an e-mail address and its password.

        A wrong password and an address without an account have the same answer.
        """
        body = self.body_as(Credentials)
        # Taken before the password is checked: what revokes the user's tokens from here on revokes this one too.
        as_of = self.tokens.moment()
        with self.services.logins.attempt(account_key(body.email), self.rate_limit_key) as is_known:
            user = await self.services.registry.authenticate(body.email, body.password, is_known=is_known)
            try:
                token = self.tokens.issue(subject=user.id, name=user.name, email=user.email, as_of=as_of)
            except TokenRevoked:  # the password was changed, or the account deleted, meanwhile
                raise BadCredentials from None
        self.answer(200, TokenResponse(token))
