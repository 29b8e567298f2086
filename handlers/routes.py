"""The whole URL table."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from tornado.web import Application, RequestHandler

from chatio.accounts.tokens import Tokens
from chatio.accounts.users import UserRegistry
from chatio.chat.message_log import MessageLog
from chatio.chat.presence import Presence
from chatio.server.in_flight import InFlightRequests
from handlers.auth import is_marked
from handlers.base import BaseHandler, NotFoundHandler
from handlers.client import PasswordThrottle, RegistrationThrottle
from handlers.cors import Cors
from handlers.docs.endpoint import DocumentHandler, make_documents
from handlers.metrics.requests import RequestMetrics
from handlers.rest.account import LoginHandler, OnlineHandler, RegisterHandler
from handlers.rest.health import HealthHandler, ReadinessChecks, ReadyHandler
from handlers.rest.messages import MessagesHandler
from handlers.rest.page import Page, PageHandler
from handlers.rest.user import EndSockets, LogoutHandler, PasswordHandler, UserHandler


class Route(NamedTuple):
    pattern: str
    handler: type[BaseHandler]
    needs: dict[str, Any]

    @property
    def name(self) -> str:
        return self.pattern.removesuffix("/?")


class UnguardedMethod(Exception):
    """A handler's method that is neither guarded nor marked public."""


def make_application(
    *,
    cors: Cors,
    requests: InFlightRequests,
    registry: UserRegistry,
    tokens: Tokens,
    log: MessageLog,
    presence: Presence | None,
    asyncapi: dict[str, Any],
    page: Page | None,
    end_sockets: EndSockets,
    password_throttle: PasswordThrottle,
    registration_throttle: RegistrationThrottle,
    socket_handler: type[RequestHandler],
    outcomes: RequestMetrics,
    readiness: ReadinessChecks,
) -> Application:
    """The application, every door in its place, and the documents of them; `asyncapi` is that of the chat.

    Raises `UnguardedMethod` for a door left open by mistake, `Undescribed` for one that no document would tell of.
    """
    common: dict[str, Any] = {"cors": cors, "requests": requests}
    signed_in: dict[str, Any] = {
        "registry": registry,
        "tokens": tokens,
        "door": password_throttle,
        "end_sockets": end_sockets,
    }
    # As on the original (Express), a slash at the end makes no difference.
    routes = [
        Route(r"/register/?", RegisterHandler, {"registry": registry, "door": registration_throttle}),
        Route(r"/login/?", LoginHandler, {"registry": registry, "tokens": tokens, "door": password_throttle}),
        Route(r"/logout/?", LogoutHandler, signed_in),
        Route(r"/user/?", UserHandler, signed_in),
        Route(r"/user/password/?", PasswordHandler, signed_in),
        Route(r"/messages/?", MessagesHandler, {"tokens": tokens, "log": log}),
        Route(r"/healthz/?", HealthHandler, {}),
        Route(r"/readyz/?", ReadyHandler, {"checks": readiness}),
    ]
    if presence is not None:
        routes.append(Route(r"/users/online/?", OnlineHandler, {"tokens": tokens, "presence": presence}))
    if page is not None:
        routes.append(Route(r"(?:/|/web/.*)", PageHandler, {"page": page}))
    check_guards([*(route.handler for route in routes), DocumentHandler, NotFoundHandler])
    routes += _documents(routes, asyncapi)
    # Not the paths that were asked for: those of sockets carry session ids, and others whatever somebody typed.
    names: dict[type[RequestHandler], str] = {route.handler: route.name for route in routes}
    names |= {PageHandler: "/web", DocumentHandler: "/docs", socket_handler: "/socket.io"}
    return Application(
        [
            *((route.pattern, route.handler, common | route.needs) for route in routes),
            (r"/socket\.io/?", socket_handler),  # its guard is the token in CONNECT
        ],
        default_handler_class=NotFoundHandler,
        default_handler_args=common,
        log_function=partial(outcomes.count, names),
    )


def _documents(routes: Sequence[Route], asyncapi: dict[str, Any]) -> list[Route]:
    """Where the documents of `routes` and of the chat are. Raises `Undescribed`."""
    doors = [(route.name, route.handler) for route in routes]
    return [
        Route(f"{re.escape(path)}/?", DocumentHandler, {"document": document})
        for path, document in make_documents(doors, asyncapi).items()
    ]


def check_guards(handlers: Sequence[type[BaseHandler]]) -> None:
    """Raises `UnguardedMethod` when one of `handlers` has a method that says not who may call it."""
    for handler in handlers:
        for method in handler.methods():
            if not is_marked(getattr(handler, method.lower())):
                raise UnguardedMethod(f"{handler.__name__}.{method.lower()} is neither @authenticated nor @public")
