"""The URL table."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from tornado.httputil import HTTPServerConnectionDelegate
from tornado.web import Application, RequestHandler

from handlers.docs.endpoint import DocumentHandler
from handlers.http.auth import is_marked
from handlers.http.base import BaseHandler, NotFoundHandler
from handlers.http.files import StaticFile
from handlers.http.services import Services
from handlers.metrics.requests import RequestMetrics
from handlers.rest.account import LoginHandler, RegisterHandler
from handlers.rest.export import ExportHandler
from handlers.rest.health import HealthHandler, ReadyHandler
from handlers.rest.messages import MessagesHandler
from handlers.rest.moderation import (
    AuditHandler,
    BanHandler,
    DeleteHandler,
    KickHandler,
    LiftHandler,
    MuteHandler,
    RoleHandler,
    UsersHandler,
)
from handlers.rest.online import OnlineHandler
from handlers.rest.page import PageHandler
from handlers.rest.user import LogoutHandler, PasswordHandler, ResetHandler, SessionsHandler, UserHandler


class Route(NamedTuple):
    pattern: str
    handler: type[BaseHandler]
    needs: Mapping[str, object] = MappingProxyType({})  # of the handler's `initialize`, besides the services

    @property
    def name(self) -> str:
        return self.pattern.removesuffix("/?")


# As on the original (Express), a slash at the end makes no difference.
ROUTES = (
    Route(r"/register/?", RegisterHandler),
    Route(r"/login/?", LoginHandler),
    Route(r"/logout/?", LogoutHandler),
    Route(r"/user/?", UserHandler),
    Route(r"/user/password/?", PasswordHandler),
    Route(r"/user/sessions/?", SessionsHandler),
    Route(r"/user/reset/?", ResetHandler),
    Route(r"/user/export/?", ExportHandler),
    Route(r"/messages/?", MessagesHandler),
    Route(r"/users/?", UsersHandler),
    Route(r"/moderation/mute/?", MuteHandler),
    Route(r"/moderation/kick/?", KickHandler),
    Route(r"/moderation/ban/?", BanHandler),
    Route(r"/moderation/lift/?", LiftHandler),
    Route(r"/moderation/role/?", RoleHandler),
    Route(r"/moderation/delete/?", DeleteHandler),
    Route(r"/audit/?", AuditHandler),
    Route(r"/healthz/?", HealthHandler),
    Route(r"/readyz/?", ReadyHandler),
)
PRESENCE_ROUTE = Route(r"/users/online/?", OnlineHandler)


def _routes(*, has_presence: bool) -> tuple[Route, ...]:
    return (*ROUTES, PRESENCE_ROUTE) if has_presence else ROUTES


def endpoints(*, has_presence: bool) -> list[tuple[str, type[BaseHandler]]]:
    """The paths of the REST API and their handlers, for its document."""
    return [(route.name, route.handler) for route in _routes(has_presence=has_presence)]


class UnguardedMethod(Exception):
    """A handler's method that is marked neither @authenticated nor @public."""


def make_application(
    services: Services,
    *,
    page: Mapping[str, StaticFile],
    documents: Mapping[str, StaticFile],
    chat: HTTPServerConnectionDelegate,
    metrics: RequestMetrics,
) -> Application:
    """The application with every endpoint. `page` and `documents` are files by their paths.

    Raises `UnguardedMethod` for a method without a guard.
    """
    routes = _routes(has_presence=services.presence is not None)
    check_guards([*(route.handler for route in routes), PageHandler, DocumentHandler, NotFoundHandler])
    files = [Route(re.escape(path), PageHandler, {"file": file}) for path, file in page.items()]
    for path, file in documents.items():
        files.append(Route(f"{re.escape(path)}/?", DocumentHandler, {"file": file}))
    # Not the requested paths: those of sockets hold session ids, and others may hold anything.
    names: dict[type[RequestHandler], str] = {route.handler: route.name for route in routes}
    names |= {PageHandler: "/web", DocumentHandler: "/docs"}
    return Application(
        [
            (r"/socket\.io/?", chat),  # its guard is the token in CONNECT
            *(_mounted(route, services) for route in [*routes, *files]),
        ],
        default_handler_class=NotFoundHandler,
        default_handler_args={"services": services},
        log_function=partial(metrics.count, names),
    )


def _mounted(route: Route, services: Services) -> tuple[str, type[BaseHandler], dict[str, object]]:
    return route.pattern, route.handler, {"services": services, **route.needs}


def check_guards(handlers: Sequence[type[BaseHandler]]) -> None:
    """Raises `UnguardedMethod` when one of `handlers` has a method without a guard."""
    for handler in handlers:
        for method in handler.methods():
            if not is_marked(getattr(handler, method.lower())):
                raise UnguardedMethod(f"{handler.__name__}.{method.lower()} is neither @authenticated nor @public")
