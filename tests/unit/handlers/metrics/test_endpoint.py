"""GET /metrics on its own port: the answer, and what any other request gets."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from tornado.netutil import bind_sockets

from chatio.server.listen import CannotListen
from handlers.metrics.endpoint import serve_metrics
from tests.conftest import ExpectedLogs
from tests.unit.handlers.rest_server import Answer, Rest, request


class Seven(Collector):
    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("seven", "Seven.", value=7)


class Broken(Collector):
    def collect(self) -> Iterable[Metric]:
        raise RuntimeError("hunter2")


@asynccontextmanager
async def serving(rest: Rest, collector: Collector) -> AsyncIterator[None]:
    """`rest` asks the port of the metrics meanwhile."""
    (free,) = bind_sockets(0, "127.0.0.1")
    rest.port = free.getsockname()[1]
    free.close()
    server = serve_metrics(collector, host="127.0.0.1", port=rest.port)
    yield
    server.stop()
    await server.close_all_connections()


async def ask(rest: Rest, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    async with serving(rest, Seven()), await rest.connect() as connection:
        await connection.send(request(method, path, body, **headers))
        return await connection.receive(to_head=method == "HEAD")


async def test_metrics_are_those_of_the_collector_and_of_the_process(rest: Rest) -> None:
    answer = await ask(rest, "GET", "/metrics", b"a short body is read and ignored")
    assert (answer.status, answer.header("server"), answer.header("etag")) == (200, None, None)
    assert answer.header("content-type").startswith("text/plain; version=")  # type: ignore[union-attr]
    text = answer.body.decode()
    assert "\nseven 7.0\n" in text
    assert "python_info" in text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("POST", "/metrics/", 404), ("HEAD", "/nothing", 404), ("POST", "/metrics", 405)],
)
async def test_any_other_request_is_error_in_plain_text(rest: Rest, method: str, path: str, status: int) -> None:
    answer = await ask(rest, method, path)
    assert (answer.status, answer.header("content-type")) == (status, "text/plain; charset=utf-8")
    assert answer.body == (b"" if method == "HEAD" else f"{status}\n".encode())
    assert answer.header("server") is None


async def test_another_method_is_told_which_are_taken(rest: Rest) -> None:
    assert (await ask(rest, "POST", "/metrics")).header("allow") == "GET, HEAD"


async def test_head_is_answered_as_get_without_a_body(rest: Rest) -> None:
    answer = await ask(rest, "HEAD", "/metrics")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("content-type").startswith("text/plain; version=")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"GET http://chat.example/metrics HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\nCookie: " + b"x" * 17_000 + b"\r\n\r\n", 431),
        (b"\x16\x03\x01", 400),
    ],
)
async def test_http_is_read_as_on_the_port_of_the_chat(rest: Rest, asked: bytes, status: int) -> None:
    async with serving(rest, Seven()), await rest.connect() as connection:
        await connection.send(asked)
        assert (await connection.receive()).status == status


async def test_a_body_that_is_too_large_is_not_read_to_its_end(rest: Rest) -> None:
    assert (await ask(rest, "GET", "/metrics", Content_Length="1025")).status == 413
    async with serving(rest, Seven()), await rest.connect() as connection:
        await connection.send(request("GET", "/metrics", Transfer_Encoding="chunked") + b"401\r\n" + b"x" * 0x401)
        assert (await connection.receive()).status == 413
        assert await connection.ends()


async def test_a_collector_that_fails_is_one_reported_failure(rest: Rest, logs: ExpectedLogs) -> None:
    logs.expect(r"^collecting metrics failed: RuntimeError at \S+test_endpoint:\d+ collect ")
    async with serving(rest, Broken()), await rest.connect() as connection:
        for _ in range(2):
            await connection.send(request("GET", "/metrics"))
            answer = await connection.receive()
            assert (answer.status, answer.body) == (500, b"500\n")


# Tornado leaves the socket that it could not bind to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
async def test_a_port_in_use_is_one_clear_line(rest: Rest) -> None:
    with pytest.raises(CannotListen, match=r"^Cannot serve metrics on 127\.0\.0\.1:\d+ \(METRICS_PORT\): "):
        serve_metrics(Seven(), host="127.0.0.1", port=rest.port)


@pytest.mark.parametrize("host", ["::1", "[::1]"])
async def test_metrics_on_ipv6_say_where_they_are(caplog: pytest.LogCaptureFixture, host: str) -> None:
    caplog.set_level("INFO", "chatio.metrics")
    serve_metrics(Seven(), host=host, port=0).stop()
    assert caplog.records[0].getMessage().startswith("Metrics are at http://[::1]:")
