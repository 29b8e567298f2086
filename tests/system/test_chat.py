"""The wire contract of sockets, with the official JavaScript clients."""

import json
import re
import uuid
from typing import Any

import jwt
import pytest

from tests.client.wire import join
from tests.system.js import JsClients
from tests.system.server import SECRET, ServerProcess

TRANSPORTS = [["polling", "websocket"], ["websocket"], ["polling"]]
transports = pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
versions = pytest.mark.parametrize("version", ["4.8", "4.7", "4.0"])


def page_message(content: str, **fields: Any) -> dict[str, Any]:
    """A message with all fields that the page sends."""
    return {
        "id": str(uuid.uuid4()),
        "content": content,
        "author_id": "somebody",
        "author_name": "Somebody",
        "timestamp": "10:32 AM",
        "status": "sent",
        **fields,
    }


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, SECRET, algorithms=["HS256"])


@versions
@transports
def test_burst_arrives_in_order(server: ServerProcess, js: JsClients, transports: list[str], version: str) -> None:
    for name in ("ann", "bob", "eve"):
        js.join(name, server.url, server.sign_up(name), version=version, transports=transports)
    contents = [f"message {number}" for number in range(50)]
    js.burst("bob", [page_message(content) for content in contents])
    for name in ("ann", "bob", "eve"):
        received = js.expect(name, "receive-message", 50)
        assert [args[0]["content"] for args in received] == contents
        offsets = [args[1] for args in received]
        assert offsets == sorted(set(offsets))


def test_message_is_stamped_with_the_tokens_identity(server: ServerProcess, js: JsClients) -> None:
    token = server.sign_up("ann")
    js.join("ann", server.url, token)
    sent = page_message("it <b>is</b> me & you", author_name="The Boss", author_id="1", extra="no", status="read")
    js.emit("ann", "send-message", sent)
    ((message, offset),) = js.expect("ann", "receive-message")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", message.pop("sent_at"))
    assert isinstance(offset, str)
    assert message == {
        "id": sent["id"],
        "content": "it <b>is</b> me & you",
        "author_id": claims_of(token)["sub"],
        "author_name": "ann",
        "timestamp": "10:32 AM",
        "status": "sent",
    }
    user = server.request("GET", "/user", headers={"Authorization": f"Bearer {token}"}).body
    assert user["id"] == message["author_id"]


def test_ack_of_an_accepted_message_bears_its_id_offset_and_time(server: ServerProcess, js: JsClients) -> None:
    js.join("ann", server.url, server.sign_up("ann"))
    sent = page_message("hello")
    js.emit("ann", "send-message", sent, ack="sent")
    ((message, offset),) = js.expect("ann", "receive-message")
    ((ack,),) = js.expect("ann", "ack:sent")
    assert ack == {"ok": True, "id": sent["id"], "offset": offset, "sent_at": message["sent_at"]}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("text", "invalid_message"),
        (None, "invalid_message"),
        ({"content": 7}, "invalid_message"),
        ({"id": "x"}, "invalid_message"),
        ({"content": " \n"}, "empty_message"),
        ({"content": "x" * 10_001}, "message_too_long"),
    ],
)
def test_refused_message_is_told_the_sender(server: ServerProcess, js: JsClients, raw: object, code: str) -> None:
    for name in ("ann", "bob"):
        js.join(name, server.url, server.sign_up(name))
    js.emit("ann", "send-message", raw, ack="refused", nonsense=True)
    ((ack,),) = js.expect("ann", "ack:refused")
    assert ack["ok"] is False
    assert ack["error"]["code"] == code
    assert isinstance(ack["error"]["message"], str)
    js.emit("ann", "send-message", {**raw, "id": "mine"} if isinstance(raw, dict) else raw, nonsense=True)
    ((rejection,),) = js.expect("ann", "message-rejected")
    assert rejection == {**ack, "id": "mine" if isinstance(raw, dict) else None}
    js.emit("ann", "send-message", page_message("after it"))
    for name in ("ann", "bob"):
        ((message, _),) = js.expect(name, "receive-message")
        assert message["content"] == "after it"
    assert js.kept("bob", "message-rejected") == []


def test_same_message_sent_twice_arrives_once(server: ServerProcess, js: JsClients) -> None:
    for name in ("ann", "bob"):
        js.join(name, server.url, server.sign_up(name))
    once = page_message("once")
    js.emit("ann", "send-message", once, ack="first")
    js.emit("ann", "send-message", once, ack="second")
    assert js.expect("ann", "ack:first") == js.expect("ann", "ack:second")
    js.emit("bob", "send-message", {**once, "content": "mine"}, ack="other")
    ((other,),) = js.expect("bob", "ack:other")
    assert other["id"] != once["id"]
    assert [args[0]["content"] for args in js.expect("ann", "receive-message", 2)] == ["once", "mine"]


def test_another_text_under_an_id_that_is_used_is_refused_and_never_acked(
    server: ServerProcess, js: JsClients
) -> None:
    for name in ("ann", "bob"):
        js.join(name, server.url, server.sign_up(name))
    js.emit("ann", "send-message", page_message("first", id="1"), ack="first")
    ((first,),) = js.expect("ann", "ack:first")
    js.emit("ann", "send-message", page_message("another", id="1"), ack="second")
    ((second,),) = js.expect("ann", "ack:second")
    js.emit("ann", "send-message", page_message("first", id="1"), ack="third")
    assert first["ok"]
    assert (second["ok"], second["error"]["code"]) == (False, "id_reused")
    assert js.expect("ann", "ack:third") == [[first]]
    js.emit("ann", "send-message", page_message("third", id="1"))
    ((rejected,),) = js.expect("ann", "message-rejected")
    assert (rejected["id"], rejected["error"]["code"]) == ("1", "id_reused")
    js.emit("ann", "send-message", page_message("last"))
    assert [args[0]["content"] for args in js.expect("bob", "receive-message", 2)] == ["first", "last"]


