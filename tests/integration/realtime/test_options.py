"""The library's options, the caller's address and the transports' manners, on real requests."""

import asyncio
import gc
import json
import socket
from typing import Any

import pytest
import uvloop
from tornado.httputil import HTTPServerRequest

from chatio.realtime import RealtimeOptions, create_server
from chatio.realtime.websocket.frames import FrameReader
from chatio.throttling.client_ip import parse_networks
from tests.client.wire import ENGINE_IO, SOCKET_IO, Http, Ws, join, leftovers, open_ws, request, serving, until
from tests.conftest import ExpectedLogs
from tests.integration.realtime.churn import churn, churn_server
from tests.integration.realtime.engine import echoing

PAGE = "https://page.example"


def only_page_here(origin: str | None, environ: dict[str, Any]) -> bool:
    return origin == PAGE and environ["HTTP_HOST"] == "localhost"


@pytest.mark.parametrize("allowed", [PAGE, [PAGE], "*", ["*"], only_page_here])
async def test_allowed_origin_is_let_in_and_told_so(allowed: Any) -> None:
    _server, handler = create_server(RealtimeOptions(cors_allowed_origins=allowed))
    async with serving(handler) as port:
        answer = await request(port, "GET", f"{SOCKET_IO}polling", Origin=PAGE)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["vary"] == "Origin"
        assert (await Ws.open(port, f"{SOCKET_IO}websocket", Origin=PAGE)).status == 101
        refused = await request(port, "GET", f"{SOCKET_IO}polling&sid=unknown", Origin=PAGE)
        assert refused.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("allowed", [PAGE, [PAGE], None, only_page_here])
async def test_other_origin_is_refused_before_any_session(allowed: Any) -> None:
    server, handler = create_server(RealtimeOptions(cors_allowed_origins=allowed))
    async with serving(handler) as port:
        answer = await request(port, "GET", f"{SOCKET_IO}polling", Origin="https://other.example")
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers
        assert (await Ws.open(port, f"{SOCKET_IO}websocket", Origin="https://other.example")).status == 403
        assert not leftovers(server)


async def test_same_origin_is_let_in_by_default_and_any_where_cors_is_off() -> None:
    _server, handler = create_server()
    async with serving(handler) as port:
        assert (await Ws.open(port, f"{SOCKET_IO}websocket", Origin="http://localhost")).status == 101
    _server, handler = create_server(RealtimeOptions(cors_allowed_origins=[]))
    async with serving(handler) as port:
        answer = await request(port, "GET", f"{SOCKET_IO}polling", Origin="https://other.example")
        assert answer.status == 200
        assert "access-control-allow-origin" not in answer.headers


async def test_preflight_is_answered() -> None:
    _server, handler = create_server(RealtimeOptions(cors_allowed_origins=PAGE))
    async with serving(handler) as port:
        answer = await request(
            port, "OPTIONS", f"{SOCKET_IO}polling", Origin=PAGE, Access_Control_Request_Headers="content-type"
        )
    assert answer.status == 204
    assert answer.headers["access-control-allow-methods"] == "OPTIONS, GET, POST"
    assert answer.headers["access-control-allow-headers"] == "content-type"


async def test_preflight_with_a_body_is_refused() -> None:
    _server, handler = create_server(RealtimeOptions(cors_allowed_origins=PAGE))
    async with serving(handler) as port:
        assert (await request(port, "OPTIONS", f"{SOCKET_IO}polling", b"a body", Origin=PAGE)).status == 400


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        ([], "198.51.100.1", "127.0.0.1"),
        (["127.0.0.1"], "198.51.100.1", "198.51.100.1"),
        (["127.0.0.0/8"], "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (["10.0.0.1"], "198.51.100.1", "127.0.0.1"),
    ],
)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_handlers_get_true_address(
    proxies: list[str], forwarded: str, address: str, transport: str, logs: ExpectedLogs
) -> None:
    if address == "127.0.0.1":
        logs.expect(
            "^Requests from 127.0.0.1 have X-Forwarded-For, and TRUSTED_PROXIES does not name that address"
        )
    seen: list[str] = []
    server, handler = create_server(RealtimeOptions(trusted_proxies=parse_networks(proxies)))
    server.on("connect", lambda sid, environ: seen.append(environ["REMOTE_ADDR"]))
    async with serving(handler) as port:
        if transport == "websocket":
            ws = await Ws.open(port, f"{SOCKET_IO}websocket", X_Forwarded_For=forwarded)
            await ws.receive()
            ws.send("40")
            await ws.receive()
        else:
            answer = await request(port, "GET", f"{SOCKET_IO}polling", X_Forwarded_For=forwarded)
            sid = json.loads(answer.text[1:])["sid"]
            await request(port, "POST", f"{SOCKET_IO}polling&sid={sid}", b"40")
            await until(lambda: seen)
    assert seen == [address]


