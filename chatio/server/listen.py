"""Listening sockets: of the configured address, or handed over by the service manager."""

import contextlib
import errno
import fcntl
import os
import resource
import socket
from collections.abc import Sequence
from typing import Any

from tornado.netutil import bind_sockets

from chatio.server.http.accept import Listener

BACKLOG = 1024  # connections that wait in the kernel: all clients come back at once
TABLE_FILES = 16_384  # for which the table of open files has room: 128 KiB of the kernel's memory


class CannotListen(Exception):
    """The server cannot listen on the address; the text says why, for operators."""


def listen(host: str, port: int, *, handed_over: Sequence[int] = ()) -> list[Listener]:
    """Listen on the descriptors `handed_over`, or, without any, on `host` and `port`.

    Raises `CannotListen`.
    """
    _raise_open_files_limit()
    sockets = [_received(descriptor) for descriptor in handed_over] or _bound(host, port)
    listeners = [Listener(fileno=plain.detach()) for plain in sockets]
    for listener in listeners:
        listener.setblocking(False)
    _enlarge_table_of_open_files(listeners[0])
    return listeners


def shown(address: tuple[Any, ...]) -> str:
    """Host and port as a browser opens them: "localhost:3000" for every interface, "[::1]:3000"."""
    host, port = address[:2]
    if host in ("", "0.0.0.0", "::"):
        host = "localhost"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _received(descriptor: int) -> socket.socket:
    """The listening TCP socket that `descriptor` is; child processes do not inherit it. Raises `CannotListen`."""
    try:
        os.set_inheritable(descriptor, False)
        received = socket.socket(fileno=descriptor)
    except OSError as error:
        raise CannotListen(f"Descriptor {descriptor} of LISTEN_FDS is no socket: {error.strerror}.") from None
    if (
        received.family not in (socket.AF_INET, socket.AF_INET6)
        or received.type != socket.SOCK_STREAM
        or not received.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    ):
        received.detach()
        raise CannotListen(f"Descriptor {descriptor} of LISTEN_FDS is no TCP socket that listens.")
    return received


def _bound(host: str, port: int) -> list[socket.socket]:
    host = host.strip("[]")
    try:
        return bind_sockets(port, host or None, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(f"Port {port} is already in use (SERVER_PORT).") from None
        if error.errno == errno.EACCES:
            raise CannotListen(f"Port {port} needs privileges that this user lacks (SERVER_PORT).") from None
        reason = str(error.strerror)
    except UnicodeError:
        reason = "it is not a name"
    raise CannotListen(f"Cannot listen on {shown((host, port))} (SERVER_HOST): {reason}.")


def _raise_open_files_limit() -> None:
    """Raise the soft limit of open files to the hard one, as Node does: the usual 1024 is a thousand clients."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS names a hard limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _enlarge_table_of_open_files(opened: socket.socket) -> None:
    """Let the kernel enlarge the table now. It doubles it when it is full, and while the process has threads each
    doubling waits for RCU (fs/file.c, expand_fdtable): the event loop stood still for 15 ms, while clients came.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    last = TABLE_FILES - 1 if soft == resource.RLIM_INFINITY else min(soft, TABLE_FILES) - 1
    with contextlib.suppress(OSError):  # so many are open
        os.close(fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, last))
