"""GET /metrics, on a port of its own, in the formats that Prometheus reads.

On the event loop of the chat, and not in prometheus_client's thread: what is read there changes on the loop.
"""

import logging
from types import TracebackType
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler

from chatio.server.listen import CannotListen
from chatio.server.serve import HTTP_SERVER_OPTIONS
from chatio.telemetry.error_report import report

MAX_BODY_BYTES = 1024  # nobody sends one

logger = logging.getLogger("chatio.metrics")


class _NothingHandler(RequestHandler):
    """Any path that is none of ours."""

    def set_default_headers(self) -> None:
        self.clear_header("Server")

    def prepare(self) -> None:
        raise HTTPError(404)

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        if value is not None and not isinstance(value, HTTPError):
            report(logger, "collecting metrics", value)

    def write_error(self, status_code: int, **_details: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}\n")


class MetricsHandler(_NothingHandler):
    def initialize(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def prepare(self) -> None:
        """This path is one."""

    def get(self) -> None:
        encode, content_type = choose_encoder(self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", content_type)
        self.finish(encode(self._registry))

    def compute_etag(self) -> None:
        """No two answers are the same."""


def serve_metrics(measures: Collector, *, host: str, port: int) -> HTTPServer:
    """Answer /metrics with `measures` and what is known of the process, until the server is stopped.

    Whoever reaches the port may ask. Raises `CannotListen`.
    """
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    registry.register(measures)
    application = Application(
        [(r"/metrics", MetricsHandler, {"registry": registry})],
        default_handler_class=_NothingHandler,
        log_function=lambda _: None,
    )
    server = HTTPServer(application, max_body_size=MAX_BODY_BYTES, **HTTP_SERVER_OPTIONS)
    try:
        sockets = bind_sockets(port, host)
    except OSError as error:
        raise CannotListen(f"Cannot serve metrics on {host}:{port} (METRICS_PORT): {error.strerror}.") from None
    server.add_sockets(sockets)
    url = f"http://{host}:{sockets[0].getsockname()[1]}/metrics"
    logger.info("Metrics are at %s", url, extra={"event": "metrics_started", "url": url})
    return server
