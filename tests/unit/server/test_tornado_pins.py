"""What chatio/server/http_handler.py and shutdown.py assume of the installed Tornado, by name.

A new version that moves one of these fails here first.
"""

import importlib.metadata
import inspect

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer, _HTTPRequestContext
from tornado.web import RequestHandler, _HandlerDelegate

from chatio.server.http_handler import BoundedBodyHandler

VERSION = "6.6.1"


def test_version_is_the_one_that_was_read() -> None:
    installed = importlib.metadata.version("tornado")
    assert installed == VERSION, f"Tornado {installed} is installed: read what changed, then move this pin"


def test_connection_closes_after_the_answer_when_told_so() -> None:
    assert "self._disconnect_on_finish = False" in inspect.getsource(HTTP1Connection.__init__)
    headers, finish = (
        inspect.getsource(method) for method in (HTTP1Connection.write_headers, HTTP1Connection._finish_request)
    )
    assert '"Connection"] = "close"' in headers
    assert "self._disconnect_on_finish" in headers
    assert "self._disconnect_on_finish" in finish


def test_limits_of_a_body_may_be_set_for_one_request() -> None:
    assert list(inspect.signature(HTTP1Connection.set_max_body_size).parameters) == ["self", "max_body_size"]
    assert list(inspect.signature(HTTP1Connection.set_body_timeout).parameters) == ["self", "timeout"]


def test_a_streamed_body_is_complete_when_its_future_is_done() -> None:
    assert "self.request._body_future = Future()" in inspect.getsource(_HandlerDelegate.headers_received)
    assert "self.request._body_future" in inspect.getsource(_HandlerDelegate.finish)


def test_a_handler_tells_whether_it_has_answered() -> None:
    assert "self._finished = False" in inspect.getsource(RequestHandler.__init__)
    assert "self._finished = True" in inspect.getsource(RequestHandler.finish)


def test_a_method_that_a_handler_does_not_have_is_tornados_own() -> None:
    class Handler(BoundedBodyHandler):
        def get(self) -> None: ...

    assert Handler.methods() == ["GET"]


def test_server_keeps_its_open_connections_in_one_set() -> None:
    assert "self._connections: set[HTTP1ServerConnection] = set()" in inspect.getsource(HTTPServer.initialize)
    assert "self._connections.remove(" in inspect.getsource(HTTPServer.on_close)


def test_the_context_of_a_connection_has_the_peers_address() -> None:
    assert "self.address = address" in inspect.getsource(_HTTPRequestContext.__init__)
