"""Operations: what each handler's method takes, answers and raises. No server starts with an unmarked method.

The first line of the method's docstring says what the operation does, and the rest explains it; /docs shows both.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from chatio.errors import (
    TOKEN_ERRORS,
    BodyNotJson,
    BodyTooLarge,
    ChatioError,
    ForeignPage,
    InvalidInput,
    RateLimited,
    ShuttingDown,
    Unforeseen,
)
from handlers.http.auth import is_authenticated

Method = TypeVar("Method", bound=Callable[..., Awaitable[None]])
Struct = type[msgspec.Struct]

# Raised by every method, and by every authenticated one.
ALWAYS: Final = (BodyTooLarge, RateLimited, ShuttingDown, Unforeseen)

_MARK = "_operation"


class Undescribed(Exception):
    """A handler's method that is marked neither as an operation nor as unlisted."""


class Operation(NamedTuple):
    """One method: `gives` is the body of the answer `status`, `takes` that of the request, None for none.

    The fields of `query` are the arguments of the query string.
    """

    status: int
    gives: Struct | None
    takes: Struct | None
    query: Struct | None
    raises: Sequence[type[ChatioError]]


def operation(
    status: int,
    gives: Struct | None = None,
    *,
    takes: Struct | None = None,
    query: Struct | None = None,
    raises: Sequence[type[ChatioError]] = (),
) -> Callable[[Method], Method]:
    """Mark a method as part of the API; `raises` adds to what its guard and its input raise.

    Write it below the guard, which passes the mark on.
    """

    def mark(method: Method) -> Method:
        setattr(method, _MARK, Operation(status, gives, takes, query, raises))
        return method

    return mark


def unlisted(method: Method) -> Method:
    """Mark a method as no part of the API: a page, a document, a probe."""
    setattr(method, _MARK, None)
    return method


def operation_of(method: Callable[..., Any]) -> Operation | None:
    """The operation of `method`, with all that it may raise; None for an unlisted one. Raises `Undescribed`."""
    try:
        marked: Operation | None = getattr(method, _MARK)
    except AttributeError:
        raise Undescribed(f"{method.__qualname__} is neither an @operation nor @unlisted") from None
    if marked is None:
        return None
    if not method.__doc__:
        raise Undescribed(f"{method.__qualname__} has no docstring")
    implied = [*ALWAYS, *(TOKEN_ERRORS if is_authenticated(method) else ())]
    if method.__name__ != "get":
        implied.append(ForeignPage)
    if marked.takes:
        implied.append(BodyNotJson)
    if marked.takes or marked.query:
        implied.append(InvalidInput)
    return marked._replace(raises=[*implied, *marked.raises])
