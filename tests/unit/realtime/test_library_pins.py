"""What this package leans on inside the installed libraries, by name.

A new version that moves one fails here first.
"""

import importlib.metadata
import inspect
from typing import Any

import engineio
import pytest
import socketio
from engineio.async_drivers import tornado as driver

VERSIONS = {"python-socketio": "5.18.1", "python-engineio": "4.15.1"}

# Overridden (the library calls ours) or called (ours calls the library's), with the arguments this depends
# on.
SIGNATURES: list[tuple[Any, str, list[str]]] = [
    (socketio.AsyncServer, "_engineio_server_class", ["self"]),
    (socketio.AsyncServer, "disconnect", ["self", "sid", "namespace", "ignore_queue"]),
    (socketio.AsyncNamespace, "trigger_event", ["self", "event", "args"]),
    (
        socketio.AsyncManager,
        "emit",
        ["self", "event", "data", "namespace", "room", "skip_sid", "callback", "to", "kwargs"],
    ),
    (socketio.AsyncManager, "trigger_callback", ["self", "sid", "id", "data"]),
    (socketio.AsyncManager, "_generate_ack_id", ["self", "sid", "callback"]),
    (socketio.AsyncManager, "basic_enter_room", ["self", "sid", "namespace", "room", "eio_sid"]),
    (socketio.AsyncManager, "basic_leave_room", ["self", "sid", "namespace", "room"]),
    (socketio.AsyncManager, "basic_disconnect", ["self", "sid", "namespace", "kwargs"]),
    (engineio.AsyncServer, "_get_socket", ["self", "sid"]),
    (engineio.AsyncServer, "_cors_headers", ["self", "environ"]),
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


def test_library_makes_its_engine_as_expected() -> None:
    source = inspect.getsource(socketio.base_server.BaseServer.__init__)
    assert "self._engineio_server_class()(**engineio_options)" in source


def test_driver_is_the_tornado_one() -> None:
    assert driver._async["asyncio"] is True
