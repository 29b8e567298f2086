"""Readiness of a whole server, and the reason when it is not ready."""

import json
import signal

import pytest

from tests.client.wire import join
from tests.system.js import JsClients
from tests.system.server import ServerProcess, await_until

# More than the kernel keeps for a client that does not read.
MESSAGES, CHARS = 1500, 9_000


def ready(server: ServerProcess) -> object:
    reply = server.request("GET", "/readyz")
    assert (reply.status == 200) == (reply.body["status"] == "ready")
    return reply.body.get("reason")


def test_server_is_ready_until_it_is_full_and_again_when_a_client_has_left(js: JsClients) -> None:
    with ServerProcess(MAX_CONNECTIONS="1") as server:
        assert ready(server) is None
        token = server.sign_up("ann")
        js.join("ann", server.url, token, transports=["websocket"])
        assert ready(server) == "full"
        assert server.request("GET", "/healthz").status == 200
        js.close("ann")
        await_until(lambda: ready(server) is None, "there is room")


def test_a_server_that_is_overloaded_is_not_ready_and_is_well() -> None:
    with ServerProcess(OVERLOAD_LAG_SECONDS="0.000001") as server:
        await_until(lambda: ready(server) == "overloaded", "it is overloaded")
        assert server.request("GET", "/healthz").status == 200


@pytest.mark.direct("a WebSocket of its own making, whose reading it stops")
async def test_a_server_that_leaves_is_not_ready_and_answers_until_it_has_gone() -> None:
    with ServerProcess(SHUTDOWN_GRACE_SECONDS="60", HISTORY_ON_CONNECT="0") as server:
        ws = await join(server.port, "/chat", {"token": server.sign_up("ann")})
        ws.http.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(MESSAGES):
            ws.send("42/chat," + json.dumps(["send-message", {"content": f"{number} {'.' * CHARS}"}]))
            await ws.http.writer.drain()
        server.process.send_signal(signal.SIGTERM)
        await_until(lambda: ready(server) == "stopping", "it leaves")
        assert server.request("GET", "/healthz").status == 200
        assert server.request("GET", "/user").status == 503
        assert server.stop() == 0  # the second signal
        ws.cut()
    assert "readyz" not in "\n".join(server.lines)
