"""Listen, serve until a signal, then shut down gracefully."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application

from chatio.server.in_flight import InFlightRequests
from chatio.server.lifecycle import Lifecycle
from chatio.server.listen import listen, shown
from chatio.server.shutdown import Clients, shut_down
from chatio.server.signals import StopSignals, log_aborts
from chatio.server.systemd import SystemdNotifier

logger = logging.getLogger("chatio")

# A connection without a request is closed after a minute (Tornado: an hour). Headers have at most 16 KiB (Node's
# limit; Tornado: 64 KiB).
HTTP_SERVER_OPTIONS: dict[str, Any] = {"idle_connection_timeout": 60.0, "max_header_size": 16 * 1024}
BODY_SECONDS = 60.0  # nginx's client_body_timeout
# Read ahead of one connection at most. Handlers take bodies as streams of such pieces.
BUFFER_BYTES = 128 * 1024


async def serve(
    application: Application,
    *,
    host: str,
    port: int,
    lifecycle: Lifecycle,
    requests: InFlightRequests,
    clients: Clients,
    grace_seconds: float,
    notifier: SystemdNotifier,
    status: Callable[[], str],
    on_listening: Callable[[str], None] = lambda url: None,
    handed_over: Sequence[int] = (),
    http_server: Callable[..., HTTPServer] = HTTPServer,
) -> None:
    """Serve on `host` and `port`, or on the descriptors `handed_over`, until SIGTERM or SIGINT; then shut down
    within `grace_seconds`. `notifier` reports `status()` to the service manager. Raises `CannotListen`.

    `on_listening` is called with the server's URL. `http_server` makes the server, as `HTTPServer` does.

    Afterwards both signals are ignored: nothing is left to do but to end the process.
    """
    signals = StopSignals()
    log_aborts()
    server = http_server(
        application, body_timeout=BODY_SECONDS, max_buffer_size=BUFFER_BYTES, **HTTP_SERVER_OPTIONS
    )
    listeners = listen(host, port, handed_over=handed_over)
    server.add_sockets(listeners)
    url = f"http://{shown(listeners[0].getsockname())}"
    logger.info("Chat.io is listening on %s", url, extra={"event": "started", "url": url})
    on_listening(url)
    notifier.ready(status)
    await signals.first.wait()
    notifier.stopping()
    await shut_down(
        server,
        lifecycle=lifecycle,
        requests=requests,
        clients=clients,
        grace_seconds=grace_seconds,
        at_once=signals.second,
        port_is_shared=bool(handed_over),
    )
    signals.close()
