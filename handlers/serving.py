"""Listen, serve until told to stop, and leave without hurting who is connected."""

import contextlib
import errno
import logging
import resource
import socket
from collections.abc import Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import Application

from chatio.realtime import HTTP_SERVER_OPTIONS
from handlers.leaving import Clients, leave
from handlers.requests import Requests
from handlers.signals import StopSignals

logger = logging.getLogger("chatio")

BODY_SECONDS = 60.0  # nginx's client_body_timeout
# Handlers take bodies as streams of such pieces and count them; nothing larger is read ahead.
BUFFER_BYTES = 128 * 1024

# What an accept fails with when the process or the system has no room for one connection more; nobody is accepted
# then for so long, as asyncio's own servers do (ACCEPT_RETRY_DELAY).
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_REST_SECONDS = 1.0


class CannotListen(Exception):
    """The address cannot be had; the text says why, for people."""


async def serve(
    application: Application,
    *,
    host: str,
    port: int,
    requests: Requests,
    clients: Clients,
    grace_seconds: float,
    http_server: Callable[..., HTTPServer] = HTTPServer,
) -> None:
    """Serve until SIGTERM or SIGINT, then leave within `grace_seconds`. Raises `CannotListen`.

    `http_server` makes the server, as `HTTPServer` does.

    Afterwards both signals are ignored: the process has nothing left to do but to end.
    """
    signals = StopSignals()
    server = http_server(
        application, body_timeout=BODY_SECONDS, max_buffer_size=BUFFER_BYTES, **HTTP_SERVER_OPTIONS
    )
    _allow_as_many_files_as_may_be()
    bound_port = _listen(server, host, port)
    url = f"http://{_shown(host)}:{bound_port}"
    logger.info("Chat.io is listening on %s", url, extra={"event": "started", "url": url})
    await signals.first.wait()
    await leave(server, requests=requests, clients=clients, grace_seconds=grace_seconds, at_once=signals.second)
    signals.close()


def _allow_as_many_files_as_may_be() -> None:
    """Raise the soft limit to the hard one, as Node does: the usual soft one of 1024 is a thousand clients."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS names a hard limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Listener(socket.socket):
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


def _listen(server: HTTPServer, host: str, port: int) -> int:
    try:
        sockets = bind_sockets(port, host.strip("[]") or None)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(f"Port {port} is already in use (SERVER_PORT).") from None
        if error.errno == errno.EACCES:
            raise CannotListen(f"Port {port} is not for this user to listen on (SERVER_PORT).") from None
        raise CannotListen(f"Cannot listen on {_shown(host)}:{port} (SERVER_HOST): {error.strerror}.") from None
    except UnicodeError:
        raise CannotListen(f"Cannot listen on {_shown(host)}:{port} (SERVER_HOST): it is not a name.") from None
    listeners = [_Listener(fileno=plain.detach()) for plain in sockets]
    for listener in listeners:
        listener.setblocking(False)
    server.add_sockets(listeners)
    bound_port: int = listeners[0].getsockname()[1]
    return bound_port


def _shown(host: str) -> str:
    if not host:
        return "localhost"
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
