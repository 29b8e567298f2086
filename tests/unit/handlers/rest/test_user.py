"""Signing out, changing the password, deleting the account: over a real port, and against each other."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from passlib.context import CryptContext

from chatio.accounts import reset_codes
from chatio.accounts.revocations import Revocations
from chatio.chat.socket_sessions import EndReason
from chatio.errors import Muted, Overloaded, StoreUnavailable
from chatio.stores.accounts import Ended
from chatio.stores.memory.accounts import MemoryRevocationStore
from tests.unit.handlers.rest_server import PASSWORD, Answer, Rest

NEW_PASSWORD = "another password"
CHANGE = {"old_password": PASSWORD, "new_password": NEW_PASSWORD}
ENDINGS = [
    ("POST", "/logout", None),
    ("DELETE", "/user/sessions", None),
    ("POST", "/user/password", CHANGE),
    ("DELETE", "/user", {"password": PASSWORD}),
]


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


Overtake = Callable[[Awaitable[Answer], Awaitable[Answer]], Awaitable[Answer]]


@pytest.fixture
def overtake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Overtake]:
    """Waits with the first hash of one request until another is answered with 204; gives the first's answer."""
    under_way, go_on, first = asyncio.Event(), threading.Event(), threading.Lock()
    original = CryptContext.verify_and_update

    async def overtaken(late: Awaitable[Answer], early: Awaitable[Answer]) -> Answer:
        loop = asyncio.get_running_loop()

        def verify(context: CryptContext, *args: Any) -> Any:
            if first.acquire(blocking=False):
                loop.call_soon_threadsafe(under_way.set)
                assert go_on.wait(30)
            return original(context, *args)

        monkeypatch.setattr(CryptContext, "verify_and_update", verify)
        answering = asyncio.ensure_future(late)
        await asyncio.wait_for(under_way.wait(), 30)
        assert (await early).status == 204
        go_on.set()
        return await answering

    yield overtaken
    go_on.set()  # or the pool of threads would never close


class UnreachableStore(MemoryRevocationStore):
    """A database whose server is away."""

    async def add(self, ended: Ended, reason: str = "") -> None:
        raise StoreUnavailable(retry_after_seconds=1)


@pytest.mark.parametrize(("method", "path", "body"), ENDINGS)
async def test_tokens_that_the_store_cannot_end_go_on(rest: Rest, method: str, path: str, body: object) -> None:
    """The user is told, and can try again."""
    rest.revocations = UnreachableStore()
    rest.start()
    token = await rest.sign_up()
    assert (await call(rest, method, path, token, body)).status == 503
    assert rest.ended == []
    assert await user(rest, token) == 200


# --- POST /logout


async def test_signing_out_ends_that_token_and_no_other(rest: Rest) -> None:
    token, other = await rest.sign_up(), await rest.token()
    ada = subject(rest, token)
    answer = await call(rest, "POST", "/logout", token)
    assert (answer.status, answer.body) == (204, b"")
    assert rest.ended == [(ada, EndReason.SIGNED_OUT)]
    answer = await call(rest, "GET", "/user", token)
    assert (answer.status, answer.json) == (401, {"message": "Token invalid", "code": "token_revoked"})
    assert await user(rest, other) == 200


async def test_user_that_has_logged_out_can_log_in_again_only(rest: Rest) -> None:
    token = await rest.sign_up()
    await call(rest, "POST", "/logout", token)
    assert (await call(rest, "POST", "/logout", token)).status == 401
    assert await user(rest, await rest.token()) == 200


async def test_many_logouts_end_those_tokens_and_no_older_one(rest: Rest) -> None:
    oldest = await rest.sign_up()
    for _ in range(150):
        assert (await call(rest, "POST", "/logout", await rest.token())).status == 204
    assert await user(rest, oldest) == 200


# --- DELETE /user/sessions


async def test_logging_out_everywhere_ends_every_token_and_no_other_users(rest: Rest) -> None:
    token, other = await rest.sign_up(), await rest.token()
    eve = await rest.sign_up("Eve", "eve@chat.test")
    ada = subject(rest, token)
    answer = await call(rest, "DELETE", "/user/sessions", token)
    assert (answer.status, answer.body) == (204, b"")
    assert rest.ended == [(ada, EndReason.SIGNED_OUT)]
    assert [await user(rest, each) for each in (token, other, eve)] == [401, 401, 200]
    assert await user(rest, await rest.token()) == 200


