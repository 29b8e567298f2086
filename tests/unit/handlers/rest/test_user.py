"""Signing out, changing the password, deleting the account: over a real port, and against each other."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from passlib.context import CryptContext

from chatio.chat.socket_sessions import Reason
from chatio.errors import Overloaded
from tests.unit.handlers.rest_server import PASSWORD, Answer, Rest

NEW_PASSWORD = "another password"
CHANGE = {"old_password": PASSWORD, "new_password": NEW_PASSWORD}


async def call(rest: Rest, method: str, path: str, token: str, body: object = None) -> Answer:
    return await rest.call(method, path, body, Authorization=f"Bearer {token}")


async def user(rest: Rest, token: str) -> int:
    """How GET /user is answered to this token."""
    return (await call(rest, "GET", "/user", token)).status


async def log_in(rest: Rest, password: str) -> int:
    answer = await rest.call("POST", "/login", {"email": "ada@chat.test", "password": password})
    return answer.status


def subject(rest: Rest, token: str) -> str:
    return rest.tokens.verify(token).subject


class Held:
    """The first hash that is verified waits for `go_on`; the others pass it by."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.under_way, self._go_on, self._first = asyncio.Event(), threading.Event(), threading.Lock()
        loop = asyncio.get_running_loop()
        original = CryptContext.verify_and_update

        def verify(context: CryptContext, *args: Any) -> Any:
            if self._first.acquire(blocking=False):
                loop.call_soon_threadsafe(self.under_way.set)
                assert self._go_on.wait(30)
            return original(context, *args)

        monkeypatch.setattr(CryptContext, "verify_and_update", verify)

    def go_on(self) -> None:
        self._go_on.set()


@pytest.fixture
def free_threads() -> Iterator[list[Held]]:
    """Whoever is held here is let go in the end, or the pool of threads would never close."""
    held: list[Held] = []
    yield held
    for one in held:
        one.go_on()


# --- POST /logout


async def test_signing_out_ends_that_token_and_no_other(rest: Rest) -> None:
    await rest.register()
    token, other = await rest.token(), await rest.token()
    ada = subject(rest, token)
    answer = await call(rest, "POST", "/logout", token)
    assert (answer.status, answer.body) == (204, b"")
    assert rest.ended == [(ada, Reason.SIGNED_OUT)]
    answer = await call(rest, "GET", "/user", token)
    assert (answer.status, answer.json) == (401, {"message": "Token invalid"})
    assert await user(rest, other) == 200


async def test_a_user_who_has_logged_out_cannot_do_so_again_and_can_log_in(rest: Rest) -> None:
    await rest.register()
    token = await rest.token()
    await call(rest, "POST", "/logout", token)
    assert (await call(rest, "POST", "/logout", token)).status == 401
    assert await user(rest, await rest.token()) == 200


# --- POST /user/password


async def test_a_new_password_ends_every_token_and_only_it_signs_in(rest: Rest) -> None:
    await rest.register()
    token, other = await rest.token(), await rest.token()
    ada = subject(rest, token)
    answer = await call(rest, "POST", "/user/password", token, CHANGE)
    assert (answer.status, answer.body) == (204, b"")
    assert rest.ended == [(ada, Reason.PASSWORD_CHANGED)]
    assert [await user(rest, token), await user(rest, other)] == [401, 401]
    assert await log_in(rest, PASSWORD) == 404
    assert await user(rest, await rest.token(password=NEW_PASSWORD)) == 200


async def test_the_tokens_of_others_live_on(rest: Rest) -> None:
    await rest.register()
    await rest.register("Eve", "eve@chat.test")
    eve = await rest.token("eve@chat.test")
    await call(rest, "POST", "/user/password", await rest.token(), CHANGE)
    assert await user(rest, eve) == 200


async def test_a_wrong_old_password_answers_403_and_changes_nothing(rest: Rest) -> None:
    await rest.register()
    token = await rest.token()
    answer = await call(rest, "POST", "/user/password", token, CHANGE | {"old_password": "87654321"})
    assert (answer.status, answer.json) == (403, {"message": "This is not your password."})
    assert answer.header("www-authenticate") is None
    assert await user(rest, token) == 200
    assert await log_in(rest, PASSWORD) == 200
    assert rest.ended == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"old_password": PASSWORD}, "new_password"),
        ({"new_password": NEW_PASSWORD}, "old_password"),
        (CHANGE | {"new_password": "1234567"}, "new_password"),
        (CHANGE | {"new_password": "x" * 129}, "new_password"),
        (CHANGE | {"new_password": 12345678}, "new_password"),
        (None, "body"),
    ],
)
async def test_what_is_no_change_of_password_is_told_so(rest: Rest, body: object, field: str) -> None:
    await rest.register()
    token = await rest.token()
    answer = await call(rest, "POST", "/user/password", token, body)
    assert (answer.status, [error["field"] for error in answer.json["errors"]]) == (400, [field])
    assert await user(rest, token) == 200


async def test_of_two_changes_at_once_one_counts_and_is_told_so(rest: Rest) -> None:
    await rest.register()
    token = await rest.token()
    new = ["the first password", "the second password"]
    answers = await asyncio.gather(
        *(call(rest, "POST", "/user/password", token, CHANGE | {"new_password": text}) for text in new)
    )
    statuses = [answer.status for answer in answers]
    # The second may come so late that its token has been ended, or its old password is no longer one.
    assert sorted(statuses) in ([204, 401], [204, 403], [204, 409])
    works = [await log_in(rest, text) for text in new]
    assert [status == 200 for status in works] == [status == 204 for status in statuses]
    assert await log_in(rest, PASSWORD) == 404


