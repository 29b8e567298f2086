"""The Engine.IO protocol, one test for each behaviour of its document and of the official suite (v4).

https://socket.io/docs/v4/engine-io-protocol
"""

import asyncio
import json
from typing import Any

import pytest

from tests.client.protocol import websocket_request
from tests.client.wire import (
    ENGINE_IO,
    Http,
    Ws,
    open_polling,
    open_ws,
    request,
    soon,
    text,
    until,
)
from tests.integration.realtime.engine import echoing


async def polling(port: int) -> str:
    return await open_polling(port, ENGINE_IO)


async def websocket(port: int) -> Ws:
    return await open_ws(port, ENGINE_IO)


async def waiting_get(engine: Any, port: int, target: str) -> Http:
    """A connection whose GET the server has, and answers when there is something to say."""
    http = await Http.open(port)
    http.send("GET", target)
    await until(lambda: any(c.is_writable_now for c in engine.sockets.values()))
    return http


@pytest.mark.parametrize(("seconds", "milliseconds"), [(0.3, 300), (25, 25_000)])
async def test_handshake_over_polling_tells_the_sid_and_the_times(seconds: Any, milliseconds: int) -> None:
    async with echoing(ping_interval=seconds, ping_timeout=0.2) as (_engine, port):
        answer = await request(port, "GET", f"{ENGINE_IO}polling")
    assert answer.status == 200
    assert answer.text[0] == "0"
    hello = json.loads(answer.text[1:])
    sid = hello.pop("sid")
    assert len(sid) >= 20
    assert hello == {
        "upgrades": ["websocket"],
        "pingInterval": milliseconds,
        "pingTimeout": 200,
        "maxPayload": 1_000_000,
    }


async def test_handshake_over_websocket_offers_no_upgrade() -> None:
    async with echoing() as (engine, port):
        ws = await Ws.open(port, f"{ENGINE_IO}websocket")
        assert ws.status == 101
        hello = json.loads(str(await ws.receive())[1:])
        assert hello["upgrades"] == []
        assert engine.server.transport(hello["sid"]) == "websocket"


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", "/engine.io/?transport=polling", 5),
        ("GET", "/engine.io/?EIO=abc&transport=polling", 5),
        ("GET", "/engine.io/?EIO=3&transport=polling", 5),
        ("GET", "/engine.io/?EIO=4", 0),
        ("GET", "/engine.io/?EIO=4&transport=abc", 0),
        ("POST", "/engine.io/?EIO=4&transport=polling", 2),
        ("PUT", "/engine.io/?EIO=4&transport=polling", 2),
        ("DELETE", "/engine.io/?EIO=4&transport=polling", 2),
        ("GET", "/engine.io/?EIO=4&transport=polling&sid=unknown", 1),
        ("POST", "/engine.io/?EIO=4&transport=polling&sid=unknown", 1),
        ("GET", "/engine.io/?EIO=4&transport=websocket", 3),
        ("GET", "/engine.io/?EIO=4&transport=polling&j=0", 3),
    ],
)
async def test_request_that_breaks_the_handshake_is_answered_400(method: str, target: str, code: int) -> None:
    async with echoing() as (engine, port):
        answer = await request(port, method, target)
        assert answer.status == 400
        assert json.loads(answer.body)["code"] == code
        assert not engine.sockets


@pytest.mark.parametrize(
    "query",
    [
        "transport=websocket",
        "EIO=abc&transport=websocket",
        "EIO=4",
        "EIO=4&transport=abc",
        "EIO=4&transport=polling",
        "EIO=4&transport=websocket&sid=unknown",
    ],
)
async def test_websocket_that_breaks_the_handshake_never_reaches_101(query: str) -> None:
    async with echoing() as (engine, port):
        ws = await Ws.open(port, f"/engine.io/?{query}")
        assert ws.status == 400
        assert not engine.sockets


