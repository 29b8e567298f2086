"""One exception in the chat: no client misses a message, and no "ok" is said of what was not done."""

from collections.abc import Callable
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from chatio.config.settings import Settings
from chatio.log.message_log import MessageLog
from chatio.realtime.broadcast.fanout import Fanout
from chatio.realtime.socketio import dispatch
from handlers.application import build_rest
from tests.client.wire import request, until
from tests.conftest import ExpectedLogs
from tests.paths import ROOT
from tests.unit.faults import fail_once, failing
from tests.unit.handlers.chat.chat_server import KEY, chat_house
from tests.unit.handlers.chat.test_acks import ack


async def test_message_whose_delivery_fails_once_is_acknowledged_and_delivered(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect(f"^delivery failed: {error.__name__}")
    async with chat_house() as house:
        ann, bob = await house.join("ann"), await house.join("bob")
        fail_once(monkeypatch, MessageLog, "read", error)
        ann.send('42/chat,1["send-message",{"content":"hello"}]')
        assert (await ack(ann, 1))[0]["ok"] is True
        assert '"content":"hello"' in str(await bob.receive())


async def test_message_that_cannot_be_read_closes_its_connection_alone(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    """The messages behind it would be handled without it."""
    logs.expect(f"^a client's message failed: {error.__name__}")
    async with chat_house() as house:
        ann, bob = await house.join("ann"), await house.join("bob")
        fail_once(monkeypatch, dispatch, "decode", error)
        ann.send(*(f'42/chat,{number}["send-message",{{"content":"hello"}}]' for number in (1, 2)))
        assert await ann.closed() == 1011
        bob.send('42/chat,1["send-message",{"content":"hello"}]')
        assert (await ack(bob, 1))[0]["ok"] is True
        assert house.core.log.window.head == 1


async def test_client_that_cannot_be_sent_the_log_is_closed_and_comes_back(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect(f"^a client's message failed: {error.__name__}")
    async with chat_house() as house:
        fail_once(monkeypatch, Fanout, "join", error)
        ann = await house.join("ann")
        assert await ann.closed() == 1011
        ann = await house.join("ann")
        ann.send('42/chat,1["send-message",{"content":"hello"}]')
        assert (await ack(ann, 1))[0]["ok"] is True
        ann.close()
        await until(lambda: not any(house.chat.server.table_sizes().values()))


async def test_server_whose_delivery_cannot_go_on_is_not_ready_until_it_can(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect(f"^delivery failed: {error.__name__}")
    monkeypatch.setattr("chatio.realtime.broadcast.fanout.STALLED_SECONDS", 0.0)
    async with chat_house() as house:
        rest = build_rest(Settings(jwt_secret_key=KEY), house.core, house.chat, page_folder=ROOT / "web")
        http = HTTPServer(rest.application)
        sockets = bind_sockets(0, "127.0.0.1")
        http.add_sockets(sockets)
        port = sockets[0].getsockname()[1]
        ann = await house.join("ann")
        assert (await request(port, "GET", "/readyz")).json == {"status": "ready"}
        read: Callable[..., Any] = MessageLog.read
        monkeypatch.setattr(MessageLog, "read", failing(read, error, times=1 << 60))
        ann.send('42/chat,1["send-message",{"content":"hello"}]')
        await until(lambda: house.chat.namespace.fanout.is_stalled)
        answer = await request(port, "GET", "/readyz")
        assert (answer.status, answer.json) == (503, {"status": "not ready", "reason": "stalled"})
        monkeypatch.setattr(MessageLog, "read", read)
        assert '"content":"hello"' in str(await ann.receive()) + str(await ann.receive())
        await until(lambda: not house.chat.namespace.fanout.is_stalled)
        assert (await request(port, "GET", "/readyz")).json == {"status": "ready"}
        http.stop()
        await http.close_all_connections()
