"""Every metric has a name by the conventions and a row in docs/metrics.md; dashboard and rules know no other."""

import json
import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric

import chatio
from chatio.accounts.passwords import PasswordHasher
from chatio.accounts.tokens import Tokens
from chatio.log.message_log import MessageLog
from chatio.log.shared_log import SharedLog
from chatio.realtime import RealtimeOptions, create_server
from chatio.stores.memory.journal import MemoryJournal
from chatio.stores.records import Message
from chatio.telemetry.log_handler import LogHandler
from chatio.throttling.loop_lag import LoopLagMonitor
from handlers.chat.namespace import CLOSE_REASONS
from handlers.metrics.collector import MetricsCollector
from handlers.metrics.requests import RequestMetrics
from tests.paths import ROOT
from tests.unit.handlers.chat.chat_server import make_namespace

# https://prometheus.io/docs/practices/naming/
UNITS = ("_seconds", "_bytes", "_info")
COUNTS = (
    "_max",
    "_messages",
    "_ready",
    "_connections",
    "_online",
    "_waiting",
    "_overloaded",
    "_servers",
    "_entries",
)
ASKED_FOR = re.compile(r"\b(?:chatio|process|python)_[a-z_]+\b")


@pytest.fixture
def measures() -> Iterator[MetricsCollector]:
    realtime, _ = create_server(RealtimeOptions(max_connections=5, close_reasons=CLOSE_REASONS))
    log = SharedLog(MemoryJournal(), MessageLog())
    hasher = PasswordHasher(memory_kib=8, iterations=1)
    chat = make_namespace(realtime, log, Tokens("k" * 32, ttl_seconds=60))
    requests = RequestMetrics()
    requests.requests["/login", "2xx"] += 1
    log.window.append(Message("1", "hello", "7", "Ann", "10:00", "2026-01-01T00:00:00.000Z"))
    null = os.open(os.devnull, os.O_WRONLY)
    log_handler = LogHandler(null)
    yield MetricsCollector(
        engine=realtime.eio,
        chat=chat,
        log=log,
        hasher=hasher,
        load=LoopLagMonitor(0.25),
        requests=requests,
        log_handler=log_handler,
    )
    log_handler.close()
    os.close(null)
    hasher.close()


class Row(NamedTuple):
    name: str
    kind: str
    labels: frozenset[str]


def row_of(metric: Metric) -> Row:
    name = {"counter": f"{metric.name}_total", "info": f"{metric.name}_info"}.get(metric.type, metric.name)
    labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
    return Row(name, metric.type.replace("info", "gauge"), frozenset(labels))


def documented() -> list[Row]:
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| `(chatio_\w+)` \| (\w+) \|([^|]*)\|", text, re.MULTILINE)
    return [Row(name, kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows]


def test_every_metric_has_its_row_and_every_row_its_metric(measures: MetricsCollector) -> None:
    collected = [row_of(metric) for metric in measures.collect()]
    assert sorted(collected) == sorted(documented())


def test_names_follow_the_conventions(measures: MetricsCollector) -> None:
    for metric in measures.collect():
        row = row_of(metric)
        assert re.fullmatch(r"chatio(_[a-z]+)+", row.name)
        assert metric.documentation.endswith(".")
        if metric.type == "counter":
            assert row.name.endswith("_total")
        elif metric.type == "histogram":
            assert row.name.endswith("_seconds")
        else:
            assert row.name.endswith((*UNITS, *COUNTS))


def test_every_reason_of_a_refusal_is_explained(measures: MetricsCollector) -> None:
    text = (ROOT / "docs" / "metrics.md").read_text("utf-8").partition("## Why clients")[2]
    header, *explained = re.findall(r"^\| `(\w+)` \| \S", text, re.MULTILINE)
    assert header == "reason"
    assert sorted(explained) == sorted(measures.engine.refusals)


def test_what_the_log_has_is_measured(measures: MetricsCollector) -> None:
    values = {sample.name: sample for metric in measures.collect() for sample in metric.samples}
    assert values["chatio_log_oldest_timestamp_seconds"].value == 1767225600
    assert values["chatio_messages_accepted_total"].value == 1
    assert values["chatio_connections_max"].value == 5
    assert values["chatio_build_info"].labels == {"version": chatio.__version__, "server": ""}


def known(measures: MetricsCollector) -> set[str]:
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    registry.register(measures)
    histograms = {
        f"{metric.name}_{part}"
        for metric in registry.collect()
        if metric.type == "histogram"
        for part in ("bucket", "count", "sum")
    }
    return histograms | {sample.name for metric in registry.collect() for sample in metric.samples}


def test_the_dashboard_asks_for_metrics_that_there_are_and_for_all_of_ours(measures: MetricsCollector) -> None:
    dashboard: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana.json").read_text("utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    asked = {name for query in queries for name in ASKED_FOR.findall(query)}
    assert asked - known(measures) == set()
    ours = {row.name for row in documented()}
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in asked}
    assert ours - shown == set()
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_rules_ask_for_metrics_that_there_are(measures: MetricsCollector) -> None:
    rules = (ROOT / "deploy" / "alerts.yml").read_text("utf-8")
    asked = set(ASKED_FOR.findall(rules))
    assert len(asked) > 8
    assert asked - known(measures) == set()
