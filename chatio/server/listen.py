"""The sockets to accept people on: of the configured address, or handed over by the service manager."""

import contextlib
import errno
import logging
import os
import resource
import socket
from collections.abc import MutableMapping, Sequence
from typing import Any, Final

from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets

logger = logging.getLogger("chatio")

# sd_listen_fds(3): SD_LISTEN_FDS_START.
FIRST_DESCRIPTOR: Final = 3

# What an accept fails with when the process or the system has no room for one connection more; nobody is accepted
# then for so long, as asyncio's own servers do (ACCEPT_RETRY_DELAY).
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_REST_SECONDS = 1.0


class CannotListen(Exception):
    """The address cannot be had; the text says why, for people."""


class Listener(socket.socket):
    """A listening socket that rests where Tornado's loop would spin, with a traceback for each turn of it."""

    def accept(self) -> tuple[socket.socket, Any]:
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            logger.error(  # noqa: TRY400
                "No connection is accepted for %g s: %s",
                _REST_SECONDS,
                error.strerror,
                extra={"event": "no_room", "seconds": _REST_SECONDS, "reason": error.strerror},
            )
            loop = IOLoop.current()
            loop.update_handler(self, 0)
            loop.call_later(_REST_SECONDS, self._accept_again)
            raise BlockingIOError from None  # to Tornado: there is nobody to accept

    def _accept_again(self) -> None:
        if self.fileno() >= 0:
            IOLoop.current().update_handler(self, IOLoop.READ)


def listen(host: str, port: int, *, handed_over: Sequence[int] = ()) -> list[Listener]:
    """Sockets that listen: those of the descriptors `handed_over`, or, without any, on `host` and `port`.

    Raises `CannotListen`.
    """
    _allow_as_many_files_as_may_be()
    sockets = [_received(descriptor) for descriptor in handed_over] or _bound(host, port)
    listeners = [Listener(fileno=plain.detach()) for plain in sockets]
    for listener in listeners:
        listener.setblocking(False)
    return listeners


def take_descriptors(environ: MutableMapping[str, str]) -> range:
    """The descriptors that a service manager handed over to this process, by sd_listen_fds(3).

    What says so is taken out of `environ`, so that no child takes it for its own. Descriptors that were meant for
    another process are not ours. Raises `CannotListen` for what no service manager would write.
    """
    pid, count, _ = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if not pid or not count:
        return range(0)
    if not (pid.isdecimal() and count.isdecimal() and len(pid + count) < 20):
        raise CannotListen("LISTEN_PID and LISTEN_FDS must be numbers.")
    return range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + (int(count) if int(pid) == os.getpid() else 0))


def shown(address: tuple[Any, ...]) -> str:
    """Host and port as people open them: "localhost:3000" for every interface, "[::1]:3000"."""
    host, port = address[:2]
    if host in ("", "0.0.0.0", "::"):
        host = "localhost"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _received(descriptor: int) -> socket.socket:
    """The listening TCP socket that `descriptor` is; a child does not inherit it."""
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
        return bind_sockets(port, host or None)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(f"Port {port} is already in use (SERVER_PORT).") from None
        if error.errno == errno.EACCES:
            raise CannotListen(f"Port {port} is not for this user to listen on (SERVER_PORT).") from None
        reason = str(error.strerror)
    except UnicodeError:
        reason = "it is not a name"
    raise CannotListen(f"Cannot listen on {shown((host, port))} (SERVER_HOST): {reason}.")


def _allow_as_many_files_as_may_be() -> None:
    """Raise the soft limit to the hard one, as Node does: the usual soft one of 1024 is a thousand clients."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS names a hard limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
