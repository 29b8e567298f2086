"""Rate limits on a running server: clients that guess or flood, and the other clients beside them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.client.protocol import token
from tests.client.wire import open_ws
from tests.system.js import JsClients
from tests.system.server import SECRET, ServerProcess, await_until
from tests.system.test_chat import transports
from tests.system.test_recovery import contents, spoken

WEBSOCKET: dict[str, Any] = {"transports": ["websocket"]}
QUICKLY: dict[str, Any] = {**WEBSOCKET, "reconnectionDelay": 20, "reconnectionDelayMax": 50}


@pytest.fixture
def limited() -> Iterator[ServerProcess]:
    with ServerProcess(RATE_LIMITS="on", TRUSTED_PROXIES="127.0.0.1") as process:
        yield process


@pytest.fixture
def unforgiving() -> Iterator[ServerProcess]:
    """After a connection's burst nothing is taken for 20 seconds, however slow the machine is."""
    with ServerProcess(RATE_LIMITS="on", MESSAGES_PER_SECOND="0.05") as process:
        yield process


def join(js: JsClients, server: ServerProcess, *names: str, **options: Any) -> None:
    for name in names:
        js.join(name, server.url, token(SECRET, name.partition(" ")[0]), **{**WEBSOCKET, **options})


def test_forty_wrong_passwords_on_one_account_and_then_its_owner_signs_in(limited: ServerProcess) -> None:
    def log_in(password: str, address: str) -> tuple[int, str | None]:
        reply = limited.request("POST", "/login", ada | {"password": password}, {"X-Forwarded-For": address})
        return reply.status, reply.headers.get("Retry-After")

    ada = {"email": "ada@chat.test", "password": "a good password"}
    assert limited.request("POST", "/register", {"name": "Ada", **ada}).status == 201
    assert log_in("a good password", "192.0.2.1")[0] == 200
    answers = [log_in(f"guess {number}", f"198.51.100.{number % 4}") for number in range(40)]
    assert [status for status, _ in answers] == [404] * 10 + [429] * 30
    assert all(1 <= int(seconds or 0) <= 60 for _, seconds in answers[10:])
    assert log_in("a good password", "203.0.113.9")[0] == 429
    assert log_in("a good password", "192.0.2.1")[0] == 200
    limited.stop()
    assert sum("login from 198.51.100" in line for line in limited.lines) == 10
    assert any("21 more lines of request_refused" in line and "rate_limited 21" in line for line in limited.lines)
    assert not any("guess" in line or "ada@" in line or "good password" in line for line in limited.lines)


@transports
def test_the_pages_burst_of_50_passes(limited: ServerProcess, js: JsClients, transports: list[str]) -> None:
    join(js, limited, "ann", "bob", transports=transports)
    messages = spoken(50)
    js.burst("ann", messages)
    for name in ("ann", "bob"):
        assert contents(js.expect(name, "receive-message", 50)) == [message["content"] for message in messages]
    assert js.kept("ann", "message-rejected") == []


def test_flood_of_1000_is_refused_and_others_lose_nothing(unforgiving: ServerProcess, js: JsClients) -> None:
    """300 refusals are told, message by message; the one that is too many closes the connection."""
    join(js, unforgiving, "eve", **QUICKLY)
    join(js, unforgiving, "ann", "bob")
    flood = spoken(1000)
    js.burst("eve", flood)
    assert js.expect("eve", "disconnect")[0][0] in ("transport close", "transport error")
    js.expect("eve", "connect")  # she may come back, and has nothing of it
    refused = js.ask("eve", "send-message", {"content": "again"})
    assert refused["error"]["code"] == "rate_limited"
    assert 30 < refused["error"]["retry_after_seconds"] <= 60
    said = spoken(20)
    for message in said:
        js.emit("ann", "send-message", message, ack="ann")
    assert all(ack["ok"] for (ack,) in js.expect("ann", "ack:ann", 20))
    # Some refusals are on their way when the connection is closed, and lost with it.
    told = [rejected for (rejected,) in js.kept("eve", "message-rejected")]
    assert all(rejected["error"]["code"] == "rate_limited" for rejected in told)
    assert all(rejected["error"]["retry_after_seconds"] >= 1 for rejected in told)
    assert {rejected["id"] for rejected in told} <= {message["id"] for message in flood[60:]}
    accepted = [message["content"] for message in flood[:60]]
    received = contents(js.expect("bob", "receive-message", 80))
    assert received == accepted + [message["content"] for message in said]
    unforgiving.stop()
    assert sum("was closed for a flood of events" in line for line in unforgiving.lines) == 1


def test_a_flood_that_is_borne_is_refused_message_by_message(unforgiving: ServerProcess, js: JsClients) -> None:
    join(js, unforgiving, "eve", "bob")
    flood = spoken(200)
    js.burst("eve", flood)
    told = [rejected for (rejected,) in js.expect("eve", "message-rejected", 100)]
    assert set(told[0]) == {"ok", "error", "id"}
    assert set(told[0]["error"]) == {"code", "message", "retry_after_seconds"}
    js.ask("eve", "send-message", {"content": ""}, nonsense=True)
    told += [rejected for (rejected,) in js.kept("eve", "message-rejected")]
    received = {message["id"] for message, _ in js.expect("bob", "receive-message", 200 - len(told))}
    assert received | {rejected["id"] for rejected in told} == {message["id"] for message in flood}
    assert js.kept("eve", "disconnect") == []


