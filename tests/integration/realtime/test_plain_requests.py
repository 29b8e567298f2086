"""Polling requests: read right from their socket, or by Tornado where something about them is odd."""

import asyncio
import json
import re
import socket
from collections.abc import Callable
from typing import Any

import pytest
from tornado.netutil import bind_sockets
from tornado.web import Application

from chatio.realtime import Endpoint, RealtimeOptions, create_server
from chatio.server.http import connection
from chatio.server.http.accept import LimitedHTTPServer
from chatio.server.http.connection import ACCEPT_STEPS, PLAIN_STEPS
from chatio.server.http.held_input import MOST_PER_ADDRESS, HeldInput
from chatio.server.http.stream import REQUEST_STEPS, Deadlines, HttpStream
from chatio.server.serve import HTTP_SERVER_OPTIONS
from tests.client.protocol import http_request
from tests.client.wire import (
    ENGINE_IO,
    SOCKET_IO,
    Http,
    Ws,
    leftovers,
    open_polling,
    serving,
    soon,
    until,
)
from tests.conftest import ExpectedLogs
from tests.integration.realtime.engine import Engine, echoing

LAST = http_request("GET", f"{ENGINE_IO}polling&sid=unknown", None, Connection="close")
LARGE = 500_000


def new(target: str) -> str:
    """The target of a handshake."""
    return target.partition("&sid")[0]


def get(target: str, **headers: str) -> bytes:
    return http_request("GET", target, None, **headers)


def post(target: str, body: bytes = b"4hello", **headers: str) -> bytes:
    return http_request("POST", target, body, **headers)


def chunked(target: str) -> bytes:
    return post(target, b"6\r\n4hello\r\n0\r\n\r\n", Transfer_Encoding="chunked").replace(
        b"Content-Length: 16\r\n", b""
    )


def both_lengths(target: str) -> bytes:
    return post(target, b"0\r\n\r\n4hello", Transfer_Encoding="chunked")