# --- POST /user/password


async def test_a_new_password_ends_every_token_and_only_it_signs_in(rest: Rest) -> None:
    token, other = await rest.sign_up(), await rest.token()
    ada = subject(rest, token)
    answer = await call(rest, "POST", "/user/password", token, CHANGE)
    assert (answer.status, answer.body) == (204, b"")
    assert rest.ended == [(ada, EndReason.PASSWORD_CHANGED)]
    assert [await user(rest, token), await user(rest, other)] == [401, 401]
    assert await log_in(rest, PASSWORD) == 404
    assert await user(rest, await rest.token(password=NEW_PASSWORD)) == 200


async def test_the_tokens_of_others_live_on(rest: Rest) -> None:
    ada, eve = await rest.sign_up(), await rest.sign_up("Eve", "eve@chat.test")
    await call(rest, "POST", "/user/password", ada, CHANGE)
    assert await user(rest, eve) == 200


async def test_a_wrong_old_password_answers_403_and_changes_nothing(rest: Rest) -> None:
    token = await rest.sign_up()
    answer = await call(rest, "POST", "/user/password", token, CHANGE | {"old_password": "87654321"})
    assert (answer.status, answer.json) == (
        403,
        {"message": "This is not your password.", "code": "wrong_password"},
    )
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
        *(
            (CHANGE | {"new_password": common}, "new_password")
            for common in ("password1", " " * 8, "ada@chat.test")
        ),
        (None, "body"),
    ],
)
async def test_what_is_no_change_of_password_is_told_so(rest: Rest, body: object, field: str) -> None:
    token = await rest.sign_up()
    answer = await call(rest, "POST", "/user/password", token, body)
    assert (answer.status, [error["field"] for error in answer.json["errors"]]) == (400, [field])
    assert await user(rest, token) == 200


async def test_of_two_changes_at_once_one_counts_and_is_told_so(rest: Rest) -> None:
    token = await rest.sign_up()
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


async def test_password_change_that_was_overtaken_is_answered_409(rest: Rest, overtake: Overtake) -> None:
    token = await rest.sign_up()
    late = call(rest, "POST", "/user/password", token, CHANGE | {"new_password": "too late"})
    answer = await overtake(late, call(rest, "POST", "/user/password", token, CHANGE))
    assert (answer.status, answer.json) == (
        409,
        {"message": "The password was changed in the meantime.", "code": "password_replaced"},
    )
    assert await log_in(rest, "too late") == 404
    assert await log_in(rest, NEW_PASSWORD) == 200


@pytest.mark.parametrize(("method", "path", "body"), ENDINGS[1:])
async def test_late_login_gets_no_token(
    rest: Rest, overtake: Overtake, method: str, path: str, body: object
) -> None:
    token = await rest.sign_up()
    late = rest.call("POST", "/login", {"email": "ada@chat.test", "password": PASSWORD})
    answer = await overtake(late, call(rest, method, path, token, body))
    assert (answer.status, answer.json) == (404, {"message": "User not found.", "code": "bad_credentials"})


# --- DELETE /user


async def test_a_deleted_account_is_gone_with_its_tokens_and_its_address_is_free(rest: Rest) -> None:
    token, other = await rest.sign_up(), await rest.token()
    ada = subject(rest, token)
    answer = await call(rest, "DELETE", "/user", token, {"password": PASSWORD})
    assert (answer.status, answer.body) == (204, b"")
    assert rest.ended == [(ada, EndReason.ACCOUNT_DELETED)]
    assert [await user(rest, token), await user(rest, other)] == [401, 401]
    assert await log_in(rest, PASSWORD) == 404
    assert (await rest.register("Eve")).status == 201
    assert subject(rest, await rest.token()) != ada


async def test_wrong_password_deletes_no_account(rest: Rest) -> None:
    token = await rest.sign_up()
    answer = await call(rest, "DELETE", "/user", token, {"password": "87654321"})
    assert (answer.status, answer.json) == (
        403,
        {"message": "This is not your password.", "code": "wrong_password"},
    )
    assert (await call(rest, "DELETE", "/user", token)).status == 400
    assert await user(rest, token) == 200
    assert rest.ended == []


async def test_second_of_two_deletions_at_once_is_answered_404(rest: Rest, overtake: Overtake) -> None:
    token = await rest.sign_up()
    late, early = (call(rest, "DELETE", "/user", token, {"password": PASSWORD}) for _ in range(2))
    answer = await overtake(late, early)
    assert (answer.status, answer.json) == (401, {"message": "Token invalid", "code": "user_unknown"})


