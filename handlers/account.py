"""POST /register, POST /login, GET /user, GET /users/online."""

from chatio.presence import Presence
from chatio.tokens import Claims, Tokens
from chatio.users import Credentials, Registration, UserRegistry
from handlers.base import BaseHandler
from handlers.cors import Cors
from handlers.guard import authenticated, public
from handlers.requests import Requests


class RegisterHandler(BaseHandler):
    is_for_newcomers = True

    def initialize(self, cors: Cors, requests: Requests, registry: UserRegistry) -> None:  # type: ignore[override]
        super().initialize(cors, requests)
        self._registry = registry

    @public
    async def post(self) -> None:
        await self._registry.register(self.body_as(Registration))
        # The page waits for exactly 201.
        self.answer(201, {"message": "User registered."})


class LoginHandler(BaseHandler):
    is_for_newcomers = True

    def initialize(  # type: ignore[override]
        self, cors: Cors, requests: Requests, registry: UserRegistry, tokens: Tokens
    ) -> None:
        super().initialize(cors, requests)
        self._registry = registry
        self._tokens = tokens

    @public
    async def post(self) -> None:
        user = await self._registry.authenticate(self.body_as(Credentials))
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