# Requests for a session, or for a new one.
KINDS: dict[str, Callable[[str], bytes]] = {
    "handshake": lambda target: get(new(target)),
    "handshake of a page": lambda target: get(new(target), Origin="https://page.example"),
    "handshake of a foreign page": lambda target: get(new(target), Origin="https://evil.example"),
    "handshake by POST": lambda target: post(new(target)),
    "handshake of version 3": lambda target: get(new(target).replace("EIO=4", "EIO=3")),
    "POST": post,
    "POST of a page": lambda target: post(target, Origin="https://page.example"),
    "POST of packets": lambda target: post(target, b"4a\x1e4b\x1e4c"),
    "POST of nothing": lambda target: post(target, b""),
    "POST of no packet": lambda target: post(target, b"9"),
    "POST of no text": lambda target: post(target, b"4\xff"),
    "POST too large": lambda target: post(target, b"4" + b"x" * 2000),
    "POST without a length": lambda target: post(target).replace(b"Content-Length: 6\r\n", b""),
    "POST without a body": lambda target: http_request("POST", target),
    "POST beside another": lambda target: post(target, b"4a") + post(target, b"4b"),
    "POST with two lengths": lambda target: post(target).replace(b"\r\n\r\n", b"\r\ncontent-length: 6\r\n\r\n"),
    "POST with two other lengths": lambda target: post(target).replace(
        b"\r\n\r\n", b"\r\ncontent-length: 2\r\n\r\n"
    ),
    "POST with a list of lengths": lambda target: post(target, Content_Length="6, 6"),
    "POST with a zero before its length": lambda target: post(target, Content_Length="06"),
    "POST with a sign before its length": lambda target: post(target, Content_Length="+6"),
    "POST in chunks": chunked,
    "POST with both lengths": both_lengths,
    "POST shorter than it is": lambda target: post(target, b"4helloGARBAGE", Content_Length="6"),
    "POST and what follows": lambda target: post(target) + get(f"{ENGINE_IO}websocket"),
    "POST to an unknown session": lambda target: post(target + "x"),
    "POST that expects 100": lambda target: post(target, Expect="100-continue"),
    "POST of HTTP/1.0": lambda target: post(target).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "POST in absolute form": lambda target: post(f"http://localhost{target}"),
    "POST with a folded header": lambda target: post(target).replace(b"\r\n\r\n", b"\r\nX: y\r\n z\r\n\r\n"),
    "POST with a space before a colon": lambda target: post(target).replace(b"Length:", b"Length :"),
    "POST with a bare line feed": lambda target: post(target).replace(b"\r\n\r\n", b"\nX: y\r\n\r\n"),
    "POST with a carriage return in a header": lambda target: post(target, X="a\rb"),
    "POST with letters of Latin-1": lambda target: post(target, X="\xe4"),
    "POST without a host": lambda target: post(target).replace(b"Host: localhost\r\n", b""),
    "POST with two hosts": lambda target: post(target).replace(b"\r\n\r\n", b"\r\nhost: other\r\n\r\n"),
    "POST with an odd host": lambda target: post(target, Host="a/b"),
    "POST that is the last": lambda target: post(target, Connection="close"),
    "POST with options": lambda target: post(target, Connection="keep-alive, x"),
    "POST for a WebSocket": lambda target: post(target, Upgrade="websocket", Connection="Upgrade"),
    "GET with a length": lambda target: get(new(target), Content_Length="0"),
    "GET with a body": lambda target: http_request("GET", new(target), b"4hello"),
    "GET with JSONP": lambda target: get(f"{target}&j=0"),
    "GET of an unknown session": lambda target: get(target + "x"),
    "GET with many arguments": lambda target: get(target + "&a=b" * 120),
    "HEAD": lambda target: get(target).replace(b"GET", b"HEAD"),
    "OPTIONS": lambda target: get(target).replace(b"GET", b"OPTIONS"),
    "many headers": lambda target: post(target).replace(b"\r\n\r\n", b"\r\nX: y" * 150 + b"\r\n\r\n"),
}
PLAIN = (
    *(
        "handshake",
        "handshake of a page",
        "handshake of a foreign page",
        "handshake by POST",
        "handshake of version 3",
    ),
    *("POST", "POST of a page", "POST of packets", "POST of nothing", "POST without a body", "POST of no packet"),
    *("POST of no text", "POST too large", "POST to an unknown session", "POST that is the last"),
    *("GET with a length", "GET with JSONP", "GET of an unknown session"),
)


def ws_socket(engine: Engine) -> socket.socket:
    """The socket of the one session, which is a WebSocket."""
    (session,) = engine.sockets.values()
    assert session.websocket is not None
    sock: socket.socket = session.websocket.sock
    return sock


async def transcript(kind: str, *, is_direct: bool) -> tuple[str, list[Any], bool]:
    """What a client is sent in answer to `kind`, what the application received, and whether a stream was made."""
    options: dict[str, Any] = {"cors_allowed_origins": "https://page.example", "max_http_buffer_size": 1000}
    received, streams = list[Any](), list[HttpStream]()

    def make_stream(*args: Any, **named: Any) -> HttpStream:
        streams.append(HttpStream(*args, **named))
        return streams[-1]

    with pytest.MonkeyPatch.context() as patch:
        async with echoing(**options) as (engine, port):
            target = await open_polling(port, ENGINE_IO)
            engine.on("message", lambda _, data: received.append(data))
            if not is_direct:
                patch.setattr(Endpoint, "take", lambda *_: False)
            patch.setattr(connection, "HttpStream", make_stream)
            http = await Http.open(port)
            http.writer.write(KINDS[kind](target))
            start = await soon(http.reader.readuntil(b"\r\n\r\n"))
            length = re.search(rb"Content-Length: (\d+)", start)
            if length is not None and kind != "HEAD":
                start += await soon(http.reader.readexactly(int(length[1])))
            is_streamed = bool(streams)
            http.writer.write(LAST)
            answer = (start + await http.closed()).decode("latin-1")
            http.close()
    hidden = re.sub(r"Date: [^\r]*|sid=[^& ]*|(?<=\"sid\":\")[^\"]*", "", answer)
    return hidden, received, is_streamed


