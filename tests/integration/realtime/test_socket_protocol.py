"""The Socket.IO protocol, one test for each behaviour of its document and of the official suite (v5).

https://socket.io/docs/v4/socket-io-protocol
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import socketio
from socketio.exceptions import ConnectionRefusedError as LibraryRefusal

from chatio.realtime import RealtimeOptions, Server, create_server
from tests.client.wire import join, leftovers, open_polling, open_ws, request, serving, soon, until
from tests.conftest import ExpectedLogs

Refusal: Any = LibraryRefusal


@asynccontextmanager
async def suite_server(**options: Any) -> AsyncIterator[tuple[Server, int]]:
    """The server that the official suite asks for.

    Auth, message and message-with-ack in "/" and "/custom".
    """
    server, handler = create_server(RealtimeOptions(**({"ping_interval": 60.0} | options)))
    for namespace in ("/", "/custom"):

        async def connect(sid: str, environ: Any, auth: Any, namespace: str = namespace) -> None:
            await server.emit("auth", auth or {}, to=sid, namespace=namespace)

        async def message(sid: str, *args: Any, namespace: str = namespace) -> None:
            await server.emit("message-back", args, to=sid, namespace=namespace)

        async def with_ack(sid: str, *args: Any) -> Any:
            return args

        server.on("connect", connect, namespace=namespace)
        server.on("message", message, namespace=namespace)
        server.on("message-with-ack", with_ack, namespace=namespace)
    async with serving(handler) as port:
        yield server, port


async def joined(port: int) -> Any:
    """A WebSocket in "/", after its "auth" event."""
    ws = await join(port)
    await ws.receive()
    return ws


@pytest.mark.parametrize(
    ("sent", "prefix", "event"),
    [
        ("40", "40", '42["auth",{}]'),
        ('40{"token":"123"}', "40", '42["auth",{"token":"123"}]'),
        ("40/custom,", "40/custom,", '42/custom,["auth",{}]'),
        ("40/custom", "40/custom,", '42/custom,["auth",{}]'),
        ('40/custom,{"token":"abc"}', "40/custom,", '42/custom,["auth",{"token":"abc"}]'),
    ],
)
async def test_connect_is_answered_with_sid_before_what_handler_sent(sent: str, prefix: str, event: str) -> None:
    async with suite_server() as (_server, port):
        ws = await open_ws(port)
        ws.send(sent)
        answer = str(await ws.receive())
        assert answer.startswith(prefix)
        assert list(json.loads(answer[len(prefix) :])) == ["sid"]
        assert await ws.receive() == event


async def test_unknown_namespace_is_answered_with_an_error_object() -> None:
    async with suite_server() as (_server, port):
        ws = await open_ws(port)
        ws.send("40/random")
        assert await ws.receive() == '44/random,{"message":"Invalid namespace"}'


async def test_connection_without_connect_is_closed() -> None:
    async with suite_server(connect_timeout=0.1) as (server, port):
        ws = await open_ws(port)
        target = await open_polling(port)
        await ws.closed()
        await until(lambda: not leftovers(server))
        assert (await request(port, "GET", target)).status == 400


async def test_connection_that_has_joined_outlives_the_connect_timeout() -> None:
    async with suite_server(connect_timeout=0.05) as (_server, port):
        ws = await joined(port)
        stranger = await open_ws(port)
        await stranger.closed()
        ws.send('421["message-with-ack"]')
        assert await ws.receive() == "431[]"


async def test_leaving_the_last_namespace_starts_the_connect_timeout_again() -> None:
    async with suite_server(connect_timeout=0.05) as (server, port):
        ws = await joined(port)
        ws.send("41")
        await ws.closed()
        await until(lambda: not leftovers(server))


async def test_leaving_one_namespace_leaves_the_other() -> None:
    async with suite_server() as (_server, port):
        ws = await joined(port)
        ws.send("40/custom")
        assert [str(await ws.receive())[:10], str(await ws.receive())[:10]] == ["40/custom,", "42/custom,"]
        ws.send("41/custom", '42["message","to the main namespace"]')
        assert await ws.receive() == '42["message-back","to the main namespace"]'


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (['42["message",1,"2",{"3":[true]}]'], ['42["message-back",1,"2",{"3":[true]}]']),
        (['42456["message-with-ack",1,"2",{"3":[false]}]'], ['43456[1,"2",{"3":[false]}]']),
        (['420["message-with-ack",1]'], ["430[1]"]),
        (
            ['452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', b"123", b"456"],
            ['452-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', b"123", b"456"],
        ),
        (
            ['451-789["message-with-ack",{"_placeholder":true,"num":0}]', b"123"],
            ['461-789[{"_placeholder":true,"num":0}]', b"123"],
        ),
        (['450-["message",1]'], ['42["message-back",1]']),
    ],
)
async def test_event_is_answered(sent: list[Any], answers: list[Any]) -> None:
    async with suite_server() as (_server, port):
        ws = await joined(port)
        ws.send(*sent)
        assert [await ws.receive() for _ in answers] == answers


async def test_binary_events_go_over_polling() -> None:
    async with suite_server() as (_server, port):
        target = await open_polling(port)
        body = '40\x1e451-7["message-with-ack",{"_placeholder":true,"num":0}]\x1ebAQID'
        assert (await request(port, "POST", target, body.encode())).text == "ok"
        got: list[str] = []
        while len(got) < 4:
            got += (await request(port, "GET", target)).text.split("\x1e")
        assert got[1:] == ['42["auth",{}]', '461-7[{"_placeholder":true,"num":0}]', "bAQID"]


async def test_events_of_one_client_are_handled_in_order() -> None:
    seen: list[int] = []
    async with suite_server() as (server, port):

        async def number(sid: str, value: int) -> None:
            await asyncio.sleep(0.001 if value % 2 else 0)
            seen.append(value)

        server.on("number", number)
        ws = await joined(port)
        ws.send(*(f'42["number",{value}]' for value in range(100)), '421["message-with-ack"]')
        assert await ws.receive() == "431[]"
    assert seen == list(range(100))


async def test_call_waits_for_the_clients_ack() -> None:
    async with suite_server() as (server, port):
        ws = await joined(port)
        sid = next(iter(server.manager.get_participants("/", None)))[0]
        asking = asyncio.ensure_future(server.call("question", {"a": 1}, to=sid))
        assert await ws.receive() == '421["question",{"a":1}]'
        ws.send('431["answer"]')
        assert await soon(asking) == "answer"


async def test_ack_id_zero_and_unknown_ids_are_ignored_and_later_callbacks_work() -> None:
    got: list[Any] = []
    async with suite_server() as (server, port):
        ws = await joined(port)
        sid = next(iter(server.manager.get_participants("/", None)))[0]
        await server.emit("one", to=sid, callback=got.append)
        ws.send("430[0]", "4399[0]", '431["first"]', '431["again"]')
        await until(lambda: got)
        await server.emit("two", to=sid, callback=got.append)
        ws.send('432["second"]')
        await until(lambda: len(got) == 2)
    assert got == ["first", "second"]


async def test_rooms_sessions_and_environ_are_the_librarys() -> None:
    async with suite_server() as (server, port):
        one, two = await joined(port), await joined(port)
        (first, _), (second, _) = server.manager.get_participants("/", None)
        await server.enter_room(first, "red")
        assert server.rooms(first) == [first, "red"]
        await server.emit("hello", 1, room="red")
        await server.emit("all", (1, 2), skip_sid=first)
        assert await one.receive() == '42["hello",1]'
        assert await two.receive() == '42["all",1,2]'
        async with server.session(first) as session:
            session["name"] = "Ada"
        assert await server.get_session(first) == {"name": "Ada"}
        environ = server.get_environ(second)
        assert environ["REMOTE_ADDR"] == "127.0.0.1"
        assert environ["QUERY_STRING"] == "EIO=4&transport=websocket"
        assert environ["HTTP_HOST"] == "localhost"
        assert server.transport(first) == "websocket"
        await server.close_room("red")
        assert server.rooms(first) == [first]


async def test_server_disconnect_tells_the_client_and_the_handler() -> None:
    reasons: list[Any] = []
    async with suite_server() as (server, port):
        server.on("disconnect", lambda sid, reason: reasons.append(reason))
        ws = await joined(port)
        await server.disconnect(next(iter(server.manager.get_participants("/", None)))[0])
        assert await ws.receive() == "41"
        assert reasons == ["server disconnect"]
        assert set(leftovers(server)) == {
            "sockets",
            "connection_limit",
            "environ",
            "peers",
            "unconnected",
            "heartbeat",
        }


@pytest.mark.parametrize(
    ("connect", "error"),
    [
        (lambda *args: False, {"message": "Connection rejected by server"}),
        (Refusal("no", {"code": "x"}), {"message": "no", "data": {"code": "x"}}),
        (Refusal("no", math.nan), {"message": "Internal server error"}),
        (ConnectionRefusedError(), {"message": "Connection refused by server"}),
    ],
)
async def test_refused_connect_is_answered_once_and_then_closed(
    connect: Any, error: Any, monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    monkeypatch.setattr("chatio.realtime.limits.REFUSED_SECONDS", 0.05)
    if error["message"] == "Internal server error":
        logs.expect("connect refusal failed: ValueError")

    def refuse(*args: Any) -> None:
        raise connect

    async with suite_server() as (server, port):
        server.on("connect", refuse if isinstance(connect, Exception) else connect)
        ws = await open_ws(port)
        ws.send("40")
        assert await ws.receive() == "44" + json.dumps(error, separators=(",", ":"))
        assert await ws.closed() == 1000
        await until(lambda: not leftovers(server))


async def test_refused_client_that_is_elsewhere_connected_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatio.realtime.limits.REFUSED_SECONDS", 0.02)
    async with suite_server() as (server, port):
        ws = await joined(port)
        ws.send("40/random")
        assert await ws.receive() == '44/random,{"message":"Invalid namespace"}'
        await until(lambda: not server.table_sizes()["refused"])
        ws.send('421["message-with-ack"]')
        assert await ws.receive() == "431[]"


async def test_refused_polling_client_is_closed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatio.realtime.limits.REFUSED_SECONDS", 0.05)
    async with suite_server() as (server, port):
        target = await open_polling(port)
        await request(port, "POST", target, b"40/random")
        assert (await request(port, "GET", target)).text == '44/random,{"message":"Invalid namespace"}'
        assert (await request(port, "GET", target)).text == "1"
        await until(lambda: not leftovers(server))


async def test_client_in_the_middle_of_connect_hears_nothing_before_its_answer() -> None:
    gate = asyncio.Event()
    async with suite_server() as (server, port):

        async def connect(sid: str, environ: Any, auth: Any) -> bool:
            await gate.wait()
            return bool(auth == {"ok": True})

        server.on("connect", connect)
        good, bad = await open_ws(port), await open_ws(port)
        good.send('40{"ok":true}')
        bad.send("40")
        await until(lambda: len(server.manager.rooms.get("/", {}).get(None, {})) == 2)
        await server.emit("secret", 1)
        gate.set()
        assert str(await good.receive()).startswith("40{")
        assert await good.receive() == '42["secret",1]'
        assert str(await bad.receive()).startswith("44{")
        assert await bad.closed() == 1000


async def test_class_based_namespace_works_and_refuses_what_it_does_not_handle() -> None:
    class Chat(socketio.AsyncNamespace):  # type: ignore[misc, unused-ignore]
        """Handlers by name."""

        async def on_connect(self, sid: str, environ: Any) -> None:
            await server.emit("welcome", to=sid, namespace="/class")

        def on_twice(self, sid: str, value: int) -> int:
            return 2 * value

    async with suite_server() as (server, port):
        namespace: Any = Chat
        server.register_namespace(namespace("/class"))
        ws = await join(port, "/class")
        assert await ws.receive() == '42/class,["welcome"]'
        ws.send('42/class,1["unheard of"]', '42/class,2["twice",21]')
        assert str(await ws.receive()).startswith('43/class,1[{"ok":false,"error":{"code":"unknown_event"')
        assert await ws.receive() == "43/class,2[42]"


@pytest.mark.parametrize("value", [math.nan, math.inf])
async def test_nan_is_never_sent(value: float) -> None:
    async with suite_server() as (server, port):
        await joined(port)
        with pytest.raises(ValueError, match="JSON compliant"):
            await server.emit("price", value)