@pytest.mark.parametrize(
    "header",
    [
        {"Sec_WebSocket_Version": "8"},
        {"Sec_WebSocket_Key": "short"},
        {"Sec_WebSocket_Key": "AAAA"},
        {"Connection": "keep-alive"},
    ],
)
async def test_websocket_handshake_that_breaks_the_rfc_is_answered_400(header: dict[str, str]) -> None:
    async with echoing() as (_engine, port):
        assert (await Ws.open(port, f"{ENGINE_IO}websocket", b"", **header)).status == 400


@pytest.mark.parametrize("body", ["4hello", "4a\x1e4b\x1e4c", "4hello\x1ebAQIDBA==", "4" + "é" * 1000])
async def test_polling_payload_comes_back_as_it_was(body: str) -> None:
    async with echoing() as (_engine, port):
        target = await polling(port)
        answer = await request(port, "POST", target, body.encode())
        assert (answer.status, answer.text) == (200, "ok")
        assert (await request(port, "GET", target)).text == body


async def test_two_hundred_packets_in_one_post_are_two_hundred_messages() -> None:
    async with echoing() as (_engine, port):
        target = await polling(port)
        body = "\x1e".join(f"4{number}" for number in range(200))
        assert (await request(port, "POST", target, body.encode())).status == 200
        got: list[str] = []
        while len(got) < 200:
            got += (await request(port, "GET", target)).text.split("\x1e")
        assert "\x1e".join(got) == body


async def test_chunked_post_is_read() -> None:
    async with echoing() as (_engine, port):
        target = await polling(port)
        http = await Http.open(port)
        http.send("POST", target, b"3\r\n4he\r\n3\r\nllo\r\n0\r\n\r\n", Transfer_Encoding="chunked")
        assert (await http.answer()).text == "ok"
        assert (await request(port, "GET", target)).text == "4hello"


@pytest.mark.parametrize("body", [b"abc", b"", b"4a\x1e", b"\x1e4a", b"b***", b"4\xff", b"2", b"9"])
async def test_malformed_polling_body_closes_the_session(body: bytes) -> None:
    async with echoing() as (engine, port):
        target = await polling(port)
        assert (await request(port, "POST", target, body)).status == 400
        assert (await request(port, "GET", target)).status == 400
        await until(lambda: not engine.sockets)


async def test_two_gets_at_once_close_the_session() -> None:
    async with echoing() as (engine, port):
        target = await polling(port)
        first = await waiting_get(engine, port, target)
        assert (await request(port, "GET", target)).status == 400
        assert (await first.answer()).text == "1"
        assert (await request(port, "GET", target)).status == 400


async def test_post_whose_session_ends_before_its_body_arrived_is_not_told_ok() -> None:
    async with echoing() as (engine, port):
        target = await polling(port)
        http = await Http.open(port)
        http.send("POST", target, b"4lost", Content_Length="10")
        await until(lambda: any(c.posting for c in engine.sockets.values()))
        for connection in engine.sockets.values():
            connection.leave()
        http.writer.write(b" more")
        answer = await http.answer()
        assert (answer.status, json.loads(answer.text)["code"]) == (400, 1)


async def test_two_posts_at_once_close_the_session() -> None:
    async with echoing() as (engine, port):
        target = await polling(port)
        first = await Http.open(port)
        first.send("POST", target, b"4h", Content_Length="6")
        await until(lambda: any(c.posting for c in engine.sockets.values()))
        assert (await request(port, "POST", target, b"4x")).status == 400
        assert (await request(port, "GET", target)).status == 400


async def test_get_whose_client_went_away_closes_the_session_at_once() -> None:
    reasons: list[str] = []
    async with echoing() as (engine, port):
        engine.on("disconnect", lambda sid, reason: reasons.append(reason))
        target = await polling(port)
        http = await waiting_get(engine, port, target)
        http.cut()
        await until(lambda: not engine.sockets)
        assert (await request(port, "GET", target)).status == 400
    assert reasons == ["transport error"]


async def test_websocket_messages_come_back_as_they_were() -> None:
    async with echoing() as (_engine, port):
        ws = await websocket(port)
        for message in ("4hello", b"\x01\x02\x03\x04", "4", "4" + "x" * 70_000):
            ws.send(message)
            assert await ws.receive() == message


