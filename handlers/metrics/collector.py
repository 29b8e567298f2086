"""Every metric: its name, its meaning in one line, and where its number is read.

Numbers are read at each request for /metrics, on the event loop; no other part of the product knows of metrics.
Names follow Prometheus: base units, `_total` for counters. No label holds a user, an address or a path; each has a
few values, known beforehand. docs/metrics.md has a row for each metric, and a test compares the two.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

import chatio
from chatio.accounts.passwords import PasswordHasher
from chatio.cluster.cluster import Cluster
from chatio.log.shared_log import SharedLog
from chatio.realtime import EngineServer
from chatio.telemetry.counters import Histogram
from chatio.telemetry.log_handler import LogHandler
from chatio.throttling.loop_lag import LoopLagMonitor
from handlers.chat.namespace import ChatNamespace
from handlers.metrics.requests import RequestMetrics


@dataclass(frozen=True, kw_only=True, eq=False)
class MetricsCollector(Collector):
    """Collector for a registry of prometheus_client. Event loop only; 5 ms at 10,000 connections."""

    engine: EngineServer
    chat: ChatNamespace
    log: SharedLog
    cluster: Cluster | None = None  # None: there can be no other server
    hasher: PasswordHasher
    load: LoopLagMonitor
    requests: RequestMetrics
    log_handler: LogHandler

    def collect(self) -> Iterator[Metric]:
        build = {"version": chatio.__version__, "server": "" if self.cluster is None else self.cluster.name}
        yield InfoMetricFamily("chatio_build", "What is running.", value=build)
        yield from self._connections()
        yield from self._joins()
        yield from self._messages()
        yield from self._log()
        yield from self._store()
        yield from self._http()
        yield from self._load()

    def _connections(self) -> Iterator[Metric]:
        engine = self.engine
        yield _gauges("chatio_connections", "Open connections.", "transport", engine.open_by_transport().items())
        yield _gauge("chatio_connections_max", "Limit of open connections.", engine.connection_limit.most or 0)
        yield _counters(
            "chatio_connects", "Sessions opened, by their first transport.", "transport", engine.opened.items()
        )
        yield _counter("chatio_upgrades", "Sessions upgraded from polling to WebSocket.", engine.upgraded)
        yield _counters(
            "chatio_connections_refused", "Clients refused or closed.", "reason", engine.refusals.items()
        )

    def _joins(self) -> Iterator[Metric]:
        members = self.chat.members
        yield _gauge("chatio_people_online", "Users in the chat.", members.people)
        yield _counters("chatio_joins", "Connections that joined the chat.", "kind", members.joined.items())
        yield _counters(
            "chatio_joins_refused", "CONNECTs answered with an error.", "reason", members.join_errors.items()
        )

    def _messages(self) -> Iterator[Metric]:
        chat, fanout = self.chat, self.chat.fanout
        yield _counter(
            "chatio_messages_accepted", "Messages, edits and deletions appended to the log.", self.log.window.head
        )
        yield _counters(
            "chatio_changes", "Edits and deletions given to the log.", "kind", chat.changes.counts.items()
        )
        yield _counter("chatio_messages_repeated", "Messages that the log had already.", self.log.batches.repeated)
        yield _counters(
            "chatio_messages_refused",
            "Messages, edits and deletions refused.",
            "reason",
            chat.message_rejections.items(),
        )
        yield _counter("chatio_deliveries", "Messages handed to connections, once for each.", fanout.deliveries)
        yield _histogram(
            "chatio_delivery_seconds",
            "From a message's acceptance to the last socket that keeps up.",
            fanout.times,
        )
        yield _counters(
            "chatio_slow_clients_dropped", "Clients that did not keep up.", "reason", fanout.dropped.items()
        )

    def _log(self) -> Iterator[Metric]:
        log = self.log.window
        yield _gauge("chatio_log_messages", "Messages in the log.", len(log))
        yield _gauge("chatio_log_size_bytes", "Memory that the log takes.", log.size_bytes)
        yield _counter("chatio_log_forgotten", "Messages that the log has dropped for newer ones.", log.tail)
        oldest = GaugeMetricFamily("chatio_log_oldest_timestamp_seconds", "When the oldest message was accepted.")
        for entry in log.read(log.tail, limit=1):
            oldest.add_metric([], datetime.fromisoformat(entry.message.sent_at).timestamp())
        yield oldest

    def _store(self) -> Iterator[Metric]:
        batches = self.log.batches
        yield _gauge("chatio_store_waiting", "Messages that wait for the database.", len(batches))
        yield _gauge(
            "chatio_store_ready", "1 while the database takes messages as it should.", batches.trouble is None
        )
        yield _counters(
            "chatio_store_appends", "Batches of messages appended.", "outcome", batches.appends.items()
        )
        yield _counter("chatio_store_messages", "Messages in those batches that succeeded.", batches.messages)
        yield _histogram("chatio_store_append_seconds", "Time of a batch that succeeded.", batches.append_times)
        others = () if self.cluster is None else self.cluster.others
        yield _gauge("chatio_servers", "Servers of this database, this one included.", 1 + len(others))
        yield _gauge(
            "chatio_log_lag_entries",
            "Messages that the database has and this server has not read.",
            self.log.follower.head - self.log.window.head,
        )

    def _http(self) -> Iterator[Metric]:
        requests = self.requests
        answered = CounterMetricFamily("chatio_http_requests", "Requests answered.", labels=["route", "status"])
        for labels, count in requests.requests.items():
            answered.add_metric(labels, count)
        yield answered
        yield _counters("chatio_logins", "Answers of POST /login.", "outcome", requests.logins.items())
        yield _counters(
            "chatio_registrations", "Answers of POST /register.", "outcome", requests.registrations.items()
        )
        yield _gauge("chatio_hashing_waiting", "Passwords being hashed or waiting for it.", self.hasher.waiting)
        yield _histogram("chatio_hashing_seconds", "Time for a hash, the wait included.", self.hasher.times)

    def _load(self) -> Iterator[Metric]:
        load = self.load
        yield _gauge("chatio_loop_lag_seconds", "Lag of the event loop that lasts.", load.lag_seconds)
        yield _histogram(
            "chatio_loop_delay_seconds", "Lag of the event loop, ten samples a second.", load.lag_histogram
        )
        yield _gauge("chatio_overloaded", "1 while new clients are asked to wait.", load.is_on)
        lines = self.log_handler
        yield _counters("chatio_errors", "Lines of the log of level ERROR.", "event", lines.errors.items())
        yield _counter("chatio_log_lines_dropped", "Log lines that stderr did not take.", lines.dropped)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _gauges(name: str, text: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values:
        family.add_metric([key], value)
    return family


def _counter(name: str, text: str, value: int) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _counters(name: str, text: str, label: str, counts: Iterable[tuple[str, int]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, count in counts:
        family.add_metric([key], count)
    return family


def _histogram(name: str, text: str, durations: Histogram) -> Metric:
    buckets = [("+Inf" if bound == math.inf else str(bound), count) for bound, count in durations.cumulated()]
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=durations.sum)
