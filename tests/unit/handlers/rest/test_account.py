"""Every REST row of the wire contract, over a real port."""

import asyncio
import base64
import json
import threading
from typing import Any

import pytest
from passlib.context import CryptContext
from tornado.ioloop import IOLoop

from chatio.accounts.tokens import Tokens
from tests.unit.handlers.rest_server import KEY, Answer, Rest

ADA = {"name": "Ada", "email": "ada@chat.test", "password": "hunting foxes"}


def fields(answer: Answer) -> list[str]:
    assert answer.status == 400
    assert answer.json["message"] == "Some of what was sent is not valid."
    assert all(set(error) == {"field", "message"} and error["message"] for error in answer.json["errors"])
    return [error["field"] for error in answer.json["errors"]]


# --- POST /register


async def test_registering_answers_201_and_the_text_of_the_contract(rest: Rest) -> None:
    answer = await rest.call("POST", "/register", ADA)
    assert (answer.status, answer.json) == (201, {"message": "User registered."})


@pytest.mark.parametrize("email", ["ada@chat.test", "ADA@Chat.Test"])
async def test_the_same_address_again_answers_409(rest: Rest, email: str) -> None:
    await rest.register()
    answer = await rest.register(name="Eve", email=email)
    assert (answer.status, answer.json) == (409, {"message": "Email already used.", "code": "email_already_used"})


async def test_half_a_surrogate_pair_in_a_name_and_a_password_is_replaced(rest: Rest) -> None:
    body = rb'{"name": "Ada \ud83d", "email": "ada@chat.test", "password": "correct \ude00 horse"}'
    assert (await rest.call("POST", "/register", body)).status == 201
    token = (await rest.call("POST", "/login", body)).json["token"]
    assert (await rest.call("GET", "/user", Authorization=f"Bearer {token}")).json["name"] == "Ada \ufffd"


@pytest.mark.parametrize("password", ["password", "12345678", " " * 8, "ada@chat.test", "Chat.io 1"])
async def test_a_password_that_is_guessed_first_is_refused(rest: Rest, password: str) -> None:
    assert fields(await rest.call("POST", "/register", ADA | {"password": password})) == ["password"]
    assert (await rest.call("POST", "/login", {"email": "ada@chat.test", "password": password})).status == 404


@pytest.mark.parametrize("name", ["Ada", "ADA", "\u0410da", "\uff21da"])
async def test_a_name_that_looks_like_another_answers_409(rest: Rest, name: str) -> None:
    await rest.register()
    answer = await rest.register(name=name, email="eve@chat.test")
    assert (answer.status, answer.json) == (
        409,
        {"message": "This name is taken, or looks like one that is. Please choose another.", "code": "name_taken"},
    )


@pytest.mark.parametrize(("name", "email"), [("\u0410da", "eve@chat.test"), ("Eve", "ADA@chat.test")])
async def test_of_two_registrations_at_once_of_one_name_or_address_one_succeeds(
    rest: Rest, name: str, email: str
) -> None:
    answers = await asyncio.gather(rest.register(), rest.register(name=name, email=email))
    assert sorted(answer.status for answer in answers) == [201, 409]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ["name", "email", "password"]),
        ({"name": "Ada"}, ["email", "password"]),
        ({"name": "", "email": "", "password": ""}, ["name", "email", "password"]),
        (ADA | {"name": "x" * 65}, ["name"]),
        (ADA | {"name": "A\x00da"}, ["name"]),
        (ADA | {"email": "ada"}, ["email"]),
        (ADA | {"email": "ada@chat"}, ["email"]),
        (ADA | {"password": "1234567"}, ["password"]),
        (ADA | {"password": "x" * 129}, ["password"]),
        (ADA | {"name": None, "password": 12345678}, ["name", "password"]),
        (ADA | {"email": ["ada@chat.test"]}, ["email"]),
        (ADA | {"name": {"first": "Ada"}}, ["name"]),
        ([], ["body"]),
        ([ADA], ["body"]),
        ("text", ["body"]),
    ],
)
async def test_what_is_invalid_is_told_field_by_field(rest: Rest, body: object, expected: list[str]) -> None:
    assert fields(await rest.call("POST", "/register", body)) == expected