async def test_messages_sent_right_behind_the_handshake_are_not_lost() -> None:
    async with echoing() as (_engine, port):
        ws = await Ws.open(port, f"{ENGINE_IO}websocket", early=b"".join(text(f"4{n}") for n in range(100)))
        assert str(await ws.receive()).startswith("0")
        assert [await ws.receive() for _ in range(100)] == [f"4{n}" for n in range(100)]


@pytest.mark.parametrize("message", ["abc", "", "2", "9", "bA"])
async def test_malformed_websocket_packet_closes_the_connection(message: str) -> None:
    async with echoing() as (engine, port):
        ws = await websocket(port)
        ws.send(message)
        await ws.closed()
        await until(lambda: not engine.sockets)


@pytest.mark.parametrize("noop", ["6", "6anything", "5", "0{}"])
async def test_a_packet_that_says_nothing_here_is_ignored_as_on_node(noop: str) -> None:
    async with echoing() as (_engine, port):
        ws = await websocket(port)
        ws.send(noop, "4hello")
        assert await ws.receive() == "4hello"
        target = await polling(port)
        assert (await request(port, "POST", target, f"{noop}\x1e4hello".encode())).status == 200
        assert (await request(port, "GET", target)).text == "4hello"


async def test_polling_answer_has_at_most_sixteen_packets_and_the_next_one_the_rest() -> None:
    """More in one answer break python-engineio's clients (`Payload.max_decode_packets`)."""
    async with echoing() as (_engine, port):
        target = await polling(port)
        body = "\x1e".join(f"4{number}" for number in range(40))
        assert (await request(port, "POST", target, body.encode())).status == 200
        answers = [(await request(port, "GET", target)).text.split("\x1e") for _ in range(3)]
        assert [len(answer) for answer in answers] == [16, 16, 8]
        assert [packet for answer in answers for packet in answer] == body.split("\x1e")


