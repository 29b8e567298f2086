"""Listen, serve until told to stop, and leave without hurting who is connected."""

import asyncio
import contextlib
import errno
import logging
import signal
from collections.abc import Awaitable, Callable

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from chatio.realtime import HTTP_SERVER_OPTIONS
from handlers.base import Requests

logger = logging.getLogger("chatio")

# What is under way gets this long to finish; a hash takes 50 ms, a full queue of them about 6 s.
STOP_SECONDS = 8.0
CLOSE_SECONDS = 1.0
BODY_SECONDS = 60.0  # nginx's client_body_timeout
# Handlers take bodies as streams of such pieces and count them; nothing larger is read ahead.
BUFFER_BYTES = 128 * 1024


class CannotListen(Exception):
    """The address cannot be had; the text says why, for people."""


async def serve(
    application: Application,
    *,
    host: str,
    port: int,
    requests: Requests,
    drop_sockets: Callable[[], Awaitable[None]],
) -> None:
    """Serve until SIGTERM or SIGINT. Raises `CannotListen`.

    Then: accept nobody new, let the requests under way finish, drop the sockets (`drop_sockets`), return.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = HTTPServer(
        application,
        body_timeout=BODY_SECONDS,
        max_buffer_size=BUFFER_BYTES,
        **HTTP_SERVER_OPTIONS,
    )
    bound_port = _listen(server, host, port)
    logger.info("Chat.io is listening on http://%s:%d", _shown(host), bound_port)
    await stopping.wait()

    logger.info("Stopping")
    server.stop()
    try:
        await asyncio.wait_for(requests.wait_idle(), STOP_SECONDS)
    except TimeoutError:
        logger.warning("Some requests did not finish within %d seconds", STOP_SECONDS)
    await drop_sockets()
    with contextlib.suppress(TimeoutError):  # what does not close in time ends with the process
        await asyncio.wait_for(server.close_all_connections(), CLOSE_SECONDS)
    logger.info("Stopped")


def _listen(server: HTTPServer, host: str, port: int) -> int:
    try:
        sockets = bind_sockets(port, host or None)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(f"Port {port} is already in use (SERVER_PORT).") from None
        if error.errno == errno.EACCES:
            raise CannotListen(f"Port {port} is not for this user to listen on (SERVER_PORT).") from None
        raise CannotListen(f"Cannot listen on {_shown(host)}:{port} (SERVER_HOST): {error.strerror}.") from None
    except UnicodeError:
        raise CannotListen(f"Cannot listen on {_shown(host)}:{port} (SERVER_HOST): it is not a name.") from None
    server.add_sockets(sockets)
    bound_port: int = sockets[0].getsockname()[1]
    return bound_port


def _shown(host: str) -> str:
    if not host:
        return "localhost"
    return f"[{host}]" if ":" in host else host
