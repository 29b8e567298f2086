"""Session expiry: what may happen between two steps of one decision."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, cast

import pytest
from tornado.ioloop import IOLoop

from chatio.accounts.tokens import Claims, Tokens
from chatio.chat.socket_sessions import EndReason
from chatio.errors import TokenRevoked
from chatio.realtime import Server
from handlers.chat.session_expiry import ENDED_PER_TURN, SessionExpiry
from tests.client.wire import until
from tests.conftest import ExpectedLogs
from tests.unit.faults import fail_once

KEY = "the key of these tests, 32 bytes or more"


class Dismissals:
    """Stands for the realtime server: records the sids that it dismisses, in order."""

    def __init__(self) -> None:
        self.dismissed: list[str] = []

    async def dismiss(self, sid: str, namespace: str, event: str, data: dict[str, Any]) -> None:
        assert (namespace, event, data) == ("/chat", "session-ended", {"reason": "password_changed"})
        self.dismissed.append(sid)


@pytest.fixture
def tokens() -> Tokens:
    return Tokens(KEY, ttl_seconds=60)


@pytest.fixture
def server() -> Dismissals:
    return Dismissals()


@pytest.fixture
def sessions(server: Dismissals, tokens: Tokens, io_loop: IOLoop) -> SessionExpiry:
    return SessionExpiry(cast(Server, server), "/chat", tokens)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handlers.chat.session_expiry.INTERVAL_SECONDS", 0.01)


def raw(tokens: Tokens, subject: str = "ada") -> dict[str, str]:
    return {"token": tokens.issue(subject=subject, name="Ada", email="ada@chat.test")}


def enter(sessions: SessionExpiry, tokens: Tokens, *sids: str, subject: str = "ada") -> Claims:
    claims = sessions.verify(raw(tokens, subject))
    for sid in sids:
        sessions.add(sid, claims)
    return claims


async def test_a_token_that_was_revoked_opens_no_session(sessions: SessionExpiry, tokens: Tokens) -> None:
    auth = raw(tokens)
    tokens.end(tokens.ending(sessions.verify(auth)))
    with pytest.raises(TokenRevoked):
        sessions.verify(auth)


async def test_disconnected_socket_is_left(sessions: SessionExpiry, tokens: Tokens, server: Dismissals) -> None:
    enter(sessions, tokens, "a", "b")
    sessions.discard("a")
    tokens.end(tokens.ending_all("ada"))
    await sessions.end_revoked("ada", EndReason.PASSWORD_CHANGED)
    await sessions.end_revoked("ada", EndReason.PASSWORD_CHANGED)
    assert server.dismissed == ["b"]


async def test_socket_that_renews_meanwhile_is_not_ended(
    sessions: SessionExpiry, tokens: Tokens, server: Dismissals
) -> None:
    """They are shown out some at a time, and the loop turns between."""
    sids = [f"{number}" for number in range(ENDED_PER_TURN + 3)]
    enter(sessions, tokens, *sids)
    enter(sessions, tokens, "other", subject="eve")
    tokens.end(tokens.ending_all("ada"))
    ending = asyncio.ensure_future(sessions.end_revoked("ada", EndReason.PASSWORD_CHANGED))
    await asyncio.sleep(0)
    assert server.dismissed == sids[:ENDED_PER_TURN]
    renewed, left, stays = sids[ENDED_PER_TURN:]
    sessions.renew(renewed, raw(tokens))
    sessions.discard(left)
    await ending
    assert server.dismissed == [*sids[:ENDED_PER_TURN], stays]


async def test_a_renewal_says_when_the_new_token_expires(sessions: SessionExpiry, tokens: Tokens) -> None:
    enter(sessions, tokens, "a")
    assert int(time.time()) + 58 <= sessions.renew("a", raw(tokens)) <= time.time() + 60


async def test_socket_that_cannot_be_dismissed_at_once_is_dismissed_later_and_holds_up_no_other(
    tokens: Tokens, error: type[Exception], logs: ExpectedLogs
) -> None:
    logs.expect(f"^ending a session failed: {error.__name__}")
    house = Spawning(error)
    now = time.time()
    sessions = SessionExpiry(cast(Server, house), "/chat", tokens, clock=lambda: now)
    enter(sessions, tokens, "one", "two", "three")
    now += 100
    await until(lambda: len(house.dismissed) == 3)
    assert house.dismissed == ["two", "three", "one"]


async def test_revoked_socket_that_cannot_be_dismissed_at_once_is_dismissed_later(
    tokens: Tokens, error: type[Exception], logs: ExpectedLogs
) -> None:
    logs.expect(f"^ending a session failed: {error.__name__}")
    house = Spawning(error)
    sessions = SessionExpiry(cast(Server, house), "/chat", tokens)
    tokens.end(tokens.ending(enter(sessions, tokens, "one", "two")))
    await sessions.end_revoked("ada", EndReason.SIGNED_OUT)
    assert house.dismissed == ["two"]
    await until(lambda: house.dismissed == ["two", "one"])


async def test_check_that_cannot_be_started_once_is_started_a_second_later(
    tokens: Tokens, error: type[Exception], logs: ExpectedLogs
) -> None:
    logs.expect(f"^ending sessions failed: {error.__name__}")
    house = Spawning(error, spawns=False)
    now = time.time()
    sessions = SessionExpiry(cast(Server, house), "/chat", tokens, clock=lambda: now)
    enter(sessions, tokens, "one")
    now += 100
    await until(lambda: house.dismissed == ["one"])


async def test_check_whose_timer_could_not_be_set_is_set_with_the_next_session(
    tokens: Tokens, error: type[Exception], logs: ExpectedLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connect handler goes on: a session that it opened must not stay behind a client that it refused."""
    logs.expect(f"^ending sessions failed: {error.__name__}")
    house = Spawning()
    now = time.time()
    sessions = SessionExpiry(cast(Server, house), "/chat", tokens, clock=lambda: now)
    with monkeypatch.context() as patch:
        fail_once(patch, asyncio.get_running_loop(), "call_later", error)
        enter(sessions, tokens, "one")
    enter(sessions, tokens, "two")
    now += 100
    await until(lambda: house.dismissed == ["one", "two"])


class Spawning(Dismissals):
    """Fails once: in its first `dismiss`, or where it does not spawn in its first `spawn`."""

    def __init__(self, *errors: type[Exception], spawns: bool = True) -> None:
        super().__init__()
        self._error = list(errors)
        self._spawns = spawns

    @property
    def eio(self) -> "Spawning":
        return self

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        if not self._spawns and self._error:
            coroutine.close()
            raise self._error.pop()
        self.task = asyncio.ensure_future(coroutine)

    async def dismiss(self, sid: str, namespace: str, event: str, data: dict[str, Any]) -> None:
        if self._spawns and self._error:
            raise self._error.pop()
        self.dismissed.append(sid)
