"""A new key, and nobody signed out: official clients through the restarts that docs/operations.md tells of."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest

from tests.system.js import JsClients
from tests.system.server import SECRET, ServerProcess
from tests.system.test_chat import claims_of, transports
from tests.system.test_sessions import assert_chats, assert_ended, bearer, sign_out, token_of

NEW = "the key that comes after it, long enough too"

Start = Callable[..., ServerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Makes a server with its keys in files, as systemd's credentials are. No previous one: its file is empty."""

    def make(key: str, previous: str = "", port: int = 0) -> ServerProcess:
        current, before = tmp_path / "key", tmp_path / "key_of_before"
        current.write_text(f"{key}\n")
        before.write_text(previous and f"{previous}\n")
        return ServerProcess(
            SERVER_PORT=str(port),
            JWT_SECRET_KEY="",
            JWT_SECRET_KEY_FILE=str(current),
            JWT_SECRET_KEY_PREVIOUS_FILE=str(before),
        )

    return make


@transports
def test_who_is_signed_in_stays_so_while_the_previous_key_is_accepted_and_no_longer(
    start: Start, js: JsClients, transports: list[str]
) -> None:
    with start(SECRET) as server:
        token, port = server.sign_up("ann"), server.port
        js.open("ann", server.url, token, transports=transports, reconnectionDelay=50, reconnectionDelayMax=50)
        js.expect("ann", "connect")
    with start(NEW, SECRET, port) as server:
        js.expect("ann", "connect")  # by itself, with the token that it has
        assert_chats(js, "ann")
        assert server.request("GET", "/users/online", headers=bearer(token)).status == 200
        jwt.decode(server.sign_up("bob"), NEW, ["HS256"])  # issued with the new key
    with start(NEW, "", port) as server:
        told = js.expect("ann", "connect_error")
        while told[0][0] != "invalid signature":  # while no server is there: another message
            told = js.expect("ann", "connect_error")
        assert told == [["invalid signature", {"code": "invalid_signature"}]]
        reply = server.request("GET", "/users/online", headers=bearer(token))
        assert (reply.status, reply.body) == (401, {"message": "Token invalid"})


def test_a_socket_on_a_token_of_the_previous_key_ends_with_it(start: Start, js: JsClients) -> None:
    token = token_of("ann")
    with start(NEW, SECRET) as server:
        js.open("ann", server.url, token)
        js.open("bob", server.url, token_of("bob", seconds=4))
        js.expect("ann", "connect")
        js.expect("bob", "connect")
        sign_out(server, token)
        assert_ended(js, "ann", "signed_out")
        assert server.request("GET", "/users/online", headers=bearer(token)).status == 401
        assert_ended(js, "bob", "expired")


def test_a_socket_renews_a_token_of_the_previous_key_with_one_of_the_new(start: Start, js: JsClients) -> None:
    old = token_of("ann", seconds=4)
    later = claims_of(old) | {"exp": int(time.time()) + 3600, "jti": uuid.uuid4().hex}
    with start(NEW, SECRET) as server:
        for name in ("ann", "clock"):
            js.open(name, server.url, old)
            js.expect(name, "connect")
        js.emit("ann", "renew", {"token": jwt.encode(later, NEW)}, ack="renewed")
        assert js.expect("ann", "ack:renewed") == [[{"ok": True, "expires_at": later["exp"]}]]
        assert_ended(js, "clock", "expired")
        assert_chats(js, "ann")
