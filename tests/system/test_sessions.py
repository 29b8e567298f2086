"""Sockets end with their tokens: official clients against `python main.py`."""

import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from tests.client.protocol import token
from tests.system.js import JsClients
from tests.system.server import SECRET, ServerProcess
from tests.system.test_chat import claims_of, page_message, transports

pytestmark = pytest.mark.alone("a server in memory, where tokens need no account")
pages = pytest.mark.parametrize("version", ["4.8", "4.7"])

NEW_PASSWORD = {"old_password": "ann's password", "new_password": "a new one"}
ENDINGS = [
    ("POST", "/logout", None, "signed_out"),
    ("POST", "/user/password", NEW_PASSWORD, "password_changed"),
    ("DELETE", "/user", {"password": "ann's password"}, "account_deleted"),
]


@pytest.fixture(scope="module")
def lasting() -> Iterator[ServerProcess]:
    """One server for all tests that have users of their own."""
    with ServerProcess() as process:
        yield process


def token_of(name: str, *, seconds: int = 3600, **claims: Any) -> str:
    """A token of a user whom no server has registered."""
    return token(SECRET, name, **{"exp": int(time.time()) + seconds, **claims})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def sign_out(server: ServerProcess, token: str) -> None:
    assert server.request("POST", "/logout", headers=bearer(token)).status == 204


def assert_ended(js: JsClients, client: str, reason: str) -> None:
    """`client` is told why, then disconnected for good, whereupon it closes its transport."""
    story = [(told.event, told.args) for told in js.story(client, "disconnect")]
    assert story.count(("session-ended", [{"reason": reason}])) == 1
    events = [event for event, _ in story]
    assert events[events.index("session-ended") :] == ["session-ended", "engine_close", "disconnect"]
    assert story[-1] == ("disconnect", ["io server disconnect"])  # a client does not come back by itself then


def assert_chats(js: JsClients, client: str) -> None:
    assert js.ask(client, "send-message", page_message("still here"))["ok"] is True


@pages
@transports
def test_socket_ends_by_token(lasting: ServerProcess, js: JsClients, transports: list[str], version: str) -> None:
    token = token_of("ann", seconds=2)
    expires_at = claims_of(token)["exp"]
    js.open("ann", lasting.url, token, transports=transports, version=version, reconnectionDelay=10)
    js.open("bob", lasting.url, token_of("bob"), transports=transports, version=version)
    for name in ("ann", "bob"):
        js.expect(name, "connect")
    assert_ended(js, "ann", "expired")
    assert time.time() >= expires_at
    assert_chats(js, "bob")
    assert js.kept("ann", "connect") == []
    assert js.kept("bob", "session-ended") == []


def test_a_token_that_the_server_issued_lasts_as_long_as_it_is_told_to(js: JsClients) -> None:
    with ServerProcess(JWT_TTL_SECONDS="2") as server:
        js.join("ann", server.url, server.sign_up("ann"))
        assert_ended(js, "ann", "expired")


@pages
@transports
@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending[3])
def test_what_ends_a_token_ends_its_sockets_and_no_others(
    server: ServerProcess, js: JsClients, transports: list[str], version: str, ending: tuple[str, str, object, str]
) -> None:
    method, path, body, reason = ending
    token, eve = server.sign_up("ann"), server.sign_up("eve")
    credentials = {"email": "ann@chat.test", "password": "ann's password"}
    other = server.request("POST", "/login", credentials).body["token"]
    for name, whose in (("ann", token), ("tab", token), ("phone", other), ("eve", eve)):
        js.join(name, server.url, whose, transports=transports, version=version)
    assert server.request(method, path, body, bearer(token)).status == 204
    for name in ("ann", "tab"):
        assert_ended(js, name, reason)
    if reason == "signed_out":
        assert_chats(js, "phone")
        assert server.request("GET", "/user", headers=bearer(other)).status == 200
    else:
        assert_ended(js, "phone", reason)
        assert server.request("GET", "/user", headers=bearer(other)).status == 401
    assert_chats(js, "eve")
    assert js.kept("eve", "session-ended") == []
    js.open("again", server.url, token, transports=transports, version=version)
    assert js.expect("again", "connect_error") == [["jwt revoked", {"code": "token_revoked"}]]


def test_user_that_changed_the_password_logs_in_and_chats(server: ServerProcess, js: JsClients) -> None:
    token = server.sign_up("ann")
    assert server.request("POST", "/user/password", NEW_PASSWORD, bearer(token)).status == 204
    answer = server.request("POST", "/login", {"email": "ann@chat.test", "password": "a new one"})
    js.join("ann", server.url, answer.body["token"])
    assert_chats(js, "ann")


def test_what_a_deleted_person_said_stays(server: ServerProcess, js: JsClients) -> None:
    token = server.sign_up("ann")
    js.join("ann", server.url, token)
    assert_chats(js, "ann")
    assert server.request("DELETE", "/user", {"password": "ann's password"}, bearer(token)).status == 204
    js.open("bob", server.url, server.sign_up("bob"))
    ((message, _),) = js.expect("bob", "receive-message")
    assert (message["content"], message["author_name"]) == ("still here", "ann")


def test_presence_shows_that_a_logged_out_user_leaves(server: ServerProcess, js: JsClients) -> None:
    token, bob = server.sign_up("ann"), server.sign_up("bob")
    for name, whose in (("ann", token), ("bob", bob)):
        js.join(name, server.url, whose)
    sign_out(server, token)
    assert_ended(js, "ann", "signed_out")
    online = server.request("GET", "/users/online", headers=bearer(bob)).body
    assert [user["name"] for user in online["users"]] == ["bob"]


