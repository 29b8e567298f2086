"""Listen, serve until told to stop, and leave without hurting who is connected."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence

from tornado.httpserver import HTTPServer
from tornado.web import Application

from chatio.realtime import HTTP_SERVER_OPTIONS
from chatio.supervisor import Supervisor
from handlers.base import Requests
from handlers.listening import listen, shown

logger = logging.getLogger("chatio")

# What is under way gets this long to finish; a hash takes 50 ms, a full queue of them about 6 s.
STOP_SECONDS = 6.0
DROP_SECONDS = 2.5
CLOSE_SECONDS = 0.5
BODY_SECONDS = 60.0  # nginx's client_body_timeout
# Handlers take bodies as streams of such pieces and count them; nothing larger is read ahead.
BUFFER_BYTES = 128 * 1024


async def serve(
    application: Application,
    *,
    host: str,
    port: int,
    requests: Requests,
    drop_sockets: Callable[[], Awaitable[None]],
    supervisor: Supervisor,
    status: Callable[[], str],
    handed_over: Sequence[int] = (),
    http_server: Callable[..., HTTPServer] = HTTPServer,
) -> None:
    """Serve until SIGTERM or SIGINT, on `host` and `port` or the descriptors `handed_over`. Raises `CannotListen`.

    `http_server` makes the server, as `HTTPServer` does.

    Meanwhile `supervisor` hears how the server is, and `status()`.
    Then: accept nobody new, let the requests under way finish, drop the sockets (`drop_sockets`), return.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    server = http_server(
        application, body_timeout=BODY_SECONDS, max_buffer_size=BUFFER_BYTES, **HTTP_SERVER_OPTIONS
    )
    listeners = listen(host, port, handed_over=handed_over)
    server.add_sockets(listeners)
    url = f"http://{shown(listeners[0].getsockname())}"
    logger.info("Chat.io is listening on %s", url, extra={"event": "started", "url": url})
    supervisor.ready(status)
    await stopping.wait()

    logger.info("Stopping", extra={"event": "stopping"})
    supervisor.stopping()
    server.stop()
    try:
        await asyncio.wait_for(requests.wait_idle(), STOP_SECONDS)
    except TimeoutError:
        logger.warning(
            "Some requests did not finish within %d seconds",
            STOP_SECONDS,
            extra={"event": "requests_given_up", "seconds": STOP_SECONDS},
        )
    with contextlib.suppress(TimeoutError):  # what does not close in time ends with the process
        await asyncio.wait_for(drop_sockets(), DROP_SECONDS)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(server.close_all_connections(), CLOSE_SECONDS)
    logger.info("Stopped", extra={"event": "stopped"})