async def test_a_rejected_registration_leaves_no_account(rest: Rest) -> None:
    await rest.call("POST", "/register", ADA | {"name": ""})
    assert (await rest.call("POST", "/login", ADA)).status == 404
    assert (await rest.register()).status == 201


async def test_more_than_is_asked_for_is_passed_over(rest: Rest) -> None:
    assert (await rest.call("POST", "/register", ADA | {"id": "1", "admin": True})).status == 201
    claims = Tokens(KEY, ttl_seconds=60).verify(await rest.token())
    assert claims.subject != "1"


# --- POST /login


async def test_signing_in_answers_200_and_a_token(rest: Rest) -> None:
    await rest.register()
    answer = await rest.call("POST", "/login", {"email": "Ada@chat.test", "password": "hunting foxes"})
    assert answer.status == 200
    assert set(answer.json) == {"token"}
    claims = rest.tokens.verify(answer.json["token"])
    assert (claims.name, claims.email) == ("Ada", "ada@chat.test")
    assert claims.expires_at == int(claims.issued_at) + 3600


async def test_the_token_has_the_claims_and_the_algorithm_of_the_contract(rest: Rest) -> None:
    header, payload = (await rest.sign_up()).split(".")[:2]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert json.loads(base64.urlsafe_b64decode(header + "=="))["alg"] == "HS256"
    assert set(claims) == {"id", "name", "email", "sub", "iat", "exp", "jti"}
    assert isinstance(claims["sub"], str)
    assert claims["id"] == claims["sub"]


@pytest.mark.parametrize(
    "credentials",
    [
        {"email": "ada@chat.test", "password": "87654321"},
        {"email": "ada@chat.test", "password": "x" * 12_000},
        {"email": "eve@chat.test", "password": "hunting foxes"},
        {"email": "eve@chat.test", "password": "x" * 12_000},
        {"email": "no address", "password": "hunting foxes"},
    ],
)
async def test_wrong_password_and_unknown_address_answer_same_404(rest: Rest, credentials: dict[str, str]) -> None:
    await rest.register()
    answer = await rest.call("POST", "/login", credentials)
    assert (answer.status, answer.json) == (404, {"message": "User not found.", "code": "bad_credentials"})


async def test_wrong_password_and_unknown_address_differ_in_no_header(rest: Rest) -> None:
    await rest.register()
    wrong = await rest.call("POST", "/login", {"email": "ada@chat.test", "password": "87654321"})
    unknown = await rest.call("POST", "/login", {"email": "eve@chat.test", "password": "87654321"})
    assert [h for h in wrong.fields if h[0] != "date"] == [h for h in unknown.fields if h[0] != "date"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ["email", "password"]),
        ({"password": "hunting foxes"}, ["email"]),
        ({"email": "ada@chat.test"}, ["password"]),
        ({"email": "", "password": ""}, ["email", "password"]),
        ({"email": 7, "password": None}, ["email", "password"]),
        (None, ["body"]),
    ],
)
async def test_signing_in_without_credentials_is_invalid(rest: Rest, body: object, expected: list[str]) -> None:
    assert fields(await rest.call("POST", "/login", body)) == expected


