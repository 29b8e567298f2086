"""Rate limits of logins and registrations: the answer, what a client is counted as, and no hash for it."""

import asyncio
import threading
from typing import Any

import pytest
from passlib.context import CryptContext
from tornado.ioloop import IOLoop

from chatio.accounts.login_throttle import LoginThrottle
from chatio.throttling.client_ip import parse_networks
from chatio.throttling.rate_limiter import AddressRateLimiter, RateLimiter
from tests.conftest import ExpectedLogs
from tests.unit.handlers.rest_server import Answer, Rest

WRONG = "wrong password"
TOO_OFTEN = "That was too often. Please try again in a while."


@pytest.fixture
def throttled(rest: Rest, io_loop: IOLoop) -> Rest:
    rest.trusted_proxies = parse_networks(["127.0.0.1", "10.0.0.0/8"])
    rest.logins = LoginThrottle()
    rest.registrations = AddressRateLimiter(lambda times: RateLimiter(3 * times, 3600))
    io_loop.run_sync(rest.restart)
    return rest


async def log_in(
    rest: Rest, password: str = WRONG, email: str = "ada@chat.test", address: str = "192.0.2.9"
) -> Answer:
    return await rest.call("POST", "/login", {"email": email, "password": password}, X_Forwarded_For=address)


async def register(rest: Rest, email: str, address: str = "192.0.2.1", name: str | None = None) -> Answer:
    body = {"name": email.partition("@")[0] if name is None else name, "email": email, "password": "hunting foxes"}
    return await rest.call("POST", "/register", body, X_Forwarded_For=address)


def assert_too_often(answer: Answer, most_seconds: int) -> None:
    assert (answer.status, answer.json["message"]) == (429, TOO_OFTEN)
    assert 1 <= int(answer.header("retry-after") or "") <= most_seconds
    assert answer.json["retry_after_seconds"] == int(answer.header("retry-after") or "")
    assert answer.header("access-control-allow-origin")


@pytest.mark.parametrize("email", ["ada@chat.test", "nobody@chat.test", "no address"])
async def test_forty_wrong_passwords_are_ten_404_and_thirty_429(throttled: Rest, email: str) -> None:
    await register(throttled, "ada@chat.test")
    spellings = [email, email.upper(), f" {email}\n", email.title()]
    answers = [await log_in(throttled, email=spellings[number % 4]) for number in range(40)]
    assert [answer.status for answer in answers] == [404] * 10 + [429] * 30
    for answer in answers[10:]:
        assert_too_often(answer, 60)


