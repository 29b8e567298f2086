"""Recovery: official clients whose connection is cut by a proxy while others send."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.js import JsClients
from tests.system.proxy import CuttingProxy
from tests.system.server import ServerProcess, await_until
from tests.system.test_chat import transports

QUICKLY: dict[str, Any] = {"reconnectionDelay": 20, "reconnectionDelayMax": 50, "timeout": 3000}
PINGS_QUICKLY: Any = {"PING_INTERVAL_SECONDS": "0.5", "PING_TIMEOUT_SECONDS": "0.5"}


def spoken(count: int, prefix: str = "message") -> list[dict[str, Any]]:
    return [{"id": str(uuid.uuid4()), "content": f"{prefix} {number}"} for number in range(count)]


def contents(received: list[list[Any]]) -> list[str]:
    return [args[0]["content"] for args in received]


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    """A server with a short grace: a session that a cut has left behind would use up ten seconds."""
    with ServerProcess(SHUTDOWN_GRACE_SECONDS="1") as process:
        yield process


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[CuttingProxy]:
    with CuttingProxy(server.port) as running:
        yield running


def bob_says(js: JsClients, count: int, prefix: str = "message") -> list[str]:
    """Bob sends `count` messages, and hears them all; their contents."""
    messages = spoken(count, prefix)
    js.burst("bob", messages)
    js.expect("bob", "receive-message", count)
    return [message["content"] for message in messages]


def assert_recovers(js: JsClients, texts: list[str]) -> None:
    """Ann's client connects again, is told that it has missed nothing, and receives `texts`."""
    assert js.expect("ann", "connect")[0][2] is True
    assert contents(js.expect("ann", "receive-message", len(texts))) == texts


def settle_transport(js: JsClients, transports: list[str]) -> None:
    if transports == ["polling", "websocket"]:
        assert js.expect("ann", "upgrade") == [["websocket"]]


@transports
@pytest.mark.parametrize("count", [5, 200, 5000])
def test_cut_client_recovers_all_that_was_said_in_order_and_once(
    server: ServerProcess, proxy: CuttingProxy, js: JsClients, transports: list[str], count: int
) -> None:
    js.open("ann", proxy.url, server.sign_up("ann"), transports=transports, **QUICKLY)
    js.open("bob", server.url, server.sign_up("bob"), transports=["websocket"])
    ((first_id, _, recovered),) = js.expect("ann", "connect")
    settle_transport(js, transports)
    js.expect("bob", "connect")
    assert recovered is False
    js.emit("bob", "send-message", {"content": "before"})
    assert contents(js.expect("ann", "receive-message")) == ["before"]
    js.expect("bob", "receive-message")
    proxy.cut()
    js.expect("ann", "disconnect")
    texts = bob_says(js, count)
    proxy.mend()
    ((second_id, _, recovered),) = js.expect("ann", "connect")
    assert recovered is True
    assert second_id != first_id
    assert contents(js.expect("ann", "receive-message", count)) == texts
    js.emit("bob", "send-message", {"content": "after"})
    assert contents(js.expect("ann", "receive-message")) == ["after"]


@transports
def test_client_that_has_seen_no_event_yet_recovers_too(
    server: ServerProcess, proxy: CuttingProxy, js: JsClients, transports: list[str]
) -> None:
    js.join("bob", server.url, server.sign_up("bob"), transports=["websocket"])
    js.join("ann", proxy.url, server.sign_up("ann"), transports=transports, **QUICKLY)
    settle_transport(js, transports)
    proxy.cut()
    js.expect("ann", "disconnect")
    texts = bob_says(js, 5)
    proxy.mend()
    assert_recovers(js, texts)


@transports
def test_client_behind_a_black_hole_recovers_after_its_ping_timeout(js: JsClients, transports: list[str]) -> None:
    with ServerProcess(**PINGS_QUICKLY) as server, CuttingProxy(server.port) as proxy:
        js.open("ann", proxy.url, server.sign_up("ann"), transports=transports, **QUICKLY)
        js.open("bob", server.url, server.sign_up("bob"), transports=["websocket"])
        js.expect("ann", "connect")
        settle_transport(js, transports)
        js.expect("bob", "connect")
        proxy.swallow()
        texts = bob_says(js, 200)
        js.expect("ann", "disconnect")
        proxy.cut()
        proxy.mend()
        assert_recovers(js, texts)


def test_client_cut_in_the_middle_of_its_upgrade_recovers(js: JsClients) -> None:
    """A client whose WebSocket dies between probe and upgrade stops polling; the ping timeout tells it."""
    with ServerProcess(**PINGS_QUICKLY) as server, CuttingProxy(server.port) as proxy:
        js.join("bob", server.url, server.sign_up("bob"), transports=["websocket"])
        js.join("ann", proxy.url, server.sign_up("ann"), **QUICKLY)
        for round_number in range(10):
            proxy.cut()
            js.expect("ann", "disconnect")
            texts = bob_says(js, 3, f"round {round_number}")
            proxy.mend()
            proxy.delay_seconds = 0.003 * round_number  # so that the next cut comes at another step of the upgrade
            assert_recovers(js, texts)


