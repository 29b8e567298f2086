"""From where a request came, as far as proxies that the operator named can tell, and how often it may."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tornado.httputil import HTTPServerRequest

from chatio.accounts.login_throttle import LoginThrottle
from chatio.errors import BadCredentials, ChatioError, InvalidInput
from chatio.throttling.client_ip import client_address, parse_networks, rate_limit_key
from chatio.throttling.rate_limiter import RateLimiter


class Callers:
    """Knows which proxies are believed: addresses and CIDR blocks. ValueError for one that is neither."""

    def __init__(self, trusted_proxies: Iterable[str] = ()) -> None:
        self._trusted = parse_networks(trusted_proxies)

    def address(self, request: HTTPServerRequest) -> str:
        """The caller's own address; X-Forwarded-For counts only as far as trusted proxies have written it."""
        forwarded = request.headers.get("X-Forwarded-For", "")
        return client_address(request.remote_ip or "", forwarded, self._trusted)

    def origin(self, request: HTTPServerRequest) -> str:
        """What the caller is counted as: `address`, or its /64."""
        return rate_limit_key(self.address(request))


class PasswordThrottle:
    """What every door where a password can be guessed asks first. See `chatio.signin`."""

    def __init__(self, callers: Callers, sign_ins: LoginThrottle) -> None:
        self._callers = callers
        self._sign_ins = sign_ins

    @contextmanager
    def attempt(
        self, request: HTTPServerRequest, account: str, *, failure: type[ChatioError] = BadCredentials
    ) -> Iterator[None]:
        """Around the check of a password for `account` (`chatio.users.account_key`); `failure` says it was wrong.

        Raises `RateLimited` before it, when it is not to be checked.
        """
        origin = self._callers.origin(request)
        with self._sign_ins.attempt(account, origin, failure=failure):
            yield


class RegistrationThrottle:
    """Counts registrations by address."""

    def __init__(self, callers: Callers, registrations: RateLimiter) -> None:
        self._callers = callers
        self._registrations = registrations

    @contextmanager
    def attempt(self, request: HTTPServerRequest) -> Iterator[None]:
        """Around a registration. Raises `RateLimited` before it; `InvalidInput` from within is given back.

        So a typo costs nothing, and who asks for addresses that are taken goes on counting.
        """
        origin = self._callers.origin(request)
        self._registrations.acquire(origin)
        try:
            yield
        except InvalidInput:
            self._registrations.refund(origin)
            raise
