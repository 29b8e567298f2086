"""POST /register, POST /login, GET /users/online."""

from chatio.accounts.tokens import Claims, Tokens
from chatio.accounts.users import Credentials, Registration, UserRegistry, account_key
from chatio.chat.presence import Presence
from chatio.errors import BadCredentials, EmailAlreadyUsed, Overloaded, RateLimited, TokenRevoked
from chatio.server.in_flight import InFlightRequests
from handlers.auth import authenticated, public
from handlers.base import BaseHandler
from handlers.client import PasswordThrottle, RegistrationThrottle
from handlers.cors import Cors
from handlers.operation import described
from handlers.responses import MessageResponse, OnlinePeople, TokenResponse


class RegisterHandler(BaseHandler):
    is_for_newcomers = True

    def initialize(  # type: ignore[override]
        self, cors: Cors, requests: InFlightRequests, registry: UserRegistry, door: RegistrationThrottle
    ) -> None:
        super().initialize(cors, requests)
        self._registry = registry
        self._door = door

    @public
    @described(201, MessageResponse, takes=Registration, raises=[EmailAlreadyUsed, RateLimited, Overloaded])
    async def post(self) -> None:
        """Make an account."""
        registration = self.body_as(Registration)
        with self._door.attempt(self.request):
            await self._registry.register(registration)
        # The page waits for exactly 201.
        self.answer(201, MessageResponse("User registered."))


class LoginHandler(BaseHandler):
    is_for_newcomers = True

    def initialize(  # type: ignore[override]
        self,
        cors: Cors,
        requests: InFlightRequests,
        registry: UserRegistry,
        tokens: Tokens,
        door: PasswordThrottle,
    ) -> None:
        super().initialize(cors, requests)
        self._registry = registry
        self._tokens = tokens
        self._door = door

    @public
    @described(200, TokenResponse, takes=Credentials, raises=[BadCredentials, RateLimited, Overloaded])
    async def post(self) -> None:
        """Sign in: the token for an e-mail address and its password.

        A wrong password and an address that nobody has are answered alike.
        """
        credentials = self.body_as(Credentials)
        as_of = (
            self._tokens.moment()
        )  # before the password is looked up: what ends tokens since then ends this one
        with self._door.attempt(self.request, account_key(credentials.email)):
            user = await self._registry.authenticate(credentials)
            try:
                token = self._tokens.issue(subject=user.id, name=user.name, email=user.email, as_of=as_of)
            except TokenRevoked:  # the password was changed, or the account deleted, meanwhile
                raise BadCredentials from None
        self.answer(200, TokenResponse(token))


class OnlineHandler(BaseHandler):
    tokens: Tokens
    claims: Claims

    def initialize(  # type: ignore[override]
        self, cors: Cors, requests: InFlightRequests, tokens: Tokens, presence: Presence
    ) -> None:
        super().initialize(cors, requests)
        self.tokens = tokens
        self._presence = presence

    @authenticated
    @described(200, OnlinePeople)
    async def get(self) -> None:
        """Who is online: the one full list, on request."""
        self.answer(200, OnlinePeople(len(self._presence), self._presence.online()))
