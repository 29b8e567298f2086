"""Call the application's handlers, once each, whatever their signature.

The library calls a handler, and if that raises TypeError calls it again with fewer arguments: a handler with
a bug of its own runs twice. Here the signature decides beforehand.
"""

import asyncio
import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from chatio.realtime.library import SocketIONamespace
from chatio.realtime.log import report

INTERNAL_ERROR: Final = "Internal server error"  # what a client is told of a failed handler


class Handlers(NamedTuple):
    """The application's handlers, in the library's own registers."""

    functions: dict[str, dict[str, Callable[..., Any]]]  # by namespace and event
    namespaces: dict[str, Any]  # class-based, by name
    open_namespaces: Collection[str]  # that need no handler
    not_handled: object

    def serves(self, namespace: str) -> bool:
        return any(namespace in known for known in (self.namespaces, self.functions, self.open_namespaces))

    async def call(self, event: str, namespace: str, *args: Any) -> Any:
        """The result of an event's handler, or `not_handled`. Raises what the handler raises."""
        handler = self.functions.get(namespace, {}).get(event)
        if handler is None:
            instance = self.namespaces.get(namespace)
            if instance is not None and type(instance).trigger_event is not SocketIONamespace.trigger_event:
                return await instance.trigger_event(event, *args)  # the namespace dispatches by rules of its own
            handler = getattr(instance, f"on_{event}", None)
            if handler is None:
                return self.not_handled
        if event in ("connect", "disconnect"):
            try:
                inspect.signature(handler).bind(*args)
            except TypeError:
                args = args[:-1]  # connect may do without auth, disconnect without a reason
        result = handler(*args)
        return await result if inspect.isawaitable(result) else result


@dataclass(slots=True)
class Reported:
    """Ends its block at an exception of the application, which it reports. A cancelled task ends as such."""

    what: str
    reference: str | None = None  # of the log line, once there is one

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        is_failure = isinstance(error, Exception)
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            is_failure = task is None or not task.cancelling()
        if error is not None and is_failure:
            self.reference = report(self.what, error)
        return is_failure
