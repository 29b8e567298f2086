"""POST /register, POST /login, GET /user, GET /users/online."""

from chatio.presence import Presence
from chatio.tokens import Claims, Tokens
from chatio.users import Credentials, Registration, UserRegistry, account_key
from handlers.base import BaseHandler, Requests
from handlers.callers import PasswordDoor, RegistrationDoor
from handlers.cors import Cors
from handlers.guard import authenticated, public


class RegisterHandler(BaseHandler):
    def initialize(  # type: ignore[override]
        self, cors: Cors, requests: Requests, registry: UserRegistry, door: RegistrationDoor
    ) -> None:
        super().initialize(cors, requests)
        self._registry = registry
        self._door = door

    @public
    async def post(self) -> None:
        registration = self.body_as(Registration)
        with self._door.attempt(self.request):
            await self._registry.register(registration)
        # The page waits for exactly 201.
        self.answer(201, {"message": "User registered."})


class LoginHandler(BaseHandler):
    def initialize(  # type: ignore[override]
        self, cors: Cors, requests: Requests, registry: UserRegistry, tokens: Tokens, door: PasswordDoor
    ) -> None:
        super().initialize(cors, requests)
        self._registry = registry
        self._tokens = tokens
        self._door = door

    @public
    async def post(self) -> None:
        credentials = self.body_as(Credentials)
        with self._door.attempt(self.request, account_key(credentials.email)):
            user = await self._registry.authenticate(credentials)
        token = self._tokens.issue(subject=user.id, name=user.name, email=user.email)
        self.answer(200, {"token": token})


class OnlineHandler(BaseHandler):
    """GET /users/online: the one full list, on request."""

    tokens: Tokens
    claims: Claims

    def initialize(  # type: ignore[override]
        self, cors: Cors, requests: Requests, tokens: Tokens, presence: Presence
    ) -> None:
        super().initialize(cors, requests)
        self.tokens = tokens
        self._presence = presence

    @authenticated
    async def get(self) -> None:
        self.answer(200, {"online": len(self._presence), "users": self._presence.online()})


class UserHandler(BaseHandler):
    tokens: Tokens
    claims: Claims

    def initialize(  # type: ignore[override]
        self, cors: Cors, requests: Requests, registry: UserRegistry, tokens: Tokens
    ) -> None:
        super().initialize(cors, requests)
        self._registry = registry
        self.tokens = tokens

    @authenticated
    async def get(self) -> None:
        user = await self._registry.get(self.claims.subject)
        self.answer(200, {"id": user.id, "name": user.name, "email": user.email})
