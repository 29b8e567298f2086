"""What chatio/server and the endpoint of Engine.IO assume of the installed Tornado.

A new version that moves one of these fails here first.
"""

import importlib.metadata
import inspect

import tornado.util
from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.iostream import BaseIOStream
from tornado.tcpserver import TCPServer
from tornado.util import _websocket_mask
from tornado.web import RequestHandler, _HandlerDelegate

from chatio.server.http.handler import BoundedBodyHandler

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


def test_a_head_is_the_only_thing_that_is_read_by_a_regular_expression() -> None:
    reading = inspect.getsource(HTTP1Connection._read_message_inner)
    assert "header_future = self.stream.read_until_regex(" in reading
    assert "if self.params.header_timeout is None:\n                header_data = await header_future" in reading
    assert "start_line_str, headers = self._parse_headers(header_data)" in reading
    assert inspect.getsource(HTTP1Connection).count("read_until_regex(") == 1


def test_a_malformed_message_is_answered_with_these_bytes_and_closed() -> None:
    reading = inspect.getsource(HTTP1Connection._read_message_inner)
    assert 'await self.stream.write(b"HTTP/1.1 400 Bad Request\\r\\n\\r\\n")' in reading


def test_the_timeout_of_a_body_is_looked_at_after_the_body_is_asked_for() -> None:
    reading = inspect.getsource(HTTP1Connection._read_message_inner)
    assert reading.index("body_future = self._read_body(") < reading.index("if self._body_timeout is None:")
    assert "return self._read_chunked_body(delegate)" in inspect.getsource(HTTP1Connection._read_body)
    assert list(inspect.signature(HTTP1Connection._deliver_body).parameters) == ["self", "delegate", "data"]
    assert reading.index("self._read_finished = True") < reading.index("delegate.finish()")


def test_a_read_past_its_limit_closes_the_stream_with_the_error() -> None:
    for method in (BaseIOStream.read_until_regex, BaseIOStream.read_until):
        assert "except UnsatisfiableReadError as e:" in inspect.getsource(method)
        assert "self.close(exc_info=e)" in inspect.getsource(method)
    assert "raise UnsatisfiableReadError(" in inspect.getsource(BaseIOStream._check_max_bytes)
    assert inspect.getsource(BaseIOStream._find_read_pos).count("self._check_max_bytes(") == 4
    assert "self._read_buffer = bytearray()" in inspect.getsource(BaseIOStream.__init__)


def test_the_loop_of_a_connection_is_the_one_that_was_copied() -> None:
    loop = inspect.getsource(HTTP1ServerConnection._server_request_loop)
    assert "conn = HTTP1Connection(self.stream, False, self.params, self.context)" in loop
    assert "request_delegate = delegate.start_request(self, conn)" in loop
    assert "delegate.on_close(self)" in loop


def test_a_connection_is_served_as_here() -> None:
    assert "sock, self._handle_connection\n" in inspect.getsource(TCPServer.add_sockets)
    assert list(inspect.signature(TCPServer._handle_connection).parameters) == ["self", "connection", "address"]
    context = "stream, address, self.protocol, self.trusted_downstream"
    serving = inspect.getsource(HTTPServer.handle_stream)
    for line in (context, "self._connections.add(conn)", "conn.start_serving(self)"):
        assert line in serving
    assert "self._server_request_loop(delegate)" in inspect.getsource(HTTP1ServerConnection.start_serving)
    assert "isinstance(self.request_callback, httputil.HTTPServerConnectionDelegate)" in inspect.getsource(
        HTTPServer.start_request
    )


def test_bytes_may_be_put_back_into_a_stream_before_its_first_read() -> None:
    for line in ("self._read_buffer = bytearray()", "self._read_buffer_size = 0"):
        assert line in inspect.getsource(BaseIOStream.__init__)
    assert "pos = self._find_read_pos()" in inspect.getsource(BaseIOStream._try_inline_read)


def test_an_answer_may_be_written_with_its_head() -> None:
    assert "pre-encoded header block" in str(HTTP1Connection.write.__doc__)
    assert "self._expected_content_remaining is not None" in inspect.getsource(HTTP1Connection.finish)


def test_a_stream_is_watched_for_what_its_state_says_after_each_event() -> None:
    watched, handled = (
        inspect.getsource(method) for method in (BaseIOStream._add_io_state, BaseIOStream._handle_events)
    )
    assert "add_handler(self.fileno(), self._handle_events, self._state)" in watched
    assert "if state != self._state:" in handled
    assert "self.io_loop.update_handler(self.fileno(), self._state)" in handled


def test_the_mask_of_a_frame_is_in_c_where_tornado_was_compiled_and_in_python_elsewhere() -> None:
    assert _websocket_mask(b"\x01\x02\x03\x04", b"\x00\x00\x00\x00\xff") == b"\x01\x02\x03\x04\xfe"
    assert "_websocket_mask = _websocket_mask_python" in inspect.getsource(tornado.util)
