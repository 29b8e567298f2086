"""Call the application's handlers, once each, whatever their signature.

The library calls a handler, and if that raises TypeError calls it again with fewer arguments: a handler with
a bug of its own runs twice. Here the signature decides beforehand.
"""

import asyncio
import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

INTERNAL_ERROR: Final = "Internal server error"  # what a client is told of a failed handler


async def invoke(handler: Callable[..., Any], args: tuple[Any, ...], *, optional: bool = False) -> Any:
    """Return `handler(*args)`, awaited if it is awaitable.

    `optional`: leave the last argument out if the handler takes one fewer.
    """
    if optional and not takes(handler, len(args)) and takes(handler, len(args) - 1):
        args = args[:-1]
    result = handler(*args)
    return await result if inspect.isawaitable(result) else result


@lru_cache(maxsize=256)
def takes(handler: Callable[..., Any], count: int) -> bool:
    """Whether `handler` can be called with `count` positional arguments."""
    try:
        inspect.signature(handler).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


def raise_if_cancelled(error: BaseException) -> None:
    """A cancelled task ends; a handler that merely awaited something cancelled has failed."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
