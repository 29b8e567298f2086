"""A scrape after a run with known counts."""

import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.system.js import JsClients
from tests.system.server import PATIENCE_SECONDS, ServerProcess, await_until

Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]

WEBSOCKET, POLLING = ["websocket"], ["polling"]


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - our own server's
        return str(answer.read().decode())


def metrics_url(server: ServerProcess) -> str:
    (url,) = re.findall(r"Metrics are at (\S+)", "\n".join(server.lines))
    return str(url)


def scrape(server: ServerProcess) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(fetched(metrics_url(server)))
        for sample in family.samples
    }


def counted(samples: Samples) -> dict[str, float]:
    """The product's counters that are not 0, and the counts of its histograms, written as in a query."""
    return {
        name + (f"{{{','.join(f'{key}={value}' for key, value in labels)}}}" if labels else ""): value
        for (name, labels), value in samples.items()
        if value and name.startswith("chatio_") and name.endswith(("_total", "_count"))
    }


@pytest.fixture
def measured() -> Iterator[ServerProcess]:
    with ServerProcess(METRICS_PORT="0", MESSAGE_MAX_CHARS="100") as server:
        yield server


def play(server: ServerProcess, js: JsClients) -> None:
    ann, bob = server.sign_up("ann"), server.sign_up("bob")
    known = {"name": "ann", "email": "ann@chat.test", "password": "another password"}
    assert server.request("POST", "/register", known).status == 409
    assert server.request("POST", "/register", {}).status == 400
    assert server.request("GET", "/register").status == 405
    assert server.request("POST", "/login", known).status == 404
    assert server.request("POST", "/login", {}).status == 400
    assert server.request("GET", "/user").status == 401
    assert server.request("GET", "/what/somebody/typed").status == 404
    assert server.request("GET", "/socket.io/?EIO=4&transport=polling&sid=none").status == 400

    js.join("ann", server.url, ann, transports=WEBSOCKET)
    js.join("bob", server.url, bob)
    js.expect("bob", "upgrade")
    js.join("eve", server.url, ann, transports=POLLING)
    for name, token in (("none", None), ("odd", "odd"), ("forged", ann[:-6] + "AAAAAA")):
        js.open(name, server.url, token, transports=WEBSOCKET, nonsense=token is None)
        js.expect(name, "connect_error")

    for number in range(3):
        js.emit("ann", "send-message", {"id": f"{number}", "content": "hello"}, ack="sent")
    js.emit("ann", "send-message", {"id": "0", "content": "hello"}, ack="sent")
    js.emit("bob", "send-message", {"content": ""}, ack="sent", nonsense=True)
    js.emit("bob", "send-message", {"content": 7}, nonsense=True)
    js.emit("bob", "send-message", {"content": "x" * 101}, ack="sent")
    js.expect("ann", "ack:sent", 4)
    js.expect("bob", "ack:sent", 2)
    js.expect("bob", "message-rejected")
    for name in ("ann", "bob", "eve"):
        js.expect(name, "receive-message", 3)
    js.open("late", server.url, bob, transports=WEBSOCKET)
    js.expect("late", "receive-message", 3)
    js.cut("late")
    js.expect("late", "disconnect")
    ((_, _, recovered),) = js.expect("late", "connect", 2)[1:]
    assert recovered


def test_counts_are_exactly_those_of_the_run(measured: ServerProcess, js: JsClients) -> None:
    began = time.time()
    play(measured, js)
    await_until(
        lambda: scrape(measured)["chatio_connections", (("transport", "websocket"),)] == 3, "refused are gone"
    )
    samples = scrape(measured)
    counts = counted(samples)
    assert counts.pop("chatio_http_requests_total{route=/socket.io,status=2xx}") > 5
    assert counts.pop("chatio_loop_delay_seconds_count") > 0
    assert counts == {
        "chatio_connects_total{transport=polling}": 2,
        "chatio_connects_total{transport=websocket}": 6,
        "chatio_upgrades_total": 1,
        "chatio_connections_refused_total{reason=unknown_session}": 1,
        "chatio_joins_total{kind=new}": 4,
        "chatio_joins_total{kind=recovered}": 1,
        "chatio_joins_refused_total{reason=missing_token}": 1,
        "chatio_joins_refused_total{reason=malformed_token}": 1,
        "chatio_joins_refused_total{reason=invalid_signature}": 1,
        "chatio_messages_accepted_total": 3,
        "chatio_messages_repeated_total": 1,
        "chatio_messages_refused_total{reason=empty_message}": 1,
        "chatio_messages_refused_total{reason=invalid_message}": 1,
        "chatio_messages_refused_total{reason=message_too_long}": 1,
        "chatio_deliveries_total": 12,
        "chatio_delivery_seconds_count": 3,
        "chatio_http_requests_total{route=/login,status=2xx}": 2,
        "chatio_http_requests_total{route=/login,status=4xx}": 2,
        "chatio_http_requests_total{route=/register,status=2xx}": 2,
        "chatio_http_requests_total{route=/register,status=4xx}": 3,
        "chatio_http_requests_total{route=/user,status=4xx}": 1,
        "chatio_http_requests_total{route=/socket.io,status=4xx}": 1,
        "chatio_http_requests_total{route=other,status=4xx}": 1,
        "chatio_logins_total{outcome=ok}": 2,
        "chatio_logins_total{outcome=bad_credentials}": 1,
        "chatio_logins_total{outcome=invalid_input}": 1,
        "chatio_registrations_total{outcome=ok}": 2,
        "chatio_registrations_total{outcome=email_already_used}": 1,
        "chatio_registrations_total{outcome=invalid_input}": 1,
        "chatio_hashing_seconds_count": 5,
    }
    assert samples["chatio_connections", (("transport", "polling"),)] == 1
    assert samples["chatio_people_online", ()] == 2
    assert samples["chatio_log_messages", ()] == 3
    assert began - 1 <= samples["chatio_log_oldest_timestamp_seconds", ()] <= time.time()
    assert samples["chatio_hashing_waiting", ()] == 0
    assert samples["process_open_fds", ()] > 4


def test_refused_clients_are_counted_by_reason(js: JsClients) -> None:
    with ServerProcess(
        METRICS_PORT="0", RATE_LIMITS="on", MAX_CONNECTIONS="2", MAX_CONNECTIONS_PER_PERSON="1"
    ) as server:
        token = server.sign_up("ann")
        js.join("ann", server.url, token, transports=WEBSOCKET)
        js.open("again", server.url, token, transports=WEBSOCKET, reconnection=False)
        person_full = "chatio_connections_refused_total", (("reason", "person_full"),)
        await_until(lambda: scrape(server)[person_full] == 1, "it is refused")
        handshake = "/socket.io/?EIO=4&transport=polling"
        assert server.request("GET", handshake).status == 503
        assert server.request("GET", handshake, headers={"Origin": "http://elsewhere.test"}).status == 403
        refused = {name: value for name, value in counted(scrape(server)).items() if "refused" in name}
    assert refused == {
        "chatio_connections_refused_total{reason=person_full}": 1,
        "chatio_connections_refused_total{reason=full}": 1,
        "chatio_connections_refused_total{reason=origin}": 1,
    }


def test_metrics_are_served_nowhere_unless_a_port_is_named(server: ServerProcess) -> None:
    assert "Metrics" not in "\n".join(server.lines)
    assert server.request("GET", "/metrics").status == 404