async def test_handshake_over_polling_has_at_most_sixteen_packets_too() -> None:
    async with echoing() as (engine, port):

        def welcome(sid: str, environ: Any) -> None:
            for number in range(20):
                engine.send(sid, str(number))

        engine.on("connect", welcome)
        first = (await request(port, "GET", f"{ENGINE_IO}polling")).text.split("\x1e")
        sid = json.loads(first[0][1:])["sid"]
        rest = (await request(port, "GET", f"{ENGINE_IO}polling&sid={sid}")).text.split("\x1e")
        assert len(first) == 16
        assert [*first[1:], *rest] == [f"4{number}" for number in range(20)]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("chat", b"chat"),
        ("chat, superchat", b"chat"),
        ("bearer,eyJhbGciOi.J9-_", b"bearer"),
        (" , chat", b"chat"),
        ("", None),
    ],
)
@pytest.mark.parametrize("is_upgrade", [False, True])
async def test_first_subprotocol_that_is_offered_is_chosen(
    offered: str, chosen: bytes | None, is_upgrade: bool
) -> None:
    """A browser closes a WebSocket whose offer the server does not answer; Node's server chooses the first."""
    async with echoing() as (_engine, port):
        target = await polling(port) if is_upgrade else f"{ENGINE_IO}polling"
        http = await Http.open(port)
        http.writer.write(
            websocket_request(target.replace("polling", "websocket"), Sec_WebSocket_Protocol=offered)
        )
        head = await soon(http.reader.readuntil(b"\r\n\r\n"))
        assert head.startswith(b"HTTP/1.1 101 ")
        lines = [line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-protocol")]
        assert lines == ([] if chosen is None else [b"Sec-WebSocket-Protocol: " + chosen])
        http.cut()


@pytest.mark.parametrize("offered", ["two words", "chat;x=1", '"chat"', "ch\xe4t"])
async def test_subprotocol_that_is_no_token_is_refused(offered: str) -> None:
    async with echoing() as (_engine, port):
        assert (await Ws.open(port, f"{ENGINE_IO}websocket", Sec_WebSocket_Protocol=offered)).status == 400


@pytest.mark.parametrize("version", ["8", "7", "0", "14", "13, 8", ""])
async def test_other_websocket_version_is_refused_with_the_one_that_is_served(version: str) -> None:
    async with echoing() as (_engine, port):
        http = await Http.open(port)
        http.writer.write(websocket_request(f"{ENGINE_IO}websocket", Sec_WebSocket_Version=version))
        answer = await http.answer()
        assert (answer.status, answer.headers["sec-websocket-version"]) == (400, "13")


async def test_pings_come_on_polling_and_answers_keep_the_session() -> None:
    async with echoing(ping_interval=0.05, ping_timeout=1.0) as (_engine, port):
        target = await polling(port)
        for _ in range(3):
            assert (await request(port, "GET", target)).text == "2"
            assert (await request(port, "POST", target, b"3")).status == 200


async def test_pings_come_on_the_websocket_and_answers_keep_it() -> None:
    async with echoing(ping_interval=0.05, ping_timeout=1.0) as (_engine, port):
        ws = await websocket(port)
        for _ in range(3):
            assert await ws.receive() == "2"
            ws.send("3")


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_unanswered_ping_closes_the_connection(transport: str) -> None:
    reasons: list[str] = []
    async with echoing(ping_interval=0.05, ping_timeout=0.05) as (engine, port):
        engine.on("disconnect", lambda sid, reason: reasons.append(reason))
        if transport == "websocket":
            ws = await websocket(port)
            assert await ws.receive() == "2"
            await ws.closed()
        else:
            target = await polling(port)
            await until(lambda: not engine.sockets)
            assert (await request(port, "GET", target)).status == 400
    assert reasons == ["ping timeout"]


async def test_close_packet_ends_a_polling_session_and_its_get() -> None:
    async with echoing() as (engine, port):
        target = await polling(port)
        http = await waiting_get(engine, port, target)
        assert (await request(port, "POST", target, b"1")).status == 200
        assert (await http.answer()).text == "6"
        assert (await request(port, "GET", target)).status == 400


async def test_get_that_comes_behind_its_close_packet_is_answered_and_the_session_gone() -> None:
    async with echoing() as (engine, port):
        target = await polling(port)
        http = await Http.open(port)
        http.send("POST", target, b"1")
        http.send("GET", target)
        assert (await http.answer()).text == "ok"
        assert (await http.answer()).text == "6"
        await until(lambda: not engine.sockets)


async def test_close_packet_ends_a_websocket() -> None:
    async with echoing() as (engine, port):
        ws = await websocket(port)
        ws.send("1")
        assert await ws.closed() == 1000
        await until(lambda: not engine.sockets)


async def upgrading(port: int) -> tuple[str, Ws]:
    target = await polling(port)
    ws = await Ws.open(port, target.replace("polling", "websocket"))
    assert ws.status == 101
    return target, ws


async def test_upgrade_frees_the_waiting_get_and_carries_on() -> None:
    async with echoing() as (engine, port):
        target, ws = await upgrading(port)
        http = await waiting_get(engine, port, target)
        ws.send("2probe")
        assert await ws.receive() == "3probe"
        assert (await http.answer()).text == "6"
        assert (await request(port, "GET", target)).text == "6"
        sid = next(iter(engine.sockets))
        engine.send(sid, "while it was upgrading")
        ws.send("5", "4hello")
        assert await ws.receive() == "4while it was upgrading"
        assert await ws.receive() == "4hello"
        assert engine.server.transport(sid) == "websocket"


async def test_polling_is_over_once_upgraded() -> None:
    async with echoing() as (_engine, port):
        target, ws = await upgrading(port)
        ws.send("2probe", "5", "4hello")
        assert [await ws.receive(), await ws.receive()] == ["3probe", "4hello"]
        assert (await request(port, "GET", target)).status == 400
        assert (await request(port, "POST", target, b"4x")).status == 400
        ws.send("4still here")
        assert await ws.receive() == "4still here"


async def test_upgrade_without_a_probe_is_an_upgrade() -> None:
    """As .NET's SocketIOClient and elephant.io do it, and Node takes it."""
    async with echoing() as (engine, port):
        target, ws = await upgrading(port)
        http = await waiting_get(engine, port, target)
        ws.send("5", "4hello")
        assert await ws.receive() == "4hello"
        assert (await http.answer()).text == "6"
        assert engine.server.upgraded == 1
        assert not engine.server.upgrades
        assert (await request(port, "GET", target)).status == 400


async def test_upgrade_without_a_probe_carries_the_waiting_output_on() -> None:
    async with echoing() as (engine, port):
        target, ws = await upgrading(port)
        assert (await request(port, "POST", target, b"4first")).status == 200
        await until(lambda: any(not c.is_flushed for c in engine.sockets.values()))
        ws.send("5", "4second")
        assert [await ws.receive(), await ws.receive()] == ["4first", "4second"]


@pytest.mark.parametrize("done", [True, False])
async def test_second_websocket_on_a_session_is_closed_and_the_first_stays(done: bool) -> None:
    async with echoing() as (_engine, port):
        target, ws = await upgrading(port)
        ws.send("2probe")
        assert await ws.receive() == "3probe"
        if done:
            ws.send("5", "4hello")
            assert await ws.receive() == "4hello"
        second = await Ws.open(port, target.replace("polling", "websocket"))
        await second.closed()
        if not done:
            ws.send("5")
        ws.send("4hello")
        assert await ws.receive() == "4hello"


async def test_a_second_probe_is_answered_as_the_first() -> None:
    async with echoing() as (_engine, port):
        _target, ws = await upgrading(port)
        ws.send("2probe", "2probe", "5", "4hello")
        assert [await ws.receive() for _ in range(3)] == ["3probe", "3probe", "4hello"]


@pytest.mark.parametrize("messages", [("abc",), ("2probe", "4early"), ("2",), ("6",)])
async def test_failed_upgrade_is_dropped_and_the_session_goes_on_polling(messages: tuple[str, ...]) -> None:
    async with echoing() as (engine, port):
        target, ws = await upgrading(port)
        ws.send(*messages)
        await ws.closed()
        assert (await request(port, "POST", target, b"4hello")).status == 200
        assert (await request(port, "GET", target)).text == "4hello"
        assert len(engine.server.upgrades) == 0


async def test_upgrade_that_stalls_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatio.realtime.engineio.server.UPGRADE_SECONDS", 0.05)
    async with echoing() as (_engine, port):
        target, ws = await upgrading(port)
        ws.send("2probe")
        assert await ws.receive() == "3probe"
        await ws.closed()
        assert (await request(port, "POST", target, b"4hello")).status == 200
        assert (await request(port, "GET", target)).text == "4hello"


async def test_what_a_connect_handler_sends_follows_the_open_packet() -> None:
    async with echoing() as (engine, port):
        engine.on("connect", lambda sid, environ: engine.send(sid, {"wel": "come"}))
        ws = await websocket(port)
        assert await ws.receive() == '4{"wel":"come"}'
        answer = await request(port, "GET", f"{ENGINE_IO}polling")
        assert answer.text.split("\x1e")[1] == '4{"wel":"come"}'


async def test_disconnect_closes_and_waits_for_the_handlers() -> None:
    reasons: list[str] = []
    async with echoing() as (engine, port):

        async def disconnect(sid: str, reason: str) -> None:
            await asyncio.sleep(0)
            reasons.append(reason)

        engine.on("disconnect", disconnect)
        ws = await websocket(port)
        await engine.server.disconnect(next(iter(engine.sockets)))
        assert reasons == ["server disconnect"]
        assert await ws.closed() == 1000
        await engine.server.disconnect()
        await engine.server.disconnect("unknown")


async def test_session_data_is_kept_until_the_disconnect_handler_has_run() -> None:
    seen: list[Any] = []
    async with echoing() as (engine, port):

        async def disconnect(sid: str, reason: str) -> None:
            seen.append(await engine.server.get_session(sid))

        engine.on("disconnect", disconnect)
        ws = await websocket(port)
        async with engine.server.session(next(iter(engine.sockets))) as session:
            session["name"] = "Ada"
        ws.cut()
        await until(lambda: seen)
    assert seen == [{"name": "Ada"}]
