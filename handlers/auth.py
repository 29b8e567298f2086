"""Who may call a handler's method. Each one says so; `handlers.routes` starts no server where one does not."""

import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from chatio.accounts.tokens import Claims, Tokens
from chatio.errors import MissingToken

P = ParamSpec("P")
Method = TypeVar("Method", bound=Callable[..., Awaitable[None]])

_MARK = "_guard"


class Guarded(Protocol):
    """What a handler needs so that its methods can be guarded."""

    tokens: Tokens
    claims: Claims

    @property
    def request(self) -> Any: ...


H = TypeVar("H", bound=Guarded)


def public(method: Method) -> Method:
    """Anybody may call `method`."""
    setattr(method, _MARK, "public")
    return method


def authenticated(
    method: Callable[Concatenate[H, P], Awaitable[None]],
) -> Callable[Concatenate[H, P], Coroutine[Any, Any, None]]:
    """Only who brings a sound token may call `method`, which finds its claims in `self.claims`.

    Raises `MissingToken` or another `TokenError` instead of calling it.
    """

    @functools.wraps(method)
    async def guarded(handler: H, /, *args: P.args, **kwargs: P.kwargs) -> None:
        token = bearer_token(handler.request.headers.get("Authorization"))
        handler.claims = handler.tokens.verify(token)
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
