"""Metrics of the HTTP requests that were answered."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from tornado.web import RequestHandler

from chatio.errors import (
    BadCredentials,
    Banned,
    BodyTooLarge,
    EmailAlreadyUsed,
    InvalidInput,
    NameTaken,
    Overloaded,
    RateLimited,
    RegistrationClosed,
    ShuttingDown,
    Unforeseen,
    codes,
)
from chatio.telemetry.counters import LabelledCounter
from handlers.http.responses import OK

OTHER: Final = "other"

_OF_ANY_ENDPOINT: Final = (InvalidInput, BodyTooLarge, RateLimited, Overloaded, ShuttingDown, Unforeseen)


class RequestMetrics:
    """Counts the answers. Event loop only.

    Not counted: requests whose client left before the answer, and malformed requests, which Tornado answers.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()  # by route and class of status, e.g. "2xx"
        self.logins = LabelledCounter([OK, *codes(BadCredentials, Banned, *_OF_ANY_ENDPOINT), OTHER])
        self.registrations = LabelledCounter(
            [OK, *codes(EmailAlreadyUsed, NameTaken, RegistrationClosed, *_OF_ANY_ENDPOINT), OTHER]
        )
        self._by_route = {"/login": self.logins, "/register": self.registrations}

    def answered(self, route: str, status: int) -> None:
        """Count an answer of `route`."""
        self.requests[route, f"{status // 100}xx"] += 1

    def count(self, routes: Mapping[type[RequestHandler], str], handler: RequestHandler) -> None:
        """Count the answer of `handler`; `routes` names its route, and a handler that is not in it is "other"."""
        route = routes.get(type(handler), OTHER)
        self.answered(route, handler.get_status())
        outcomes = self._by_route.get(route)
        if outcomes is not None and handler.request.method == "POST":
            outcome = getattr(handler, "outcome", OTHER)
            outcomes[outcome if outcome in outcomes else OTHER] += 1
