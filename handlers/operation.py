"""What a handler's method takes, answers and raises. Each one says so; no server starts where one does not.

The first line of the method's docstring is what it does, and the rest explains it: both are read by clients.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from chatio.errors import (
    TOKEN_ERRORS,
    BodyTooLarge,
    ChatioError,
    InvalidInput,
    ShuttingDown,
    Unforeseen,
)
from handlers.auth import is_authenticated

Method = TypeVar("Method", bound=Callable[..., Awaitable[None]])
Struct = type[msgspec.Struct]

# What no method has to name.
ALWAYS: Final = (BodyTooLarge, ShuttingDown, Unforeseen)

_MARK = "_described"


class Undescribed(Exception):
    """A handler's method that is neither described nor marked as unlisted."""


class Description(NamedTuple):
    """One method: `gives` is the body of the answer `status`, `takes` that of the request, None for none.

    The fields of `query` are the arguments of the address.
    """

    status: int
    gives: Struct | None
    takes: Struct | None
    query: Struct | None
    raises: Sequence[type[ChatioError]]


def described(
    status: int,
    gives: Struct | None = None,
    *,
    takes: Struct | None = None,
    query: Struct | None = None,
    raises: Sequence[type[ChatioError]] = (),
) -> Callable[[Method], Method]:
    """The method is one for programs; `raises` names what neither its guard nor its input does.

    Stands below the guard, which takes it over.
    """

    def mark(method: Method) -> Method:
        setattr(method, _MARK, Description(status, gives, takes, query, raises))
        return method

    return mark


def unlisted(method: Method) -> Method:
    """The method is none for programs: a page, a document, a probe."""
    setattr(method, _MARK, None)
    return method


def description_of(method: Callable[..., Any]) -> Description | None:
    """All that `method` may answer, what its guard and its input raise included; None for an unlisted one.

    Raises `Undescribed`.
    """
    try:
        description: Description | None = getattr(method, _MARK)
    except AttributeError:
        raise Undescribed(f"{method.__qualname__} is neither @described nor @unlisted") from None
    if description is None:
        return None
    if not method.__doc__:
        raise Undescribed(f"{method.__qualname__} says not what it does")
    implied = [*ALWAYS, *(TOKEN_ERRORS if is_authenticated(method) else ())]
    if description.takes or description.query:
        implied.append(InvalidInput)
    return description._replace(raises=[*implied, *description.raises])