@pytest.mark.parametrize("kind", KINDS)
async def test_the_answer_is_the_one_that_tornados_reader_brings(kind: str) -> None:
    direct, received, is_streamed = await transcript(kind, is_direct=True)
    by_tornado, as_well, _ = await transcript(kind, is_direct=False)
    assert direct == by_tornado
    assert received == as_well
    assert is_streamed is (kind not in PLAIN)


async def test_a_polling_client_needs_no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    async with echoing() as (engine, port):
        monkeypatch.setattr(connection, "HttpStream", None)
        target = await open_polling(port, ENGINE_IO)
        polling, posting = await Http.open(port), await Http.open(port)
        for number in range(3):
            polling.send("GET", target)
            assert (await posting.request("POST", target, b"4%d" % number)).body == b"ok"
            assert (await polling.answer()).text == f"4{number}"
        ws = await Ws.over(posting, target.replace("polling", "websocket"))
        assert ws.status == 101
        polling.send("GET", target)
        ws.send("2probe")
        assert await ws.receive() == "3probe"
        assert (await polling.answer()).text == "6"
        ws.send("5", "4late")
        assert await ws.receive() == "4late"
        assert engine.server.upgraded == 1
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # an idle WebSocket may take its time
            assert not ws_socket(engine).getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        ws.close()


async def test_a_client_that_leaves_before_its_answer_ends_its_session() -> None:
    server, endpoint = create_server(RealtimeOptions())
    async with serving(endpoint) as port:
        polling = await Http.open(port)
        polling.send("GET", await open_polling(port))
        await until(lambda: all(session.is_writable_now for session in server.eio.sockets.values()))
        polling.close()
        await until(lambda: not leftovers(server))


async def test_a_client_that_waited_for_its_turn_and_leaves_ends_its_session_too() -> None:
    waiting = list["asyncio.Future[None]"]()

    def turns(_: str, steps: int) -> "asyncio.Future[None]":
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if steps == PLAIN_STEPS:
            waiting.append(turn)
        else:
            turn.set_result(None)
        return turn

    server, endpoint = create_server(RealtimeOptions())
    async with serving(endpoint, http_options={**HTTP_SERVER_OPTIONS, "turns": turns}) as port:
        http = await Http.open(port)
        opened = await http.request("GET", f"{SOCKET_IO}polling")
        http.send("GET", f"{SOCKET_IO}polling&sid={json.loads(opened.text[1:])['sid']}")
        await until(lambda: waiting)
        (session,) = server.eio.sockets.values()
        assert not session.is_writable_now
        waiting[0].set_result(None)
        await until(lambda: session.is_writable_now)
        http.close()
        await until(lambda: len(waiting) == 1 and not leftovers(server))


async def test_a_request_that_is_sent_before_the_answer_is_answered_after_it() -> None:
    async with echoing() as (engine, port):
        target = await open_polling(port, ENGINE_IO)
        polling = await Http.open(port)
        polling.send("GET", target)
        (session,) = engine.sockets.values()
        await until(lambda: session.is_writable_now)
        polling.send("POST", target, b"4late")
        polling.send("GET", target)
        engine.send(session.sid, "first")
        assert (await polling.answer()).text == "4first"
        assert (await polling.answer()).body == b"ok"
        assert (await polling.answer()).text == "4late"


async def test_requests_of_other_kinds_follow_on_the_same_connection() -> None:
    async with echoing() as (_, port):
        target = await open_polling(port, ENGINE_IO)
        http = await Http.open(port)
        assert (await http.request("POST", target, b"4a")).body == b"ok"
        assert (await http.request("GET", target)).text == "4a"
        http.send("HEAD", new(target))
        assert (await http.answer(to_head=True)).status == 400
        body = b"4" + b"b" * 8000  # more than one read
        assert (await http.request("POST", target, body)).body == b"ok"
        assert (await http.request("GET", target)).body == body


async def test_a_request_that_comes_in_pieces_is_read_too() -> None:
    async with echoing() as (_, port):
        target = await open_polling(port, ENGINE_IO)
        http = await Http.open(port)
        assert (await http.request("POST", target, b"4a")).body == b"ok"
        data = post(target, b"4b")
        for at in range(0, len(data), 30):
            http.writer.write(data[at : at + 30])
            await http.writer.drain()
        assert (await http.answer()).body == b"ok"
        assert (await http.request("GET", target)).text == "4a\x1e4b"