@pytest.mark.parametrize("id_", [7, 10**12, "x" * 65, "a\nb", "\u200b", True, ["a"]])
def test_a_message_sent_again_under_an_id_that_cannot_be_kept_arrives_once(
    server: ServerProcess, js: JsClients, id_: Any
) -> None:
    is_nonsense = not isinstance(id_, str) or len(id_) > 64
    js.join("ann", server.url, server.sign_up("ann"))
    for label in ("first", "second"):
        js.emit("ann", "send-message", page_message("once", id=id_), ack=label, nonsense=is_nonsense)
    assert js.expect("ann", "ack:first") == js.expect("ann", "ack:second")
    js.emit("ann", "send-message", page_message("last"))
    assert [args[0]["content"] for args in js.expect("ann", "receive-message", 2)] == ["once", "last"]


@pytest.mark.direct("a client of its own making")
async def test_half_a_surrogate_pair_leaves_as_the_replacement_character(server: ServerProcess) -> None:
    token = server.sign_up("ann")
    ws = await join(server.port, "/chat", {"token": token})
    ws.send("42/chat," + json.dumps(["send-message", {"content": "cut \ud83d", "timestamp": "10:32 \ude00"}]))
    delivered = await ws.receive()
    assert isinstance(delivered, str)
    message = json.loads(delivered.removeprefix("42/chat,"))[1]
    assert (message["content"], message["timestamp"]) == ("cut \ufffd", "10:32 \ufffd")
    page = server.request("GET", "/messages", headers={"Authorization": f"Bearer {token}"}).body
    assert [(one["content"], one["timestamp"]) for one in page["messages"]] == [("cut \ufffd", "10:32 \ufffd")]
    ws.close()


@pytest.mark.parametrize(
    ("token", "message", "code"),
    [
        (None, "Missing token", "missing_token"),
        ("", "Missing token", "missing_token"),
        (7, "jwt malformed", "malformed_token"),
        ("abc", "jwt malformed", "malformed_token"),
        ("expired", "jwt expired", "token_expired"),
        ("foreign", "invalid signature", "invalid_signature"),
    ],
)
def test_refused_connect_says_why_once_and_is_then_closed(
    server: ServerProcess, js: JsClients, token: Any, message: str, code: str
) -> None:
    claims = {"id": "1", "sub": "1", "name": "Ann", "email": "a@b.test", "iat": 1, "exp": 4_000_000_000}
    is_nonsense = not isinstance(token, str) or not token
    if token == "expired":
        token = jwt.encode({**claims, "exp": 2}, SECRET)
    elif token == "foreign":
        token = jwt.encode(claims, SECRET + "!")
    js.open("ann", server.url, token, nonsense=is_nonsense)
    assert js.expect("ann", "connect_error") == [[message, {"code": code}]]
    js.expect("ann", "engine_close")
    assert js.kept("ann", "connect") == []
    assert js.kept("ann", "connect_error") == []


@pytest.mark.parametrize("namespace", ["/admin", "/Chat"])
def test_other_namespace_refuses_each_client(server: ServerProcess, js: JsClients, namespace: str) -> None:
    js.open("ann", server.url, server.sign_up("ann"), namespace=namespace)
    assert js.expect("ann", "connect_error") == [["Invalid namespace", None]]
    js.expect("ann", "engine_close")


@pytest.mark.parametrize("version", ["4.8", "4.7"])
@transports
def test_client_with_retries_sends_on_behind_an_event_that_is_unknown_or_throttled(
    server: ServerProcess, js: JsClients, transports: list[str], version: str
) -> None:
    """With subprotocols, of which a WebSocket that is not told one is closed by its client."""
    options = {"retries": 3, "ackTimeout": 60_000, "protocols": ["chat", "v2"], "transports": transports}
    js.join("ann", server.url, server.sign_up("ann"), version=version, **options)
    if len(transports) > 1:
        js.expect("ann", "upgrade")
    js.emit("ann", "no such event", nonsense=True)
    for _ in range(60):
        js.emit("ann", "typing")
    js.emit("ann", "send-message", {"content": "behind"})
    ((message, _),) = js.expect("ann", "receive-message")
    assert message["content"] == "behind"


@pytest.mark.alone("a server in memory, where tokens need no account")
def test_token_of_a_user_this_server_does_not_know_is_let_in(server: ServerProcess, js: JsClients) -> None:
    claims = {"id": "9", "sub": "9", "name": "Old", "email": "o@b.test", "iat": 1, "exp": 4_000_000_000}
    js.join("old", server.url, jwt.encode(claims, SECRET))


@pytest.mark.alone("a server in memory, where tokens need no account")
@transports
def test_clients_come_back_by_themselves_after_a_restart(js: JsClients, transports: list[str]) -> None:
    with ServerProcess() as first:
        token = first.sign_up("ann")
        port = first.port
        js.join("ann", first.url, token, transports=transports, reconnectionDelay=50, reconnectionDelayMax=100)
        assert first.stop() == 0
    ((reason, *_),) = js.expect("ann", "disconnect")
    assert reason in ("transport close", "transport error")  # after "io server disconnect" the page stays dead
    with ServerProcess(SERVER_PORT=str(port)):
        js.expect("ann", "connect")
        js.emit("ann", "send-message", page_message("back"))
        assert js.expect("ann", "receive-message")[0][0]["content"] == "back"
