"""Listen, serve until a signal, then shut down gracefully."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from tornado.httpserver import HTTPServer
from tornado.web import Application

from chatio.server.http.accept import LimitedHTTPServer
from chatio.server.http.stream import MAX_HEAD_BYTES
from chatio.server.in_flight import InFlightRequests
from chatio.server.lifecycle import Lifecycle
from chatio.server.listen import listen, shown
from chatio.server.shutdown import Clients, shut_down
from chatio.server.signals import ProcessSignals, log_aborts
from chatio.server.systemd import SystemdNotifier

logger = logging.getLogger("chatio")

HTTP_SERVER_OPTIONS: Final[dict[str, Any]] = {
    "idle_connection_timeout": 60.0,  # seconds for a request to come; `LimitedHTTPServer` has its `Deadlines`
    "max_header_size": MAX_HEAD_BYTES,
    "body_timeout": 60.0,  # nginx's client_body_timeout
    "max_buffer_size": 128 * 1024,  # read ahead of one connection; handlers take bodies as streams of such pieces
}


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
    is_stalled: Callable[[], bool] = lambda: False,
    on_listening: Callable[[str], None] = lambda url: None,
    handed_over: Sequence[int] = (),
    http_server: Callable[..., HTTPServer] = LimitedHTTPServer,
    end_within: Callable[[float], None] = lambda seconds: None,
) -> None:
    """Serve on `host` and `port`, or on the descriptors `handed_over`, until a signal; then shut down.

    `end_within` is called at the signal, with the grace; see `ExitDeadline`. `notifier` reports `status()`, unless
    the server `is_stalled`; `on_listening` is called with the URL. Raises `CannotListen`.
    """
    signals = ProcessSignals(end_within, grace_seconds)
    log_aborts()
    server = http_server(application, **HTTP_SERVER_OPTIONS)
    server.add_sockets(listeners := listen(host, port, handed_over=handed_over))
    url = f"http://{shown(listeners[0].getsockname())}"
    logger.info("Chat.io is listening on %s", url, extra={"event": "started", "url": url})
    on_listening(url)
    notifier.ready(status, is_stalled)
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