@pytest.mark.parametrize("option", ["keep-alive", "close"])
async def test_an_answer_that_the_kernel_does_not_take_at_once_is_sent_to_its_end(option: str) -> None:
    async with echoing() as (engine, port):
        application = Application([("/engine.io/", engine.handler)])
        http_server = LimitedHTTPServer(application, endpoint=engine.handler, **HTTP_SERVER_OPTIONS)
        (listener,) = bind_sockets(0, "127.0.0.1")
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        http_server.add_sockets([listener])
        target = await open_polling(port, ENGINE_IO)
        http = await Http.open(listener.getsockname()[1])
        http.send("GET", target, Connection=option)
        (session,) = engine.sockets.values()
        await until(lambda: session.is_writable_now)
        engine.send(session.sid, "x" * LARGE)
        assert (await http.answer()).body == b"4" + b"x" * LARGE
        if option == "close":
            assert await http.closed() == b""
        else:
            http.send("GET", target)
            await until(lambda: session.is_writable_now)
            engine.send(session.sid, "next")
            assert (await http.answer()).text == "4next"
        http.close()
        http_server.stop()
        await http_server.close_all_connections()


async def test_an_idle_connection_is_closed_in_time() -> None:
    _, endpoint = create_server(RealtimeOptions())
    options = {**HTTP_SERVER_OPTIONS, "deadlines": Deadlines(first_byte=60, head=60, idle=0.05)}
    async with serving(endpoint, http_options=options) as port:
        http = await Http.open(port)
        assert (await http.request("GET", f"{SOCKET_IO}polling")).status == 200
        assert await http.closed() == b""


async def test_each_request_is_paid_for_and_held_until_it_is_answered() -> None:
    paid, held = list[int](), HeldInput()

    def turns(_: str, steps: int) -> "asyncio.Future[None]":
        paid.append(steps)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        turn.set_result(None)
        return turn

    server, endpoint = create_server(RealtimeOptions())
    async with serving(endpoint, http_options={**HTTP_SERVER_OPTIONS, "turns": turns, "held": held}) as port:
        http = await Http.open(port)
        opened = await http.request("GET", f"{SOCKET_IO}polling")
        target = f"{SOCKET_IO}polling&sid={json.loads(opened.text[1:])['sid']}"
        assert paid == [ACCEPT_STEPS + REQUEST_STEPS]
        assert not held
        http.send("GET", target)
        (session,) = server.eio.sockets.values()
        await until(lambda: session.is_writable_now)
        assert held.of("127.0.0.1") == len(get(target))
        assert paid[1:] == [PLAIN_STEPS]
        session.ping()
        assert (await http.answer()).text == "2"
        assert not held
        held.add("127.0.0.1", MOST_PER_ADDRESS + 1)
        assert (await http.request("GET", target)).status == 429
        held.add("127.0.0.1", -held.of("127.0.0.1"))


async def test_a_failure_of_ours_closes_the_connection(
    monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect(r"^taking a request failed: ZeroDivisionError")
    server, endpoint = create_server(RealtimeOptions())
    async with serving(endpoint) as port:
        target = await open_polling(port)
        http = await Http.open(port)
        (session,) = server.eio.sockets.values()
        monkeypatch.setattr(type(session.budget), "turn", lambda *_: 1 / 0)
        http.send("GET", target)
        assert await http.closed() == b""
        monkeypatch.undo()
        await until(lambda: not leftovers(server))


async def test_connections_are_closed_with_a_server_that_stops_or_hands_over() -> None:
    server, endpoint = create_server(RealtimeOptions())
    async with serving(endpoint) as port:
        waiting, idle, last = await Http.open(port), await Http.open(port), await Http.open(port)
        assert (await idle.request("GET", f"{SOCKET_IO}polling")).status == 200
        waiting.send("GET", await open_polling(port))
        await until(lambda: any(session.is_writable_now for session in server.eio.sockets.values()))
        server.eio.lifecycle.hand_over()
        assert (await last.request("GET", f"{SOCKET_IO}polling")).header("connection") == "close"
        assert await last.closed() == b""
    assert await idle.closed() == b""
