"""Guards: which clients may call a handler's method. `handlers.routes` starts no server with an unmarked one."""

import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from chatio.accounts.tokens import Claims, Tokens
from chatio.errors import MissingToken, TokenError

P = ParamSpec("P")
Method = TypeVar("Method", bound=Callable[..., Awaitable[None]])

_MARK = "_guard"


class Guarded(Protocol):
    """What a handler needs so that its methods can be guarded."""

    claims: Claims

    @property
    def tokens(self) -> Tokens: ...
    @property
    def request(self) -> Any: ...
    async def count_request(self, user: str | None = None) -> None:
        """Count the request for `user`, or where that is None for its address. Raises `RateLimited`."""


H = TypeVar("H", bound=Guarded)


def public(method: Method) -> Method:
    """Mark `method` as one that every client may call."""
    setattr(method, _MARK, "public")
    return method


def authenticated(
    method: Callable[Concatenate[H, P], Awaitable[None]],
) -> Callable[Concatenate[H, P], Coroutine[Any, Any, None]]:
    """Require a valid bearer token, whose claims `method` finds in `self.claims`.

    Raises `MissingToken` or another `TokenError` instead of calling `method`. The request counts for the user of
    the token, or, without a valid one, for the address.
    """

    @functools.wraps(method)
    async def guarded(handler: H, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            handler.claims = handler.tokens.verify(bearer_token(handler.request.headers.get("Authorization")))
        except TokenError:
            await handler.count_request()
            raise
        await handler.count_request(handler.claims.subject)
        await method(handler, *args, **kwargs)

    setattr(guarded, _MARK, "authenticated")
    return guarded


def is_marked(method: Callable[..., object]) -> bool:
    return hasattr(method, _MARK)


def is_authenticated(method: object) -> bool:
    return getattr(method, _MARK, None) == "authenticated"


def bearer_token(header: str | None) -> str:
    """The token of an Authorization header (RFC 6750, 2.1; the scheme in any case, RFC 9110, 11.1).

    Raises `MissingToken` when there is none, also when the scheme is another.
    """
    scheme, _, token = (header or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise MissingToken
    return token.strip()
