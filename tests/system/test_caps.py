"""Connection limits: what official clients see of each, and that they join by themselves once there is room."""

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

from tests.client.protocol import http_request, websocket_request
from tests.system.js import JsClients
from tests.system.server import REAL_COMMAND, ServerProcess
from tests.system.test_chat import page_message, transports

HANDSHAKE = "/socket.io/?EIO=4&transport=polling"


@contextmanager
def websocket(port: int, address: str = "127.0.0.1") -> Iterator[None]:
    """A connection that stays silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0)) as connection:
        connection.sendall(websocket_request())
        assert connection.recv(64).startswith(b"HTTP/1.1 101")
        yield


def limited(**settings: Any) -> ServerProcess:
    return ServerProcess(RATE_LIMITS="on", **settings)


@transports
@pytest.mark.parametrize("setting", ["MAX_CONNECTIONS", "MAX_CONNECTIONS_PER_ADDRESS"])
def test_client_is_told_503_and_joins_a_free_place(js: JsClients, setting: str, transports: list[str]) -> None:
    with limited(**{setting: "2"}) as server:
        for name in ("ann", "bob"):
            js.join(name, server.url, server.sign_up(name), transports=transports)
        js.open("eve", server.url, server.sign_up("eve"), transports=transports, reconnectionDelay=50)
        ((text, data),) = js.expect("eve", "connect_error")
        assert (text, data) == (f"{'xhr poll' if transports[0] == 'polling' else 'websocket'} error", None)
        reply = server.request("GET", HANDSHAKE, headers={"Origin": "http://localhost:5173"})
        assert reply.status == 503
        assert reply.headers["Retry-After"] == "5"
        assert reply.headers["Access-Control-Expose-Headers"] == "Retry-After"
        assert reply.body["retry_after_seconds"] == 5
        assert reply.headers["Access-Control-Allow-Origin"] == "http://localhost:5173"
        assert reply.body["message"].startswith("Too many connections")
        js.close("bob")
        js.expect("eve", "connect")
        js.emit("eve", "send-message", page_message("in"))
        js.expect("ann", "receive-message")


def test_upgrade_takes_no_second_place(js: JsClients) -> None:
    with limited(MAX_CONNECTIONS="1") as server:
        js.open("ann", server.url, server.sign_up("ann"))
        assert js.expect("ann", "upgrade") == [["websocket"]]
        js.expect("ann", "connect")


@transports
def test_one_page_too_many_waits_while_the_others_go_on(js: JsClients, transports: list[str]) -> None:
    with limited(MAX_CONNECTIONS_PER_PERSON="2") as server:
        token = server.sign_up("ann")
        for page in ("one", "two", "three"):
            js.open(page, server.url, token, transports=transports, reconnectionDelay=50)
            if page != "three":
                js.expect(page, "connect")
        assert js.expect("three", "engine_close") == [["transport close"]]
        js.close("one")
        js.expect("three", "connect")
        assert js.kept("three", "connect_error") == []
        assert js.kept("two", "disconnect") == []
        js.join("bob", server.url, server.sign_up("bob"), transports=transports)


def test_handshakes_past_the_burst_get_in_at_the_rate(js: JsClients) -> None:
    with limited(MAX_CONNECTIONS_PER_ADDRESS="3", CONNECTS_PER_MINUTE="30") as server:
        token = server.sign_up("ann")
        for count in range(3):
            js.join(f"{count}", server.url, token, reconnectionDelay=50)
        js.close("0")
        js.open("late", server.url, token, reconnectionDelay=50)
        js.expect("late", "connect_error")
        js.expect("late", "connect")
        server.stop()
    refused = [line.rpartition(": ")[2] for line in server.lines if "refused or closed" in line]
    assert "Too many handshakes from one address" in refused


@pytest.mark.direct("is the proxy itself, and says who comes")
def test_ipv6_addresses_of_one_line_share_its_places() -> None:
    with limited(MAX_CONNECTIONS_PER_ADDRESS="2", TRUSTED_PROXIES="127.0.0.1") as server:

        def status(address: str) -> int:
            with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
                connection.request("GET", HANDSHAKE, headers={"X-Forwarded-For": address})
                return connection.getresponse().status

        of_one_line = [status(address) for address in ("2001:db8::1", "2001:db8::2", "2001:db8::ffff:0:3")]
        assert of_one_line == [200, 200, 503]
        assert status("2001:db8:0:1::1") == 200
        assert status("192.0.2.1") == 200


def test_page_that_sends_more_than_its_burst_is_slowed_down_and_loses_nothing(js: JsClients) -> None:
    with limited(INPUT_BURST_BYTES="100000", INPUT_BYTES_PER_SECOND="100000") as server:
        js.join("ann", server.url, server.sign_up("ann"))
        js.join("bob", server.url, server.sign_up("bob"))
        began = time.monotonic()
        sent: list[dict[str, Any]] = [page_message(f"{number} {'x' * 9_000}") for number in range(40)]
        js.burst("ann", sent)
        js.emit("bob", "send-message", page_message("bob's"))
        received = [args[0]["content"] for args in js.expect("bob", "receive-message", 41)]
        assert time.monotonic() - began > 2.5  # 370 kB, of which 270 kB at the rate
        assert received.index("bob's") < 40
        received.remove("bob's")
        assert received == [message["content"] for message in sent]
        assert js.kept("ann", "disconnect") == []


def test_rate_limits_off_leaves_only_the_bound_in_all(js: JsClients) -> None:
    with ServerProcess(
        MAX_CONNECTIONS="3",
        MAX_CONNECTIONS_PER_ADDRESS="1",
        MAX_CONNECTIONS_PER_PERSON="1",
        CONNECTS_PER_MINUTE="1",
        INPUT_BURST_BYTES="1024",
        INPUT_BYTES_PER_SECOND="1024",
    ) as server:
        token = server.sign_up("ann")
        for page in ("one", "two", "three"):
            js.join(page, server.url, token)
        js.emit("one", "send-message", page_message("x" * 10_000))
        js.emit("one", "send-message", page_message("y" * 10_000))
        js.expect("two", "receive-message", 2)
        assert server.request("GET", HANDSHAKE).status == 503


@pytest.mark.direct("WebSockets of its own making")
def test_fewer_files_than_connections_is_said_and_leaves_room_to_say_no() -> None:
    command = ("sh", "-c", 'ulimit -n 128; exec "$@"', "sh", *REAL_COMMAND)
    with (
        limited(MAX_CONNECTIONS="500", MAX_CONNECTIONS_PER_ADDRESS="400", command=command) as server,
        ExitStack() as crowd,
    ):
        for number in range(96):  # of which one address has half at most
            crowd.enter_context(websocket(server.port, f"127.0.0.{2 + number % 3}"))
        assert server.request("GET", HANDSHAKE).status == 503
        assert server.request("GET", "/user").status == 401
    (told,) = server.alarms
    assert "MAX_CONNECTIONS is 500, but the limit of open files has room for 96 only: so many are accepted" in told
    assert not [line for line in server.lines if "No connection is accepted" in line]


def answered(port: int, address: str, data: bytes) -> bytes:
    """The first line of the answer to a client at `address`; b"" where the connection is closed without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0)) as connection:
        try:
            connection.sendall(data)
            return connection.recv(4096).partition(b"\r\n")[0]
        except ConnectionError:
            return b""