async def test_a_change_that_was_overtaken_is_told_so(
    rest: Rest, monkeypatch: pytest.MonkeyPatch, free_threads: list[Held]
) -> None:
    await rest.register()
    token = await rest.token()
    held = Held(monkeypatch)
    free_threads.append(held)
    late = asyncio.ensure_future(
        call(rest, "POST", "/user/password", token, CHANGE | {"new_password": "too late"})
    )
    await asyncio.wait_for(held.under_way.wait(), 30)
    assert (await call(rest, "POST", "/user/password", token, CHANGE)).status == 204
    held.go_on()
    answer = await late
    assert (answer.status, answer.json) == (409, {"message": "The password was changed in the meantime."})
    assert await log_in(rest, "too late") == 404
    assert await log_in(rest, NEW_PASSWORD) == 200


@pytest.mark.parametrize(
    ("method", "path", "body"), [("POST", "/user/password", CHANGE), ("DELETE", "/user", {"password": PASSWORD})]
)
async def test_a_log_in_that_was_under_way_gets_no_token(
    rest: Rest, monkeypatch: pytest.MonkeyPatch, free_threads: list[Held], method: str, path: str, body: object
) -> None:
    await rest.register()
    token = await rest.token()
    held = Held(monkeypatch)
    free_threads.append(held)
    logging_in = asyncio.ensure_future(
        rest.call("POST", "/login", {"email": "ada@chat.test", "password": PASSWORD})
    )
    await asyncio.wait_for(held.under_way.wait(), 30)
    assert (await call(rest, method, path, token, body)).status == 204
    held.go_on()
    answer = await logging_in
    assert (answer.status, answer.json) == (404, {"message": "User not found."})


# --- DELETE /user


async def test_a_deleted_account_is_gone_with_its_tokens_and_its_address_is_free(rest: Rest) -> None:
    await rest.register()
    token, other = await rest.token(), await rest.token()
    ada = subject(rest, token)
    answer = await call(rest, "DELETE", "/user", token, {"password": PASSWORD})
    assert (answer.status, answer.body) == (204, b"")
    assert rest.ended == [(ada, Reason.ACCOUNT_DELETED)]
    assert [await user(rest, token), await user(rest, other)] == [401, 401]
    assert await log_in(rest, PASSWORD) == 404
    assert (await rest.register("Eve")).status == 201
    assert subject(rest, await rest.token()) != ada


async def test_a_wrong_password_deletes_nobody(rest: Rest) -> None:
    await rest.register()
    token = await rest.token()
    answer = await call(rest, "DELETE", "/user", token, {"password": "87654321"})
    assert (answer.status, answer.json) == (403, {"message": "This is not your password."})
    assert (await call(rest, "DELETE", "/user", token)).status == 400
    assert await user(rest, token) == 200
    assert rest.ended == []


async def test_of_two_deletions_at_once_one_counts(
    rest: Rest, monkeypatch: pytest.MonkeyPatch, free_threads: list[Held]
) -> None:
    await rest.register()
    token = await rest.token()
    held = Held(monkeypatch)
    free_threads.append(held)
    late = asyncio.ensure_future(call(rest, "DELETE", "/user", token, {"password": PASSWORD}))
    await asyncio.wait_for(held.under_way.wait(), 30)
    assert (await call(rest, "DELETE", "/user", token, {"password": PASSWORD})).status == 204
    held.go_on()
    answer = await late
    assert (answer.status, answer.json) == (404, {"message": "There is no data."})


async def test_a_deletion_by_a_password_that_was_changed_meanwhile_deletes_nobody(
    rest: Rest, monkeypatch: pytest.MonkeyPatch, free_threads: list[Held]
) -> None:
    await rest.register()
    token = await rest.token()
    held = Held(monkeypatch)
    free_threads.append(held)
    late = asyncio.ensure_future(call(rest, "DELETE", "/user", token, {"password": PASSWORD}))
    await asyncio.wait_for(held.under_way.wait(), 30)
    assert (await call(rest, "POST", "/user/password", token, CHANGE)).status == 204
    held.go_on()
    assert (await late).status == 409
    assert await log_in(rest, NEW_PASSWORD) == 200


# --- all of them


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/logout"), ("POST", "/user/password"), ("DELETE", "/user")]
)
async def test_without_a_token_nothing_is_ended(rest: Rest, method: str, path: str) -> None:
    answer = await rest.call(method, path, CHANGE | {"password": PASSWORD})
    assert (answer.status, answer.json) == (401, {"message": "Missing Token"})
    assert rest.ended == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "/logout", None), ("POST", "/user/password", CHANGE), ("DELETE", "/user", {"password": PASSWORD})],
)
async def test_when_no_token_can_be_ended_nothing_is_changed(
    rest: Rest, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: object
) -> None:
    await rest.register()
    token = await rest.token()

    def full(_subject: str) -> None:
        raise Overloaded(retry_after_seconds=60)

    monkeypatch.setattr(rest.tokens, "require_room", full)
    answer = await call(rest, method, path, token, body)
    assert (answer.status, answer.header("retry-after")) == (503, "60")
    assert await user(rest, token) == 200
    assert await log_in(rest, PASSWORD) == 200
    assert rest.ended == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/user", None, 200),
        ("POST", "/login", {"email": "ada@chat.test", "password": PASSWORD}, 200),
        ("POST", "/user/password", {}, 400),
        ("DELETE", "/user", {"password": "87654321"}, 403),
        ("PUT", "/user", None, 405),
        ("POST", "/logout", None, 204),
    ],
)
async def test_no_answer_is_stored_or_guessed_at_or_names_the_server(
    rest: Rest, method: str, path: str, body: object, status: int
) -> None:
    await rest.register()
    answer = await call(rest, method, path, await rest.token(), body)
    assert answer.status == status
    assert answer.header("cache-control") == "no-store"
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("server") is None