async def test_a_rate_limited_login_costs_no_hash(throttled: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []
    original = CryptContext.verify_and_update

    def counted(context: CryptContext, *args: str) -> object:
        computed.append("")
        return original(context, *args)

    monkeypatch.setattr(CryptContext, "verify_and_update", counted)
    await register(throttled, "ada@chat.test")
    answers = await asyncio.gather(*(log_in(throttled) for _ in range(30)))
    assert sorted(answer.status for answer in answers) == [404] * 10 + [429] * 20
    assert len(computed) == 10


async def test_owner_logs_in_from_a_known_address_while_other_addresses_are_rate_limited(throttled: Rest) -> None:
    await register(throttled, "ada@chat.test")
    assert (await log_in(throttled, "hunting foxes", address="192.0.2.1")).status == 200
    for number in range(20):
        await log_in(throttled, address=f"198.51.100.{number}")
    assert_too_often(await log_in(throttled, "hunting foxes"), 60)
    assert (await log_in(throttled, "hunting foxes", address="192.0.2.1")).status == 200


async def test_an_ipv6_address_is_counted_as_its_64(throttled: Rest) -> None:
    await register(throttled, "ada@chat.test")
    assert (await log_in(throttled, "hunting foxes", address="2001:db8::1")).status == 200
    for _ in range(20):
        await log_in(throttled)
    assert (await log_in(throttled, "hunting foxes", address="2001:db8::ffff")).status == 200
    assert_too_often(await log_in(throttled, "hunting foxes", address="2001:db8:0:1::1"), 60)


async def test_bodies_that_are_no_log_in_count_for_nothing(throttled: Rest) -> None:
    for _ in range(30):
        assert (await log_in(throttled, password="")).status == 400
    assert (await log_in(throttled)).status == 404


async def test_registrations_are_counted_by_address(throttled: Rest) -> None:
    statuses = [(await register(throttled, f"{number}@chat.test")).status for number in range(3)]
    assert statuses == [201] * 3
    assert_too_often(await register(throttled, "4@chat.test"), 1200)
    assert (await register(throttled, "4@chat.test", "192.0.2.2")).status == 201


async def test_a_typo_does_not_count_and_an_address_that_is_taken_does(throttled: Rest) -> None:
    for _ in range(10):
        assert (await register(throttled, "ada@chat.test", name="")).status == 400
    statuses = [(await register(throttled, "ada@chat.test")).status for _ in range(4)]
    assert statuses == [201, 409, 409, 429]


@pytest.mark.parametrize(
    ("forwarded", "counted"),
    [
        (
            "192.0.2.{}, 203.0.113.5",
            "one",
        ),  # what stands before the address that the proxy saw is its caller's own
        ("203.0.113.5, 10.0.0.{}", "one"),  # through two proxies
        ("192.0.2.{}", "many"),
    ],
)
async def test_an_address_is_what_trusted_proxies_saw(throttled: Rest, forwarded: str, counted: str) -> None:
    statuses = [
        (await register(throttled, f"{number}@chat.test", forwarded.format(number))).status for number in range(5)
    ]
    assert statuses == ([201] * 3 + [429] * 2 if counted == "one" else [201] * 5)


async def test_what_a_stranger_says_of_his_address_is_not_believed(rest: Rest, logs: ExpectedLogs) -> None:
    logs.expect("^Requests from 127.0.0.1 have X-Forwarded-For, and TRUSTED_PROXIES does not name that address")
    rest.registrations = AddressRateLimiter(lambda times: RateLimiter(3 * times, 3600))
    rest.start()
    statuses = [(await register(rest, f"{number}@chat.test", f"192.0.2.{number}")).status for number in range(5)]
    assert statuses == [201] * 3 + [429] * 2


@pytest.mark.parametrize("header", ["Forwarded", "X-Real-IP"])
async def test_a_proxy_that_writes_another_header_only_is_one_warning(
    throttled: Rest, logs: ExpectedLogs, header: str
) -> None:
    logs.expect(f"(?i)^Requests from 127.0.0.1 have {header}, and no X-Forwarded-For, which alone is read")
    for _ in range(3):
        await throttled.call("GET", "/user", **{header: "for=192.0.2.1"})
    assert len(logs.records) == 1


async def test_a_known_client_logs_in_while_guesses_fill_the_hash_queue(
    io_loop: IOLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hashes of the guesses are held, so that their queue stays full."""
    rest = Rest(hash_queue_max=8)
    rest.trusted_proxies = parse_networks(["127.0.0.1"])
    rest.logins = LoginThrottle()
    rest.start()
    go_on = threading.Event()
    original = CryptContext.verify_and_update

    def held(context: CryptContext, password: bytes, *args: Any) -> Any:
        if password == WRONG.encode():
            assert go_on.wait(30)
        return original(context, password, *args)

    try:
        await register(rest, "ada@chat.test")
        assert (await log_in(rest, "hunting foxes", address="192.0.2.1")).status == 200
        monkeypatch.setattr(CryptContext, "verify_and_update", held)
        guesses = [
            asyncio.ensure_future(log_in(rest, email=f"{n}@chat.test", address=f"198.51.100.{n}"))
            for n in range(9)
        ]
        first, _ = await asyncio.wait(guesses, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        assert [guess.result().status for guess in first] == [503]  # the queue is full
        assert (await log_in(rest, "hunting foxes", address="192.0.2.1")).status == 200
        assert (await log_in(rest, "hunting foxes", address="192.0.2.2")).status == 503
        go_on.set()
        assert sorted([guess.status for guess in await asyncio.gather(*guesses)]) == [404] * 8 + [503]
    finally:
        go_on.set()
        await rest.close()


async def test_the_addresses_of_one_ipv6_48_are_limited_together(throttled: Rest) -> None:
    statuses = [
        (await register(throttled, f"{number}@chat.test", f"2001:db8:0:{number:x}::1")).status
        for number in range(31)
    ]
    assert statuses == [201] * 30 + [429]
    assert (await register(throttled, "other@chat.test", "2001:db8:1::1")).status == 201


async def test_a_password_is_not_guessed_with_a_token_that_was_stolen(throttled: Rest) -> None:
    """Endpoints that ask a logged-in user for the password count as logins do, and together with them."""
    await register(throttled, "ada@chat.test")
    token = (await log_in(throttled, "hunting foxes", address="192.0.2.1")).json["token"]

    async def guess(number: int, password: str, address: str) -> Answer:
        headers = {"Authorization": f"Bearer {token}", "X_Forwarded_For": address}
        if number % 2:
            return await throttled.call("DELETE", "/user", {"password": password}, **headers)
        body = {"old_password": password, "new_password": "another password"}
        return await throttled.call("POST", "/user/password", body, **headers)

    answers = [await guess(number, WRONG, "192.0.2.66") for number in range(12)]
    assert [answer.status for answer in answers] == [403] * 10 + [429] * 2
    assert_too_often(answers[-1], 60)
    assert (await guess(0, "hunting foxes", "192.0.2.66")).status == 429
    assert (await log_in(throttled, "hunting foxes", address="192.0.2.66")).status == 429
    assert (await guess(0, "hunting foxes", "192.0.2.1")).status == 204


async def test_a_code_is_not_guessed(throttled: Rest) -> None:
    """A guess at a code counts as one at the password, whether the account has a code or not."""
    await register(throttled, "ada@chat.test")
    for email in ("ada@chat.test", "nobody@chat.test"):
        body = {"email": email, "code": "AAAA-BBBB-CCCC-DDDD-EEEE", "new_password": "another password"}
        answers = [
            await throttled.call("POST", "/user/reset", body, X_Forwarded_For="192.0.2.66") for _ in range(12)
        ]
        assert [answer.status for answer in answers] == [403] * 10 + [429] * 2
        assert {answer.json["message"] for answer in answers[:10]} == {"This code is wrong, used or over."}
        assert (await log_in(throttled, "hunting foxes", email, address="192.0.2.66")).status == 429
