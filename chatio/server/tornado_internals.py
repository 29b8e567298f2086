"""Tornado's private names, each wrapped once, and pinned by tests/unit/server/test_tornado_pins.py."""

from typing import cast

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler


def http_connection(request: HTTPServerRequest) -> HTTP1Connection:
    """The HTTP/1.1 connection below `request`; Tornado's servers have no other kind."""
    return cast(HTTP1Connection, request.connection)


def close_after_answer(request: HTTPServerRequest) -> None:
    """Close the connection behind the answer to `request`, which then says `Connection: close`."""
    http_connection(request)._disconnect_on_finish = True


def is_body_complete(request: HTTPServerRequest) -> bool:
    """Whether the whole body has arrived. For handlers that stream their bodies."""
    return request._body_future.done()


def is_answered(handler: RequestHandler) -> bool:
    return handler._finished


def is_implemented(handler: type[RequestHandler], method: str) -> bool:
    """Whether `handler` has a method of its own for the HTTP method `method`."""
    return getattr(handler, method.lower()) is not RequestHandler._unimplemented_method


def has_connections(server: HTTPServer) -> bool:
    """Whether a client has an HTTP connection to `server` open; WebSockets are not HTTP connections any more."""
    return bool(server._connections)
