"""Listen, serve until told to stop, and leave without hurting who is connected."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application

from chatio.server.in_flight import InFlightRequests
from chatio.server.listen import listen, shown
from chatio.server.shutdown import Clients, leave
from chatio.server.signals import StopSignals, tell_when_aborted
from chatio.server.systemd import SystemdNotifier

logger = logging.getLogger("chatio")

# A connection that sends no request is closed after a minute (Tornado: an hour), headers stop at 16 KiB (Node's
# figure; Tornado: 64 KiB).
HTTP_SERVER_OPTIONS: dict[str, Any] = {"idle_connection_timeout": 60.0, "max_header_size": 16 * 1024}
BODY_SECONDS = 60.0  # nginx's client_body_timeout
# Handlers take bodies as streams of such pieces and count them; nothing larger is read ahead.
BUFFER_BYTES = 128 * 1024


async def serve(
    application: Application,
    *,
    host: str,
    port: int,
    requests: InFlightRequests,
    clients: Clients,
    grace_seconds: float,
    supervisor: SystemdNotifier,
    status: Callable[[], str],
    handed_over: Sequence[int] = (),
    http_server: Callable[..., HTTPServer] = HTTPServer,
) -> None:
    """Serve on `host` and `port`, or on the descriptors `handed_over`, until SIGTERM or SIGINT; then leave within
    `grace_seconds`. Meanwhile `supervisor` hears how the server is, and `status()`. Raises `CannotListen`.

    `http_server` makes the server, as `HTTPServer` does.

    Afterwards both signals are ignored: the process has nothing left to do but to end.
    """
    signals = StopSignals()
    tell_when_aborted()
    server = http_server(
        application, body_timeout=BODY_SECONDS, max_buffer_size=BUFFER_BYTES, **HTTP_SERVER_OPTIONS
    )
    listeners = listen(host, port, handed_over=handed_over)
    server.add_sockets(listeners)
    url = f"http://{shown(listeners[0].getsockname())}"
    logger.info("Chat.io is listening on %s", url, extra={"event": "started", "url": url})
    supervisor.ready(status)
    await signals.first.wait()
    supervisor.stopping()
    await leave(
        server,
        requests=requests,
        clients=clients,
        grace_seconds=grace_seconds,
        at_once=signals.second,
        keeps_answering=not handed_over,
    )
    signals.close()
