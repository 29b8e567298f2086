"""What this package leans on inside the installed libraries, by name.

A new version that moves one fails here first.
"""

import importlib.metadata
import inspect
import socket
from typing import Any

import engineio
import pytest
import socketio
from engineio.async_drivers import tornado as driver
from engineio.async_socket import AsyncSocket
from tornado.http1connection import HTTP1Connection
from tornado.httpserver import _HTTPRequestContext
from tornado.iostream import IOStream
from tornado.web import RequestHandler

VERSIONS = {"python-socketio": "5.18.1", "python-engineio": "4.15.1", "tornado": "6.6.1"}

# Overridden (the library calls ours) or called (ours calls the library's), with the arguments this depends
# on.
SIGNATURES: list[tuple[Any, str, list[str]]] = [
    (socketio.AsyncServer, "_engineio_server_class", ["self"]),
    (socketio.AsyncServer, "_handle_eio_connect", ["self", "eio_sid", "environ"]),
    (socketio.AsyncServer, "_handle_eio_message", ["self", "eio_sid", "data"]),
    (socketio.AsyncServer, "_handle_eio_disconnect", ["self", "eio_sid", "reason"]),
    (socketio.AsyncServer, "_handle_connect", ["self", "eio_sid", "namespace", "data"]),
    (socketio.AsyncServer, "_handle_disconnect", ["self", "eio_sid", "namespace", "reason"]),
    (socketio.AsyncServer, "_handle_event", ["self", "eio_sid", "namespace", "id", "data"]),
    (
        socketio.AsyncServer,
        "_handle_event_internal",
        ["self", "server", "sid", "eio_sid", "data", "namespace", "id"],
    ),
    (socketio.AsyncServer, "_handle_ack", ["self", "eio_sid", "namespace", "id", "data"]),
    (socketio.AsyncServer, "_trigger_event", ["self", "event", "namespace", "args"]),
    (socketio.AsyncServer, "_send_packet", ["self", "eio_sid", "pkt"]),
    (socketio.AsyncServer, "_send_eio_packet", ["self", "eio_sid", "eio_pkt"]),
    (socketio.AsyncServer, "_get_event_handler", ["self", "event", "namespace", "args"]),
    (socketio.AsyncServer, "_get_namespace_handler", ["self", "namespace", "args"]),
    (socketio.AsyncServer, "disconnect", ["self", "sid", "namespace", "ignore_queue"]),
    (socketio.AsyncNamespace, "trigger_event", ["self", "event", "args"]),
    (socketio.AsyncManager, "pre_connect", ["self", "eio_sid", "namespace"]),
    (socketio.AsyncManager, "connect", ["self", "sid", "namespace"]),
    (socketio.AsyncManager, "disconnect", ["self", "sid", "namespace", "kwargs"]),
    (socketio.AsyncManager, "trigger_callback", ["self", "sid", "id", "data"]),
    (socketio.AsyncManager, "_generate_ack_id", ["self", "sid", "callback"]),
    (socketio.AsyncManager, "basic_enter_room", ["self", "sid", "namespace", "room", "eio_sid"]),
    (socketio.AsyncManager, "basic_leave_room", ["self", "sid", "namespace", "room"]),
    (socketio.AsyncManager, "basic_disconnect", ["self", "sid", "namespace", "kwargs"]),
    (engineio.AsyncServer, "_trigger_event", ["self", "event", "args", "kwargs"]),
    (engineio.AsyncServer, "_get_socket", ["self", "sid"]),
    (engineio.AsyncServer, "generate_id", ["self"]),
    (engineio.AsyncServer, "_cors_allowed_origins", ["self", "environ"]),
    (engineio.AsyncServer, "_cors_headers", ["self", "environ"]),
    (engineio.AsyncServer, "_generate_sid_cookie", ["self", "sid", "attributes"]),
    (engineio.AsyncServer, "_gzip", ["self", "response"]),
    (engineio.AsyncServer, "send_packet", ["self", "sid", "pkt"]),
    (AsyncSocket, "close", ["self", "wait", "abort", "reason"]),
    (AsyncSocket, "send", ["self", "pkt"]),
    (RequestHandler, "detach", ["self"]),
    (RequestHandler, "_log", ["self"]),
    (HTTP1Connection, "set_max_body_size", ["self", "max_body_size"]),
    (HTTP1Connection, "set_body_timeout", ["self", "timeout"]),
    (IOStream, "read_bytes", ["self", "num_bytes", "partial"]),
]


@pytest.mark.parametrize(("name", "version"), sorted(VERSIONS.items()))
def test_version_is_the_one_that_was_read(name: str, version: str) -> None:
    installed = importlib.metadata.version(name)
    assert installed == version, (
        f"{name} {installed} is installed; chatio/realtime was written against {version}. "
        "Read what changed, run the official protocol suites, then move this pin."
    )


@pytest.mark.parametrize(
    ("owner", "name", "arguments"), SIGNATURES, ids=[f"{owner.__name__}.{name}" for owner, name, _ in SIGNATURES]
)
def test_signature_is_the_one_that_is_leaned_on(owner: Any, name: str, arguments: list[str]) -> None:
    method = getattr(owner, name, None)
    assert method is not None, f"{owner.__name__}.{name} is gone"
    found = list(inspect.signature(method).parameters)
    assert found == arguments, f"{owner.__name__}.{name} takes {found} now"


def test_socket_is_read_by_these_names_only() -> None:
    source = inspect.getsource(engineio.AsyncServer.get_session) + inspect.getsource(
        engineio.AsyncServer._get_socket
    )
    assert ".session" in source
    assert ".closed" in source
    assert ".upgraded" in inspect.getsource(engineio.AsyncServer.transport)


def test_library_hands_its_packet_class_and_options_on_as_expected() -> None:
    source = inspect.getsource(socketio.base_server.BaseServer.__init__)
    for line in ("self.packet_class = serializer", "self._engineio_server_class()(**engineio_options)"):
        assert line in source, f"socketio's BaseServer.__init__ no longer says {line}"


def test_tornado_tells_the_peers_address_by_its_context() -> None:
    assert "self.address = address" in inspect.getsource(_HTTPRequestContext.__init__)


async def test_tornado_keeps_what_it_read_ahead_in_one_bytearray() -> None:
    ours, theirs = socket.socketpair()
    stream = IOStream(ours)
    assert stream._read_buffer == bytearray()
    stream.close()
    theirs.close()


def test_driver_is_the_tornado_one() -> None:
    assert driver._async["asyncio"] is True
