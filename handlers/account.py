"""POST /register, POST /login, GET /user, GET /users/online."""

import logging

from chatio.errors import InvalidInput, RateLimited
from chatio.presence import Presence
from chatio.signin import SignIns
from chatio.throttles import Throttle
from chatio.tokens import Claims, Tokens
from chatio.users import Credentials, Registration, UserRegistry, account_key
from handlers.base import BaseHandler, Requests
from handlers.callers import Callers
from handlers.cors import Cors
from handlers.guard import authenticated, public

logger = logging.getLogger("chatio.http")


class RegisterHandler(BaseHandler):
    def initialize(  # type: ignore[override]
        self, cors: Cors, requests: Requests, registry: UserRegistry, callers: Callers, registrations: Throttle
    ) -> None:
        super().initialize(cors, requests)
        self._registry = registry
        self._callers = callers
        self._registrations = registrations

    @public
    async def post(self) -> None:
        registration = self.body_as(Registration)
        origin = self._callers.origin(self.request)
        try:
            self._registrations.take(origin)
        except RateLimited:
            say_throttled("registration", origin)
            raise
        try:
            await self._registry.register(registration)
        except InvalidInput:  # a typo; but who asks for addresses that are taken goes on counting
            self._registrations.give_back(origin)
            raise
        # The page waits for exactly 201.
        self.answer(201, {"message": "User registered."})


class LoginHandler(BaseHandler):
    def initialize(  # type: ignore[override]
        self,
        cors: Cors,
        requests: Requests,
        registry: UserRegistry,
        tokens: Tokens,
        callers: Callers,
        sign_ins: SignIns,
    ) -> None:
        super().initialize(cors, requests)
        self._registry = registry
        self._tokens = tokens
        self._callers = callers
        self._sign_ins = sign_ins

    @public
    async def post(self) -> None:
        credentials = self.body_as(Credentials)
        origin = self._callers.origin(self.request)
        try:
            with self._sign_ins.attempt(account_key(credentials.email), origin):
                user = await self._registry.authenticate(credentials)
        except RateLimited:
            say_throttled("log-in", origin)
            raise
        token = self._tokens.issue(subject=user.id, name=user.name, email=user.email)
        self.answer(200, {"token": token})


def say_throttled(what: str, origin: str) -> None:
    extra = {"event": "throttled", "what": what, "address": origin}
    logger.info("a %s from %s came too soon", what, origin, extra=extra)


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
