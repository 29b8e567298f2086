"""Key rotation without signing users out: official clients through the restarts of docs/operations.md."""

import os
import re
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest

from tests.paths import ROOT
from tests.system.js import JsClients
from tests.system.server import SECRET, ServerProcess
from tests.system.test_chat import claims_of, transports
from tests.system.test_sessions import assert_chats, assert_ended, bearer, sign_out, token_of

OPERATIONS = ROOT / "docs/operations.md"
NEW = "the key that comes after it, long enough too"

ResumePoint = Callable[..., ServerProcess]


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A folder in the place of /etc/chatio."""
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder


@pytest.fixture
def start(etc: Path) -> ResumePoint:
    """Make a server with the keys in `etc`, as the unit does: the previous key may be missing."""

    def make(port: int = 0) -> ServerProcess:
        previous = etc / "jwt_secret_key_previous"
        return ServerProcess(
            SERVER_PORT=str(port),
            JWT_SECRET_KEY="",
            JWT_SECRET_KEY_FILE=str(etc / "jwt_secret_key"),
            JWT_SECRET_KEY_PREVIOUS_FILE=str(previous if previous.exists() else os.devnull),
        )

    return make


@pytest.fixture
def rotated(etc: Path, start: ResumePoint) -> ResumePoint:
    """`start`, with a new key, and the tests' own key as the previous one."""
    (etc / "jwt_secret_key").write_text(f"{NEW}\n")
    (etc / "jwt_secret_key_previous").write_text(f"{SECRET}\n")
    return start


def follow(number: int, etc: Path) -> None:
    """Do step `number` of the document, with `etc` for /etc/chatio; the test does the restart."""
    (section,) = re.findall(r"## A new key, .*?(?=\n## )", OPERATIONS.read_text("utf-8"), re.DOTALL)
    step = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[number]
    tools = etc.parent / "bin"
    tools.mkdir(exist_ok=True)
    for name, line in (("sudo", 'exec "$@"'), ("systemctl", 'test "$*" = "restart chatio"')):
        (tools / name).write_text(f"#!/bin/sh\n{line}\n")
        (tools / name).chmod(0o755)
    environ = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-euc", step.replace("/etc/chatio", str(etc))], env=environ, check=True)


@transports
def test_session_lasts_while_the_previous_key_is_accepted(
    etc: Path, start: ResumePoint, js: JsClients, transports: list[str]
) -> None:
    (etc / "jwt_secret_key").write_text(f"{SECRET}\n")
    with start() as server:
        token, port = server.sign_up("ann"), server.port
        js.join("ann", server.url, token, transports=transports, reconnectionDelay=50, reconnectionDelayMax=50)
    follow(0, etc)
    assert {path.stat().st_mode & 0o777 for path in etc.iterdir()} == {0o600}
    with start(port) as server:
        js.expect("ann", "connect")  # by itself, with the token that it has
        assert_chats(js, "ann")
        assert server.request("GET", "/users/online", headers=bearer(token)).status == 200
        jwt.decode(server.sign_up("bob"), (etc / "jwt_secret_key").read_text().strip(), ["HS256"])
    follow(1, etc)
    with start(port) as server:
        told = js.expect("ann", "connect_error")
        while told[0][0] != "invalid signature":  # while no server is there: another message
            told = js.expect("ann", "connect_error")
        assert told == [["invalid signature", {"code": "invalid_signature"}]]
        reply = server.request("GET", "/users/online", headers=bearer(token))
        assert (reply.status, reply.body) == (401, {"message": "Token invalid", "code": "invalid_signature"})


def test_a_socket_on_a_token_of_the_previous_key_ends_with_it(rotated: ResumePoint, js: JsClients) -> None:
    token = token_of("ann")
    with rotated() as server:
        js.join("ann", server.url, token)
        js.join("bob", server.url, token_of("bob", seconds=4))
        sign_out(server, token)
        assert_ended(js, "ann", "signed_out")
        assert server.request("GET", "/users/online", headers=bearer(token)).status == 401
        assert_ended(js, "bob", "expired")


def test_socket_renews_token_of_the_previous_key_with_one_of_the_new(rotated: ResumePoint, js: JsClients) -> None:
    with rotated() as server:
        old = token_of("ann", seconds=4)
        later = claims_of(old) | {"exp": int(time.time()) + 3600, "jti": uuid.uuid4().hex}
        for name in ("ann", "clock"):
            js.join(name, server.url, old)
        renewed = js.ask("ann", "renew", {"token": jwt.encode(later, NEW)})
        assert renewed == {"ok": True, "expires_at": later["exp"]}
        assert_ended(js, "clock", "expired")
        assert_chats(js, "ann")
