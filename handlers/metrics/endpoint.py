"""GET /metrics, on a port of its own, in the formats that Prometheus reads.

It runs on the event loop of the chat, and not in prometheus_client's thread: the numbers change on that loop.
"""

import errno
import logging
from typing import Any, ClassVar

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError

from chatio.server.http.accept import LimitedHTTPServer
from chatio.server.http.handler import BoundedBodyHandler
from chatio.server.listen import CannotListen, shown
from chatio.server.serve import HTTP_SERVER_OPTIONS
from chatio.telemetry.error_report import report

logger = logging.getLogger("chatio.metrics")


class _PlainHandler(BoundedBodyHandler):
    """Errors as plain text."""

    MAX_DISCARDED_BYTES: ClassVar[int] = 1024  # no client of /metrics sends a body

    def prepare(self) -> None:
        self.bound_body()
        if self.is_announced_too_large:
            raise HTTPError(413)

    def body_too_large_to_discard(self) -> None:
        self.send_error(413)

    def write_error(self, status_code: int, **details: Any) -> None:
        _, error, _ = details.get("exc_info", (None, None, None))
        if error is not None and not isinstance(error, HTTPError):
            report(logger, "collecting metrics", error)
        if status_code == 405:
            self.set_header("Allow", ", ".join(self.methods()))
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}\n")


class _NotFoundHandler(_PlainHandler):
    """Any path but /metrics."""

    def prepare(self) -> None:
        raise HTTPError(404)


class MetricsHandler(_PlainHandler):
    def initialize(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def get(self) -> None:
        encode, content_type = choose_encoder(self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", content_type)
        self.finish(encode(self._registry))

    head = get


def serve_metrics(collector: Collector, *, host: str, port: int) -> HTTPServer:
    """Answer /metrics with `collector` and figures of the process, until the server is stopped.

    Every client that reaches the port may ask. Raises `CannotListen`.
    """
    registry = CollectorRegistry()
    for of_process in (ProcessCollector, PlatformCollector, GCCollector):
        of_process(registry=registry)
    registry.register(collector)
    application = Application(
        [(r"/metrics", MetricsHandler, {"registry": registry})],
        default_handler_class=_NotFoundHandler,
        log_function=lambda _: None,
    )
    server = LimitedHTTPServer(application, **HTTP_SERVER_OPTIONS)
    try:
        sockets = bind_sockets(port, host.strip("[]"))
    except (OSError, UnicodeError) as error:
        is_port = isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES)
        reason = error.strerror if isinstance(error, OSError) else "it is not a name"
        setting = "METRICS_PORT" if is_port else "METRICS_HOST"
        raise CannotListen(f"Cannot serve metrics on {shown((host, port))} ({setting}): {reason}.") from None
    server.add_sockets(sockets)
    url = f"http://{shown(sockets[0].getsockname())}/metrics"
    logger.info("Metrics are at %s", url, extra={"event": "metrics_started", "url": url})
    return server