@pytest.mark.alone("stops the process that has the client")
def test_slow_client_that_was_dropped_recovers(js: JsClients) -> None:
    with ServerProcess(SLOW_CLIENT_SECONDS="0.5") as server, CuttingProxy(server.port) as proxy:
        js.join("ann", proxy.url, server.sign_up("ann"), transports=["websocket"], **QUICKLY)
        js.join("bob", server.url, server.sign_up("bob"), transports=["websocket"])
        before = server.open_files()
        proxy.stall()
        texts = bob_says(js, 3000, "." * 4000)
        await_until(lambda: server.open_files() == before - 1, "ann is dropped")
        proxy.mend()
        js.expect("ann", "disconnect")
        assert_recovers(js, texts)


@pytest.mark.alone("stops the process that has the client")
def test_message_acknowledged_before_a_stop_has_reached_the_others(js: JsClients) -> None:
    with ServerProcess() as server:
        for name in ("ann", "bob"):
            js.join(name, server.url, server.sign_up(name), transports=["websocket"], reconnection=False)
        for number in range(200):
            js.emit("ann", "send-message", {"content": f"message {number}"}, ack="stored")
        js.expect("ann", "ack:stored", 50)
        assert server.stop() == 0
        for name in ("ann", "bob"):
            js.expect(name, "disconnect")
        acknowledged = 50 + len(js.kept("ann", "ack:stored"))
        assert len(js.kept("bob", "receive-message")) >= acknowledged


@pytest.mark.parametrize(("count", "newest"), [("3", ["message 2", "message 3", "message 4"]), ("0", [])])
def test_new_client_receives_so_many_of_the_newest_messages(js: JsClients, count: str, newest: list[str]) -> None:
    with ServerProcess(HISTORY_ON_CONNECT=count) as server:
        js.join("bob", server.url, server.sign_up("bob"))
        bob_says(js, 5)
        js.join("ann", server.url, server.sign_up("ann"))
        js.emit("bob", "send-message", {"content": "now"})
        assert contents(js.expect("ann", "receive-message", len(newest) + 1)) == [*newest, "now"]


@pytest.mark.alone("a server in memory, where tokens need no account")
def test_after_a_restart_no_client_is_told_that_it_recovered(js: JsClients) -> None:
    with ServerProcess() as first:
        port, token = first.port, first.sign_up("ann")
        js.join("ann", first.url, token, **QUICKLY)
        js.emit("ann", "send-message", {"content": "old"})
        js.expect("ann", "receive-message")
        assert first.stop() == 0
    js.expect("ann", "disconnect")
    with ServerProcess(SERVER_PORT=str(port)) as second:
        assert js.expect("ann", "connect")[0][2] is False
        js.emit("ann", "send-message", {"content": "new"})
        assert contents(js.expect("ann", "receive-message")) == ["new"]
        assert second.stop() == 0


def test_what_was_forgotten_is_not_claimed_and_what_is_left_arrives(js: JsClients) -> None:
    with ServerProcess(LOG_MAX_MESSAGES="10") as server, CuttingProxy(server.port) as proxy:
        js.join("ann", proxy.url, server.sign_up("ann"), transports=["websocket"], **QUICKLY)
        js.join("bob", server.url, server.sign_up("bob"), transports=["websocket"])
        js.emit("bob", "send-message", {"content": "seen"})
        for name in ("ann", "bob"):
            js.expect(name, "receive-message")
        proxy.cut()
        js.expect("ann", "disconnect")
        bob_says(js, 25)
        proxy.mend()
        assert js.expect("ann", "connect")[0][2] is False
        assert contents(js.expect("ann", "receive-message", 10)) == [f"message {n}" for n in range(15, 25)]


def test_retries_over_cut_connections_add_none(server: ServerProcess, proxy: CuttingProxy, js: JsClients) -> None:
    options = {"transports": ["websocket"], "retries": 20, "ackTimeout": 300, **QUICKLY}
    js.join("ann", proxy.url, server.sign_up("ann"), **options)
    js.join("bob", server.url, server.sign_up("bob"), transports=["websocket"])
    messages = spoken(60)
    js.burst("ann", messages)
    for number in range(0, 60, 10):
        js.expect("bob", "receive-message", 10) if number < 50 else None
        proxy.cut_answers()
        await_until(lambda: proxy.connections == 0, "the proxy's connections are gone")
        proxy.mend()
    received = js.expect("bob", "receive-message", 10)
    assert received[-1][0]["content"] == "message 59"
    js.emit("bob", "send-message", {"content": "the end"})
    assert contents(js.expect("bob", "receive-message")) == ["the end"]