@pytest.mark.parametrize("transports", [["websocket"], ["polling"]], ids="-".join)
def test_messages_with_retries_are_slowed_down_and_none_is_lost(js: JsClients, transports: list[str]) -> None:
    """A client's `retries` takes a refusal for an answer, so a client that waits for each ack is not refused."""
    with ServerProcess(RATE_LIMITS="on", MESSAGES_PER_SECOND="50", PERSON_MESSAGES_PER_SECOND="60") as server:
        js.join("bob", server.url, token(SECRET, "bob"), **WEBSOCKET)
        options: dict[str, Any] = {"transports": transports, "retries": 3, "ackTimeout": 5000}
        js.open("ann", server.url, token(SECRET, "ann"), **options)
        messages = spoken(200)
        js.collect("ann")
        for message in messages:  # before it is connected: they wait with the client
            js.say("ann", message["id"], message["content"])
        received = js.expect("bob", "receive-message", 200)
        assert contents(received) == [message["content"] for message in messages]
        js.ask("bob", "send-message", {"content": "the end"})
        assert contents(js.expect("bob", "receive-message")) == ["the end"]
        await_until(lambda: len(js.collected("ann")[1]) >= len(messages), "the last ack")
        assert js.collected("ann")[1] == [message["id"] for message in messages]


def test_a_message_sent_again_has_its_ack_whatever_the_pace(unforgiving: ServerProcess, js: JsClients) -> None:
    join(js, unforgiving, "ann")
    messages = spoken(100)
    js.burst("ann", messages)
    js.expect("ann", "message-rejected", 35)
    answer = js.ask("ann", "send-message", messages[0])
    assert (answer["ok"], answer["id"]) == (True, messages[0]["id"])
    assert [message["id"] for message, _ in js.expect("ann", "receive-message", 60)].count(answer["id"]) == 1


@pytest.mark.parametrize(
    "event", [["typing"], ["no such event", 1], ["send-message", {"id": "7", "content": "x"}]]
)
def test_no_event_is_free(limited: ServerProcess, js: JsClients, event: list[Any]) -> None:
    """200 events at once, then 300 refusals, then the end of the connection: for a repeated message too."""
    join(js, limited, "eve", reconnection=False)
    for _ in range(1000):
        js.emit("eve", *event, nonsense=event[0] == "no such event")
    assert js.expect("eve", "disconnect")[0][0] in ("transport close", "transport error")
    js.join("ann", limited.url, token(SECRET, "ann"), **WEBSOCKET)


@pytest.mark.parametrize("has_ack", [True, False])
def test_a_renewal_beyond_the_pace_is_refused_aloud(js: JsClients, *, has_ack: bool) -> None:
    """A client without an answer takes the renewal for done, or waits for it, until the socket ends."""
    with ServerProcess(RATE_LIMITS="on", OTHER_EVENTS_PER_SECOND="1") as server:
        join(js, server, "ann")
        asked = [f"renewal {n}" for n in range(100)]  # 10 are taken at once, and coming in was 5 of them
        for ack in asked:
            js.emit("ann", "renew", {"token": token(SECRET, "ann")}, ack=ack if has_ack else None)
        if has_ack:
            answers = [js.expect("ann", f"ack:{ack}")[0][0] for ack in asked]
        else:
            answers = [js.expect("ann", "renew-rejected")[0][0]]
    refused = [answer["error"] for answer in answers if not answer["ok"]]
    assert refused
    for error in refused:
        assert (error["code"], error["retry_after_seconds"]) == ("rate_limited", 1)


@pytest.mark.direct("a WebSocket of its own making")
async def test_client_that_joins_over_and_over_is_told_to_try_again_later(limited: ServerProcess) -> None:
    """Each time a token is checked and messages are sent. Never a CONNECT_ERROR: a page would stay dead."""
    coming_in = "40/chat," + json.dumps({"token": token(SECRET, "eve")})
    ws = await open_ws(limited.port)
    ws.send(*[coming_in, "41/chat,"] * 100)
    answers = []
    while not (said := await ws.receive_or_end()).startswith("closed"):
        answers.append(said[:2])
    assert set(answers) == {"40"}
    assert 40 <= len(answers) < 100
    assert said == "closed, 1013"
    ws.cut()


def test_tabs_of_one_person_share_an_allowance(limited: ServerProcess, js: JsClients) -> None:
    join(js, limited, "ann 1", "ann 2", "ann 3", "bob")
    js.burst("ann 1", spoken(60))
    js.burst("ann 2", spoken(60))
    js.expect("bob", "receive-message", 120)
    js.burst("ann 3", spoken(60))
    js.expect("ann 3", "message-rejected", 10)
    assert js.ask("bob", "send-message", {"content": "mine"})["ok"]
