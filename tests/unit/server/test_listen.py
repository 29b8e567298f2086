"""Listening: on an address, on descriptors handed over, and in one clear line why not."""

import errno
import gc
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tornado.netutil import bind_sockets

import chatio.server.listen as listen_module
from chatio.server.http.accept import Listener
from chatio.server.listen import CannotListen, listen, shown

# Tornado does not close the socket that it could not bind; a process that cannot listen ends anyway.
left_to_the_garbage_collector = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def socket_of_a_manager() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as created:
        yield created


def cannot_listen(host: str, port: int) -> str:
    with pytest.raises(CannotListen) as caught:
        listen(host, port)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    line = str(caught.value)
    del caught
    gc.collect()
    return line


def close(listeners: list[Listener]) -> None:
    for listener in listeners:
        listener.close()


@left_to_the_garbage_collector
def test_a_port_in_use_is_one_clear_line() -> None:
    (taken,) = bind_sockets(0, "127.0.0.1")
    with taken:
        port = taken.getsockname()[1]
        assert cannot_listen("127.0.0.1", port) == f"Port {port} is already in use (SERVER_PORT)."


def test_a_port_that_is_not_ours_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(port: int, host: str | None, *, backlog: int) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(listen_module, "bind_sockets", forbid)  # the user who runs this may be root
    assert cannot_listen("", 80) == "Port 80 needs privileges that this user lacks (SERVER_PORT)."


@left_to_the_garbage_collector
@pytest.mark.parametrize(
    ("host", "named"), [("203.0.113.1", "203.0.113.1"), ("2001:db8::1", "[2001:db8::1]"), ("a..b", "a..b")]
)
def test_an_address_that_cannot_be_had_is_one_clear_line(host: str, named: str) -> None:
    line = cannot_listen(host, 0)
    assert line.startswith(f"Cannot listen on {named}:0 (SERVER_HOST): ")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("127.0.0.1", 3000), "127.0.0.1:3000"),
        (("0.0.0.0", 3000), "localhost:3000"),
        (("::", 3000, 0, 0), "localhost:3000"),
        (("::1", 3000, 0, 0), "[::1]:3000"),
    ],
)
def test_an_address_is_shown_as_one_to_open(address: tuple[object, ...], text: str) -> None:
    assert shown(address) == text


def test_a_socket_handed_over_is_listened_on_and_the_address_is_not(socket_of_a_manager: socket.socket) -> None:
    address = socket_of_a_manager.getsockname()
    descriptor = os.dup(socket_of_a_manager.fileno())
    os.set_inheritable(descriptor, True)  # as it comes through an exec
    listeners = listen("203.0.113.1", 1, handed_over=[descriptor])
    assert [listener.getsockname() for listener in listeners] == [address]
    assert not listeners[0].get_inheritable()
    with socket.create_connection(address) as client:
        accepted, peer = listeners[0].accept()
        accepted.close()
        assert peer == client.getsockname()
    close(listeners)
    socket.create_connection(address).close()  # the manager's end is still open: a new connection waits


def test_every_socket_handed_over_is_listened_on(socket_of_a_manager: socket.socket) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        addresses = [socket_of_a_manager.getsockname(), other.getsockname()]
        listeners = listen("", 0, handed_over=[os.dup(socket_of_a_manager.fileno()), os.dup(other.fileno())])
        assert [listener.getsockname() for listener in listeners] == addresses
        close(listeners)


def test_a_descriptor_that_is_not_open_is_one_clear_line() -> None:
    descriptor = os.dup(0)
    os.close(descriptor)
    with pytest.raises(CannotListen, match=f"^Descriptor {descriptor} of LISTEN_FDS is no socket: Bad file"):
        listen("", 0, handed_over=[descriptor])


def test_a_file_handed_over_is_one_clear_line(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        with pytest.raises(CannotListen, match=f"^Descriptor {file.fileno()} of LISTEN_FDS is no socket: "):
            listen("", 0, handed_over=[file.fileno()])
        file.write("it is its owner's still")


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        (socket.AF_INET, socket.SOCK_STREAM),
        (socket.AF_INET, socket.SOCK_DGRAM),
        (socket.AF_UNIX, socket.SOCK_STREAM),
    ],
)
def test_a_socket_that_does_not_listen_is_one_clear_line(
    family: socket.AddressFamily, kind: socket.SocketKind, tmp_path: Path
) -> None:
    with socket.socket(family, kind) as other:
        if family == socket.AF_UNIX:
            other.bind(str(tmp_path / "socket"))
            other.listen()
        with pytest.raises(CannotListen, match="is no TCP socket that listens"):
            listen("", 0, handed_over=[other.fileno()])
        assert other.fileno() >= 0