@pytest.mark.parametrize("path", ["/register", "/login"])
async def test_full_hash_queue_is_answered_503(
    io_loop: IOLoop, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """One hash is held until the second caller has been answered."""
    rest = Rest(hash_queue_max=1)
    rest.start()
    under_way, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    original = CryptContext.hash

    def held(context: CryptContext, *args: Any) -> str:
        loop.call_soon_threadsafe(under_way.set)
        assert go_on.wait(30)
        return str(original(context, *args))

    monkeypatch.setattr(CryptContext, "hash", held)
    try:
        first = asyncio.ensure_future(rest.register())
        await asyncio.wait_for(under_way.wait(), 30)
        answer = await rest.call("POST", path, ADA | {"email": "eve@chat.test"})
        assert answer.status == 503
        assert answer.json["message"] == "The server is busy. Please try again in a moment."
        assert answer.json["retry_after_seconds"] == int(answer.header("retry-after") or "")
        assert int(answer.header("retry-after") or "") >= 1
        assert (await rest.call("GET", "/user")).status == 401  # the loop is free
        go_on.set()
        assert (await first).status == 201
    finally:
        go_on.set()
        await rest.close()


# --- GET /user


async def test_user_answers_200_and_the_user_of_the_token(rest: Rest) -> None:
    token = await rest.sign_up("Adä", "Ada@Chat.test")
    answer = await rest.call("GET", "/user", Authorization=f"Bearer {token}")
    subject = rest.tokens.verify(token).subject
    expected = {"id": subject, "name": "Adä", "email": "Ada@chat.test", "role": "member"}
    assert (answer.status, answer.json) == (200, expected)


@pytest.mark.parametrize(("name", "scheme"), [("authorization", "bearer"), ("AUTHORIZATION", "BEARER")])
async def test_names_of_headers_and_schemes_are_taken_in_any_case(rest: Rest, name: str, scheme: str) -> None:
    answer = await rest.call("GET", "/user", **{name: f"{scheme} {await rest.sign_up()}"})
    assert answer.status == 200


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YTpi", "Token x"])
async def test_without_a_token_the_answer_is_401_missing_token(rest: Rest, header: str | None) -> None:
    answer = await rest.call("GET", "/user", **({} if header is None else {"Authorization": header}))
    assert (answer.status, answer.json) == (401, {"message": "Missing Token", "code": "missing_token"})
    assert answer.header("www-authenticate") == "Bearer"


async def test_the_sound_token_under_another_scheme_is_missing(rest: Rest) -> None:
    answer = await rest.call("GET", "/user", Authorization=f"Basic {await rest.sign_up()}")
    assert (answer.status, answer.json) == (401, {"message": "Missing Token", "code": "missing_token"})


USER_7: Any = {"subject": "7", "name": "Ada", "email": "ada@chat.test"}
FOREIGN = Tokens("another key that is 32 bytes long or more", ttl_seconds=60).issue(**USER_7)
EXPIRED = Tokens(KEY, ttl_seconds=60, clock=lambda: 1_000_000_000).issue(**USER_7)
BAD_TOKENS = [
    ("garbage", "malformed_token"),
    ("gärb.äg.e", "malformed_token"),
    ("x" * 10_000, "malformed_token"),
    (FOREIGN, "invalid_signature"),
    (EXPIRED, "token_expired"),
]


@pytest.mark.parametrize(("token", "code"), BAD_TOKENS, ids=["garbage", "latin-1", "long", "foreign", "expired"])
async def test_a_bad_token_answers_401_token_invalid(rest: Rest, token: str, code: str) -> None:
    answer = await rest.call("GET", "/user", Authorization=f"Bearer {token}")
    assert (answer.status, answer.json) == (401, {"message": "Token invalid", "code": code})
    assert answer.header("www-authenticate") == 'Bearer error="invalid_token"'


async def test_two_authorization_headers_are_no_token(rest: Rest) -> None:
    line = f"Authorization: Bearer {await rest.sign_up()}\r\n".encode()
    async with await rest.connect() as connection:
        await connection.send(b"GET /user HTTP/1.1\r\nHost: x\r\n" + line + line + b"\r\n")
        answer = await connection.receive()
    assert (answer.status, answer.json) == (401, {"message": "Token invalid", "code": "malformed_token"})


async def test_sound_token_of_an_unknown_user_answers_401(rest: Rest) -> None:
    token = rest.tokens.issue(subject="unknown", name="Ada", email="ada@chat.test")
    answer = await rest.call("GET", "/user", Authorization=f"Bearer {token}")
    assert (answer.status, answer.json) == (401, {"message": "Token invalid", "code": "user_unknown"})
    assert answer.header("www-authenticate") == 'Bearer error="invalid_token"'