# --- renew


@pages
@transports
def test_a_socket_that_renewed_outlives_its_old_token(
    lasting: ServerProcess, js: JsClients, transports: list[str], version: str
) -> None:
    new = token_of("ann")
    js.join("ann", lasting.url, token_of("ann", seconds=3), transports=transports, version=version)
    assert js.ask("ann", "renew", {"token": new}) == {"ok": True, "expires_at": claims_of(new)["exp"]}
    js.open("clock", lasting.url, token_of("clock", seconds=3), transports=transports, version=version)
    assert_ended(js, "clock", "expired")  # by now the old token has, too
    assert_chats(js, "ann")
    assert js.kept("ann", "session-ended") == []


def test_a_socket_that_renewed_ends_with_its_new_token_only(lasting: ServerProcess, js: JsClients) -> None:
    old, new = token_of("ann"), token_of("ann")
    js.join("ann", lasting.url, old)
    js.ask("ann", "renew", {"token": new})
    sign_out(lasting, old)
    assert_chats(js, "ann")
    assert js.kept("ann", "session-ended") == []
    sign_out(lasting, new)
    assert_ended(js, "ann", "signed_out")


def test_a_socket_that_renewed_for_a_shorter_time_ends_with_it(lasting: ServerProcess, js: JsClients) -> None:
    js.join("ann", lasting.url, token_of("ann"))
    js.ask("ann", "renew", {"token": token_of("ann", seconds=2)})
    assert_ended(js, "ann", "expired")


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("other", "token_of_another", "jwt of another person"),
        ("garbage", "malformed_token", "jwt malformed"),
        ("number", "malformed_token", "jwt malformed"),
        ("none", "missing_token", "Missing token"),
        ("nothing", "missing_token", "Missing token"),
        ("expired", "token_expired", "jwt expired"),
        ("foreign", "invalid_signature", "invalid signature"),
        ("revoked", "token_revoked", "jwt revoked"),
    ],
)
def test_a_token_that_renews_nothing_leaves_the_session_as_it_was(
    lasting: ServerProcess, js: JsClients, kind: str, code: str, message: str
) -> None:
    ann = f"ann-{kind}"
    revoked = token_of(ann)
    sign_out(lasting, revoked)
    raw: Any = {
        "other": {"token": token_of("eve")},
        "garbage": {"token": "garbage"},
        "number": {"token": 7},
        "none": {},
        "nothing": None,
        "expired": {"token": token_of(ann, seconds=-1)},
        "foreign": {"token": jwt.encode(claims_of(token_of(ann)), SECRET + "!")},
        "revoked": {"token": revoked},
    }[kind]
    token = token_of(ann)
    js.join("ann", lasting.url, token)
    refusal = {"ok": False, "error": {"code": code, "message": message}}
    is_nonsense = kind in ("number", "none", "nothing")
    assert js.ask("ann", "renew", raw, nonsense=is_nonsense) == refusal
    js.emit("ann", "renew", raw, nonsense=is_nonsense)
    assert js.expect("ann", "renew-rejected") == [[refusal]]
    assert_chats(js, "ann")
    sign_out(lasting, token)
    assert_ended(js, "ann", "signed_out")


# --- races


def test_logging_out_while_connecting_leaves_no_socket(lasting: ServerProcess, js: JsClients) -> None:
    """The CONNECT is refused, or accepted and ended, depending on which comes first."""
    outcomes = set()
    for number in range(30):
        token = token_of(f"ann-{number}")
        js.open(f"ann-{number}", lasting.url, token, transports=[["websocket"], ["polling"]][number % 2])
        if number % 3 == 0:
            js.expect(f"ann-{number}", "connect")
        sign_out(lasting, token)
    for number in range(30):
        *before, last = js.story(f"ann-{number}", "connect_error", "disconnect")
        assert (last.args[0], "session-ended" in [told.event for told in before]) in (
            ("jwt revoked", False),
            ("io server disconnect", True),
        )
        outcomes.add(last.event)
    assert outcomes == {"connect_error", "disconnect"}


def test_a_token_without_an_id_signs_out_all_that_are_not_younger(lasting: ServerProcess, js: JsClients) -> None:
    now = int(time.time())
    old, token = (token_of("jim", iat=now - age, jti="") for age in (20, 10))
    young = token_of("jim", iat=now - 5)
    for name, whose in (("old", old), ("this", token), ("young", young)):
        js.join(name, lasting.url, whose)
    sign_out(lasting, token)
    for name in ("old", "this"):
        assert_ended(js, name, "signed_out")
    assert_chats(js, "young")
    assert js.kept("young", "session-ended") == []


def test_a_message_that_waits_for_its_turn_is_not_said_once_its_author_is_signed_out(js: JsClients) -> None:
    with ServerProcess(RATE_LIMITS="on", MESSAGE_BURST="1", MESSAGES_PER_SECOND="1.25") as server:
        token, bob = token_of("ann"), token_of("bob")
        for name, whose in (("ann", token), ("bob", bob)):
            js.join(name, server.url, whose)
            js.ask(name, "send-message", page_message("said at once"))
        js.emit("ann", "send-message", page_message("waits"), ack="second")
        sign_out(server, token)
        assert_ended(js, "ann", "signed_out")
        assert js.ask("bob", "send-message", page_message("waits longer"))["ok"] is True
        messages = server.request("GET", "/messages", headers=bearer(bob)).body["messages"]
        assert [message["content"] for message in messages] == ["said at once", "said at once", "waits longer"]