async def test_deletion_by_a_password_that_was_changed_is_refused(rest: Rest, overtake: Overtake) -> None:
    token = await rest.sign_up()
    late = call(rest, "DELETE", "/user", token, {"password": PASSWORD})
    answer = await overtake(late, call(rest, "POST", "/user/password", token, CHANGE))
    assert answer.status == 409
    assert await log_in(rest, NEW_PASSWORD) == 200


# --- all of them


@pytest.mark.parametrize(("method", "path", "body"), ENDINGS)
async def test_without_a_token_nothing_is_ended(rest: Rest, method: str, path: str, body: object) -> None:
    answer = await rest.call(method, path, body)
    assert (answer.status, answer.json) == (401, {"message": "Missing Token", "code": "missing_token"})
    assert rest.ended == []


@pytest.mark.parametrize(("method", "path", "body"), ENDINGS)
async def test_when_no_token_can_be_ended_nothing_is_changed(
    rest: Rest, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: object
) -> None:
    token = await rest.sign_up()

    def full(*_: object) -> None:
        raise Overloaded(retry_after_seconds=60)

    monkeypatch.setattr(Revocations, "require_capacity", full)
    answer = await call(rest, method, path, token, body)
    assert (answer.status, answer.header("retry-after")) == (503, "60")
    assert await user(rest, token) == 200
    assert await log_in(rest, PASSWORD) == 200
    assert rest.ended == []


async def test_what_a_removed_user_has_sent_is_not_accepted_when_its_turn_comes(rest: Rest) -> None:
    token = await rest.sign_up()
    ada = subject(rest, token)
    assert (await call(rest, "DELETE", "/user", token, {"password": PASSWORD})).status == 204
    with pytest.raises(Muted):
        rest.moderation.enforcement.voices.require(ada)


async def code_of(rest: Rest, token: str) -> str:
    """A one-time code that the operator makes for the user of `token`."""
    code = reset_codes.new_code()
    digest = reset_codes.digest_of(code)
    await rest.moderation.set_reset_code(subject(rest, token), digest, reset_codes.SECONDS, "forgotten")
    return code


async def reset(rest: Rest, code: str, password: str = NEW_PASSWORD) -> Answer:
    body = {"email": "ADA@chat.test", "code": code, "new_password": password}
    return await rest.call("POST", "/user/reset", body)


async def test_a_code_sets_a_password_once_and_ends_every_token(rest: Rest) -> None:
    token = await rest.sign_up()
    code = await code_of(rest, token)
    assert (await reset(rest, code.lower().replace("-", " "))).status == 204
    assert [reason for _, reason in rest.ended] == [EndReason.PASSWORD_CHANGED]
    assert await user(rest, token) == 401
    assert [await log_in(rest, password) for password in (PASSWORD, NEW_PASSWORD)] == [404, 200]
    assert (await reset(rest, code)).status == 403


async def test_a_bad_password_does_not_use_the_code_up(rest: Rest) -> None:
    code = await code_of(rest, await rest.sign_up())
    answer = await reset(rest, code, "password")
    assert (answer.status, [error["field"] for error in answer.json["errors"]]) == (400, ["new_password"])
    assert (await reset(rest, code)).status == 204


async def test_a_changed_password_and_a_newer_code_end_a_code(rest: Rest) -> None:
    token = await rest.sign_up()
    first, second = await code_of(rest, token), await code_of(rest, token)
    assert (await reset(rest, first)).status == 403
    assert (await call(rest, "POST", "/user/password", token, CHANGE)).status == 204
    assert (await reset(rest, second)).status == 403


async def test_of_two_uses_of_a_code_at_once_one_counts(rest: Rest) -> None:
    code = await code_of(rest, await rest.sign_up())
    answers = await asyncio.gather(*(reset(rest, code, f"a new password {n}") for n in range(2)))
    assert sorted(answer.status for answer in answers) == [204, 409]


async def test_a_registration_is_refused_where_the_operator_makes_the_accounts(rest: Rest) -> None:
    rest.is_registration_open = False
    rest.start()
    answer = await rest.register()
    assert (answer.status, answer.json) == (
        403,
        {"message": "The operator of this server makes the accounts: ask for one.", "code": "registration_closed"},
    )