async def test_environ_holds_no_tornado_object_and_no_handshake_secrets() -> None:
    server, handler = create_server()
    async with serving(handler) as port:
        await open_ws(port)
        environ = next(iter(server.environ.values()))
    assert not [
        value for value in environ.values() if isinstance(value, HTTPServerRequest) or "tornado" in repr(value)
    ]
    assert "HTTP_SEC_WEBSOCKET_KEY" not in environ


async def test_websocket_has_nagle_off_and_no_extension() -> None:
    async with echoing() as (engine, port):
        http = await Http.open(port)
        http.close()
        ws = await Ws.open(port, f"{ENGINE_IO}websocket", Sec_WebSocket_Extensions="permessage-deflate")
        assert ws.status == 101
        await until(lambda: engine.sockets)
        connection = next(iter(engine.sockets.values()))
        sock = connection.websocket.sock
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        engine.send(connection.sid, "x" * 1000)
        opcode, payload = 1, ""
        while not payload.startswith("4"):
            opcode, raw = await ws.frame()
            payload = raw.decode()
        assert (opcode, payload) == (1, "4" + "x" * 1000)


async def test_idle_connection_has_no_task_no_queue_and_no_parser() -> None:
    server, handler = create_server()
    server.on("echo", lambda sid, value: value)
    async with serving(handler) as port:
        ws = await join(port)
        ws.send('421["echo",1]')
        assert await ws.receive() == "431[1]"
        connection = next(iter(server.eio.sockets.values()))
        await until(lambda: connection.received.worker is None)
        await until(lambda: not server.table_sizes()["tasks"])
        assert connection.poll_queue is None
        gc.collect()
        assert not [thing for thing in gc.get_objects() if isinstance(thing, FrameReader)]
        assert not connection.websocket.pending_output_bytes


async def test_churn_of_every_kind_leaves_nothing() -> None:
    server, handler = churn_server(connect_timeout=2.0)
    async with serving(handler) as port:
        await churn(port, 200, seed=1)
        await until(lambda: not leftovers(server), 20)


def test_seam_works_on_uvloop_too() -> None:
    async def main() -> None:
        server, handler = churn_server(connect_timeout=2.0)
        async with serving(handler) as port:
            await churn(port, 100, seed=2)
            await until(lambda: not leftovers(server), 20)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def test_failing_origin_check_is_answered_500_and_logged_in_one_line(logs: ExpectedLogs) -> None:
    logs.expect(r"^realtime request failed: ZeroDivisionError at .+ \(reference \w+\)$")
    _server, handler = create_server(RealtimeOptions(cors_allowed_origins=lambda origin, environ: bool(1 / 0)))
    async with serving(handler) as port:
        answer = await request(port, "GET", f"{SOCKET_IO}polling", Origin=PAGE)
    assert answer.status == 500
    assert json.loads(answer.body)["message"] == "Internal Server Error"


async def test_method_that_tornado_does_not_know_is_answered_405() -> None:
    _server, handler = create_server()
    async with serving(handler) as port:
        answer = await request(port, "BREW", f"{SOCKET_IO}polling")
        assert (answer.status, answer.header("allow")) == (405, "GET, POST, OPTIONS")
