"""SIGTERM under traffic: no acked message is lost, clients reconnect, the process ends in time."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import pytest

from chatio.accounts.tokens import Tokens
from chatio.chat.message_rates import MessageRateLimits, Rates
from chatio.log.message_log import MessageLog
from chatio.log.shared_log import SharedLog
from chatio.realtime import Server, create_server
from chatio.server.lifecycle import Phase
from chatio.stores.memory.journal import MemoryJournal
from chatio.stores.records import Message
from handlers.chat.namespace import NAMESPACE, ChatNamespace
from tests.client.protocol import client_frame, text, websocket_request
from tests.client.wire import Ws, join, serving
from tests.paths import ROOT
from tests.system.js import JsClients
from tests.system.leaving import restart, storm
from tests.system.server import REAL_COMMAND, SECRET, ServerProcess, await_until
from tests.system.test_chat import transports
from tests.system.test_recovery import QUICKLY
from tests.unit.handlers.chat.chat_server import make_namespace

pytestmark = pytest.mark.direct(
    "how the process itself ends: half requests, bare sockets, who is refused meanwhile"
)

GRACE_SECONDS = 10
LENGTH_100 = b"Host: x\r\nContent-Length: 100\r\n\r\n"
HANDSHAKE = "/socket.io/?EIO=4&transport=polling"


@contextmanager
def leaving(server: ServerProcess) -> Iterator[None]:
    """The server drains during the block, and has ended at its end, in time and with exit 0.

    Polling sessions that do not poll make the drain last: 200 of them, about two seconds.
    """
    for _ in range(200):
        polling_session(server)
    began = time.monotonic()
    codes: list[int] = []
    stopping = threading.Thread(target=lambda: codes.append(server.stop()))
    stopping.start()
    await_until(lambda: server.request("GET", "/nowhere").status == 503, "it leaves")
    yield
    stopping.join()
    assert codes == [0]
    assert time.monotonic() - began < GRACE_SECONDS
    assert_told_nothing_bad(server)


@contextmanager
def half_a_registration(server: ServerProcess) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"POST /register HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert server.request("GET", "/nowhere").status == 404  # the server has seen it by now
        yield connection


def assert_told_nothing_bad(server: ServerProcess) -> None:
    assert server.alarms == []


@pytest.fixture
def graceful() -> Iterator[ServerProcess]:
    with ServerProcess(SHUTDOWN_GRACE_SECONDS=str(GRACE_SECONDS)) as server:
        yield server


@transports
def test_clients_join_the_next_server(graceful: ServerProcess, js: JsClients, transports: list[str]) -> None:
    js.join("ann", graceful.url, graceful.sign_up("ann"), transports=transports, **QUICKLY)
    if len(transports) == 2:
        js.expect("ann", "upgrade")
    port = graceful.port
    assert graceful.stop() == 0
    # A poll is answered with a NOOP and the next with 400, so that the clients of python-socketio come back, too.
    assert js.expect("ann", "disconnect") == [
        ["transport error" if transports == ["polling"] else "transport close"]
    ]
    with ServerProcess(SERVER_PORT=str(port)):
        js.expect("ann", "connect")
        js.emit("ann", "send-message", {"content": "here again"}, ack="sent")
        assert js.expect("ann", "ack:sent")[0][0]["ok"] is True


def test_client_in_middle_of_its_upgrade_comes_to_the_next_server(graceful: ServerProcess, js: JsClients) -> None:
    """Ten of them, told to leave while they upgrade; each joins the next server well before a ping would tell."""
    names = [f"client {number}" for number in range(10)]
    token = graceful.sign_up("ann")
    for name in names:
        js.open(name, graceful.url, token, **QUICKLY)
    js.expect(names[0], "connect")
    port = graceful.port
    assert graceful.stop() == 0
    with ServerProcess(SERVER_PORT=str(port)) as following:
        for name in names:
            js.emit(name, "send-message", {"content": name}, ack="sent")
            assert js.expect(name, "ack:sent")[0][0]["ok"] is True
        assert_told_nothing_bad(following)


def test_draining_server_answers_503_to_new_clients_and_serves_the_others(graceful: ServerProcess) -> None:
    sid = polling_session(graceful)
    with leaving(graceful):
        for path in (HANDSHAKE, "/user", "/messages"):
            answer = graceful.request("GET", path, headers={"Origin": "http://localhost:5173"})
            assert answer.status == 503, path
            assert answer.headers["Retry-After"] == "2"
            assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:5173"
        with socket.create_connection(("127.0.0.1", graceful.port), timeout=10) as connection:
            connection.sendall(websocket_request())
            assert connection.recv(4096).startswith(b"HTTP/1.1 503")
        assert get_text(graceful, f"{HANDSHAKE}&sid={sid}") == "6"  # the goodbye to a client that polls


def polling_session(server: ServerProcess) -> str:
    sid: str = json.loads(get_text(server, HANDSHAKE)[1:])["sid"]
    return sid


def get_text(server: ServerProcess, path: str) -> str:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while chunk := connection.recv(4096):
            data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return body.decode()


@transports
def test_messages_during_a_drain_arrive(graceful: ServerProcess, js: JsClients, transports: list[str]) -> None:
    """Messages without an ack go to the new server again; acked ones have reached all clients."""
    options = {"retries": 100, "ackTimeout": 300, **QUICKLY}
    token = graceful.sign_up("ann")
    names = [f"client {number}" for number in range(6)]
    for name in names:
        js.join(name, graceful.url, token, transports=transports, **options)
        js.collect(name)
    port = graceful.port
    sent = [str(uuid.uuid4()) for _ in range(300 if transports == ["polling"] else 1200)]
    for number, message_id in enumerate(sent):
        js.say(names[number % len(names)], message_id, f"message {number}")
    await_until(lambda: js.collected(names[0])[1], "the first acks")
    assert graceful.stop() == 0
    assert_told_nothing_bad(graceful)
    acked_by_old = {name: set(js.collected(name)[1]) for name in names}
    of_old = set().union(*acked_by_old.values())
    for name in names:
        assert of_old <= set(js.collected(name)[0]), "all that was acked reached everybody"
    with ServerProcess(SERVER_PORT=str(port)):
        for number, name in enumerate(names):
            mine = set(sent[number :: len(names)])
            await_until(lambda name=name, mine=mine: set(js.collected(name)[1]) == mine, f"{name} has its acks")
        of_new = set(sent) - of_old
        for name in names:
            await_until(lambda name=name: of_new <= set(js.collected(name)[0]), f"{name} has all of the new log")
    assert of_new, "the signal came too late to test anything"


@asynccontextmanager
async def chat(**rates: int) -> AsyncIterator[tuple[Server, MessageLog, ChatNamespace, Ws]]:
    """The namespace as the server makes it, and a client that has joined."""
    server, handler = create_server()
    tokens, log = Tokens(SECRET, ttl_seconds=60), MessageLog()
    limits = MessageRateLimits(Rates()._replace(**rates))
    namespace = make_namespace(server, SharedLog(MemoryJournal(), log), tokens, limits=limits)
    async with serving(handler) as port:
        ws = await join(port, NAMESPACE, {"token": tokens.issue(subject="7", name="Ann", email="ann@chat.test")})
        yield server, log, namespace, ws
        ws.http.close()


async def test_message_without_ack_during_a_drain_is_rejected_and_its_client_closed() -> None:
    async with chat() as (server, log, _, ws):
        server.eio.lifecycle.drain()  # it leaves, and this one's turn is not yet
        ws.send(f"42/chat,{TOO_LATE}")
        packet = str(await ws.receive())
        assert json.loads(packet.removeprefix("42/chat,")) == ["message-rejected", rejection_of("mine")]
        assert await ws.receive_or_end() == "closed, 1001"
        assert log.head == 0


async def test_message_with_ack_during_a_drain_gets_no_ack_even_behind_a_backlog() -> None:
    async with chat() as (server, log, namespace, ws):
        ws.http.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(400):  # 20 MB, more than the kernel keeps
            log.append(Message(f"{number}", "." * 50_000, "7", "Ann", "10:00", "2026-01-01T00:00:00.000Z"))
        namespace.fanout.wake()
        server.eio.lifecycle.drain()
        ws.send(f"42/chat,7{TOO_LATE}")
        ws.http.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(400):
            assert str(await ws.receive()).startswith('42/chat,["receive-message"')
        leaving = asyncio.ensure_future(server.shut_down(GRACE_SECONDS))
        assert await ws.receive_or_end() == "closed, 1001"
        assert log.head == 400
        ws.http.close()
        await leaving


async def test_a_message_that_waits_for_its_turn_when_the_leaving_begins_is_not_accepted() -> None:
    async with chat(message_burst=1, messages=2) as (server, log, _, ws):
        ws.send('42/chat,1["send-message", {"id": "first", "content": "in time"}]')
        while not str(await ws.receive()).startswith("43/chat,1["):
            pass
        ws.raw(text(f"42/chat,2{TOO_LATE}") + client_frame(9, b""))
        while (await ws.frame())[0] != 10:  # the pong: the server has read both
            pass
        server.eio.lifecycle.drain()
        assert await ws.receive_or_end() == "closed, 1001"
        assert log.head == 1


@pytest.mark.parametrize("version", ["4.8", "4.7", "4.0"])
@pytest.mark.parametrize("transports", [["polling"], ["polling", "websocket"]], ids="-".join)
async def test_polling_during_a_handover_is_no_error(js: JsClients, version: str, transports: list[str]) -> None:
    async with chat() as (server, _, _, ws):
        server.eio.lifecycle.hand_over()
        token = Tokens(SECRET, ttl_seconds=60).issue(subject="8", name="Bob", email="bob@chat.test")
        url = f"http://127.0.0.1:{ws.http.port}"
        js.open("bob", url, token, version=version, transports=transports, **QUICKLY)
        await asyncio.to_thread(js.expect, "bob", "engine_close")
        server.eio.lifecycle.phase = Phase.SERVING  # another process has the port
        story = await asyncio.to_thread(js.story, "bob", "connect")
        assert "connect_error" not in {told.event for told in story}
        assert len(server.eio.sockets) == 2
        js.close("bob")
        await asyncio.to_thread(js.expect, "bob", "engine_close")


TOO_LATE = '["send-message", {"id": "mine", "content": "too late"}]'


def rejection_of(message_id: str) -> dict[str, object]:
    message = "The server is restarting. Please try again in a moment."
    error = {"code": "shutting_down", "message": message, "retry_after_seconds": 2}
    return {"ok": False, "error": error, "id": message_id}


def test_whatever_strangers_do_it_ends_in_time(js: JsClients) -> None:
    """Idle and half-open sockets, unfinished bodies, unread answers, pending hashes, silent WebSockets."""
    with ExitStack() as stack:
        real_hashes = ServerProcess(command=REAL_COMMAND, SHUTDOWN_GRACE_SECONDS=str(GRACE_SECONDS))
        graceful = stack.enter_context(real_hashes)
        token = graceful.sign_up("ann")
        js.join("ann", graceful.url, token, transports=["websocket"], reconnection=False)

        def connect(data: bytes) -> socket.socket:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", graceful.port), timeout=10))
            connection.sendall(data)
            return connection

        for _ in range(700):
            connect(b"")
        for _ in range(20):
            connect(b"GET /user HTTP/1.1\r\nHost")
            connect(b"POST /register HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{")
            connect(f"POST {HANDSHAKE}&sid={polling_session(graceful)} HTTP/1.1\r\n".encode() + LENGTH_100 + b"4")
            half = connect(b"GET /user HTTP/1.1\r\nHost: x\r\n\r\n")
            half.shutdown(socket.SHUT_WR)
            connect(websocket_request())  # never reads, never says goodbye
        body = b'{"email":"ann@chat.test","password":"wrong"}'
        for _ in range(40):
            connect(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        for number in range(300):
            js.emit("ann", "send-message", {"content": f"{number}".ljust(9000, ".")})
        js.expect("ann", "receive-message", 300)
        unread = connect(b"GET /messages?limit=100 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token.encode())
        unread.sendall(b"\r\n\r\n" + b"GET /user HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        began = time.monotonic()
        assert graceful.stop() == 0
        assert time.monotonic() - began < GRACE_SECONDS
    assert "Traceback" not in "".join(graceful.lines)
    assert [line for line in graceful.lines if " ERROR " in line] == []


def test_half_a_body_is_answered_503_and_does_not_hold_it_up(graceful: ServerProcess) -> None:
    with half_a_registration(graceful) as connection:
        assert graceful.stop() == 0
        assert connection.recv(4096).startswith(b"HTTP/1.1 503")
    assert_told_nothing_bad(graceful)


@pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)])
def test_a_second_signal_leaves_at_once_with_exit_0(js: JsClients, numbers: tuple[signal.Signals, ...]) -> None:
    with ServerProcess(SHUTDOWN_GRACE_SECONDS="3600") as server:
        sessions = {polling_session(server) for _ in range(400)}  # the first signal alone would take longer
        assert len(sessions) == 400
        server.process.send_signal(numbers[0])
        await_until(lambda: server.request("GET", "/nowhere").status == 503, "it leaves")
        assert server.stop(numbers[1]) == 0
        assert len([line for line in server.lines if "Stopping at once: " in line]) == 1
        assert "Traceback" not in "".join(server.lines)


def test_ctrl_c_while_python_is_still_loading_prints_nothing() -> None:
    chance = random.Random()
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-X", "importtime", str(ROOT / "main.py"), "--env-file", os.devnull],
            env={"SERVER_PORT": "0", "SERVER_HOST": "127.0.0.1", "LOG_LEVEL": "ERROR"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stderr is not None
                while "argparse" not in process.stderr.readline():  # the first that main.py imports
                    assert process.poll() is None
                time.sleep(chance.uniform(0, 0.2))  # anywhere in what follows
                process.send_signal(signal.SIGINT)
                said, imported = process.communicate(timeout=20)
            finally:
                process.kill()
        assert said == ""
        assert [line for line in imported.splitlines() if not line.startswith("import time:")] == []


async def test_a_restart_in_the_middle_of_a_conversation_loses_nothing_that_was_acked() -> None:
    outcome = await restart(clients=60, rate=50, seconds=1)
    assert outcome.is_as_promised, outcome
    assert min(outcome.acked_by_old, outcome.acked_by_new) > 0, outcome


async def test_all_clients_reconnect_at_once_after_a_crash() -> None:
    outcome = await storm(clients=200)
    assert outcome.is_as_promised, outcome
