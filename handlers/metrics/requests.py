"""What became of the requests that were answered, for the metrics."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from tornado.web import RequestHandler

from chatio.errors import (
    BadCredentials,
    BodyTooLarge,
    EmailAlreadyUsed,
    InvalidInput,
    Overloaded,
    RateLimited,
    ShuttingDown,
    Unforeseen,
    codes,
)
from chatio.telemetry.counters import LabelledCounter

OK: Final = "ok"
OTHER: Final = "other"

_OF_ANY_DOOR: Final = (InvalidInput, BodyTooLarge, RateLimited, Overloaded, ShuttingDown, Unforeseen)


class RequestMetrics:
    """Counts the answers. Event loop only.

    A client that has gone before its answer is not counted, nor what Tornado refuses as no HTTP.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()  # by route and class of status, e.g. "2xx"
        self.logins = LabelledCounter([OK, *codes(BadCredentials, *_OF_ANY_DOOR), OTHER])
        self.registrations = LabelledCounter([OK, *codes(EmailAlreadyUsed, *_OF_ANY_DOOR), OTHER])
        self._doors = {"/login": self.logins, "/register": self.registrations}

    def count(self, routes: Mapping[type[RequestHandler], str], handler: RequestHandler) -> None:
        """`handler` has answered; `routes` names its route, and whatever is not in it is "other"."""
        route = routes.get(type(handler), OTHER)
        self.requests[route, f"{handler.get_status() // 100}xx"] += 1
        door = self._doors.get(route)
        if door is not None and handler.request.method == "POST":
            outcome = getattr(handler, "outcome", OTHER)
            door.increment(outcome if outcome in door else OTHER)
