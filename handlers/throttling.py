"""Rate limits of the REST endpoints: guesses of passwords, and registrations."""

from collections.abc import Iterator
from contextlib import contextmanager

from tornado.httputil import HTTPServerRequest

from chatio.accounts.login_throttle import LoginThrottle
from chatio.errors import BadCredentials, ChatioError, InvalidInput
from chatio.throttling.rate_limiter import RateLimiter
from handlers.client import ClientAddresses


class PasswordThrottle:
    """Limits attempts at every endpoint that checks a password. Rules: chatio/accounts/login_throttle.py."""

    def __init__(self, clients: ClientAddresses, logins: LoginThrottle) -> None:
        self._clients = clients
        self._logins = logins

    @contextmanager
    def attempt(
        self, request: HTTPServerRequest, account: str, *, failure: type[ChatioError] = BadCredentials
    ) -> Iterator[None]:
        """Wrap the check of a password for `account` (an `account_key`), which raises `failure` if it is wrong.

        Raises `RateLimited` before the check, instead of it.
        """
        with self._logins.attempt(account, self._clients.rate_limit_key(request), failure=failure):
            yield


class RegistrationThrottle:
    """Limits the registrations per client address."""

    def __init__(self, clients: ClientAddresses, registrations: RateLimiter) -> None:
        self._clients = clients
        self._registrations = registrations

    @contextmanager
    def attempt(self, request: HTTPServerRequest) -> Iterator[None]:
        """Wrap a registration. Raises `RateLimited` before it; one that raises `InvalidInput` is refunded.

        So a typo costs nothing, and a client that tries e-mail addresses that are taken still counts.
        """
        key = self._clients.rate_limit_key(request)
        self._registrations.acquire(key)
        try:
            yield
        except InvalidInput:
            self._registrations.refund(key)
            raise