@pytest.mark.direct("clients at addresses of their own")
@pytest.mark.parametrize(("files", "addresses"), [(64, 1), (64, 2), (1024, 1), (4096, 2)])
def test_one_address_with_idle_connections_keeps_no_other_out(files: int, addresses: int) -> None:
    command = ("sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *REAL_COMMAND)
    with limited(command=command) as server, ExitStack() as crowd:
        for number in range(min(files, 2000) + 100):
            address = ("127.0.0.1", server.port)
            source = f"127.0.0.{2 + number % addresses}", 0
            crowd.enter_context(socket.create_connection(address, timeout=10, source_address=source))
        for other in ("127.0.0.9", "127.0.0.10"):
            assert answered(server.port, other, http_request("GET", "/user")) == b"HTTP/1.1 401 Unauthorized"
            assert answered(server.port, other, websocket_request()).startswith(b"HTTP/1.1 101")
        # Nor does an address of the crowd keep itself out.
        assert answered(server.port, "127.0.0.2", http_request("GET", "/user")) == b"HTTP/1.1 401 Unauthorized"
    assert not [line for line in server.lines if "No connection is accepted" in line]


@pytest.mark.direct("clients at addresses of their own")
def test_one_address_with_silent_websockets_keeps_no_other_out() -> None:
    command = ("sh", "-c", 'ulimit -n 128; exec "$@"', "sh", *REAL_COMMAND)
    with limited(command=command) as server, ExitStack() as crowd:
        for _ in range(48):
            crowd.enter_context(websocket(server.port))
        assert answered(server.port, "127.0.0.1", websocket_request()).startswith(b"HTTP/1.1 503")
        assert answered(server.port, "127.0.0.9", websocket_request()).startswith(b"HTTP/1.1 101")
