"""Limits on requests: their rate, by address and by user; the answers that a client does not read."""

import asyncio
import socket

import pytest

from chatio.accounts.login_throttle import LoginThrottle
from chatio.log.message_log import MessageLog
from chatio.server.http.stream import Deadlines
from chatio.server.in_flight import MOST_PER_ADDRESS, MOST_PER_USER, UnreadAnswers
from chatio.stores.records import Message
from chatio.throttling.rate_limiter import PacedLimiter
from tests.client.wire import until
from tests.unit.handlers.rest_server import ORIGIN, Rest, request

ASKED = ("/user", "/messages", "/users/online", "/nothing", "/docs/chat", "/openapi.json")


def five_a_minute() -> PacedLimiter:
    """Five at once and ten a minute, by a clock that stands still, with refusals at once."""
    limiter = PacedLimiter(10, clock=lambda: 0.0)
    limiter.delay = lambda key: 0.0  # type: ignore[method-assign]
    return limiter


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_requests_without_a_login_are_limited_by_address(rest: Rest, method: str, path: str) -> None:
    rest.address_requests = five_a_minute()
    rest.start()
    answers = [await rest.call(method, path) for _ in range(7)]
    assert [answer.status == 429 for answer in answers] == [False] * 5 + [True] * 2
    assert 1 <= int(answers[-1].header("retry-after") or "") <= 12
    assert answers[-1].header("access-control-allow-origin") == ORIGIN
    if method == "GET":
        assert answers[-1].json["retry_after_seconds"] == int(answers[-1].header("retry-after") or "")


async def test_a_bad_token_is_no_login(rest: Rest) -> None:
    rest.address_requests = five_a_minute()
    rest.start()
    answers = [await rest.call("GET", "/user", Authorization=f"Bearer x{number}") for number in range(7)]
    assert [answer.status for answer in answers] == [401] * 5 + [429] * 2


async def test_a_user_is_limited_by_account_and_not_by_what_others_do_at_the_address(rest: Rest) -> None:
    rest.address_requests = five_a_minute()
    rest.user_requests = five_a_minute()
    rest.start()
    ann, bob = [
        {"Authorization": f"Bearer {rest.tokens.issue(subject=name, name=name, email=f'{name}@chat.test')}"}
        for name in ("ann", "bob")
    ]
    for _ in range(9):
        await rest.call("GET", "/nothing")
    statuses = [(await rest.call("GET", "/messages", **ann)).status for _ in range(7)]
    assert statuses == [200] * 5 + [429] * 2
    assert (await rest.call("GET", "/messages", **bob)).status == 200


async def test_a_foreign_page_takes_nothing_from_the_address_of_its_reader(rest: Rest) -> None:
    rest.address_requests = five_a_minute()
    rest.start()
    for _ in range(9):
        await rest.call("GET", "/user", Origin="https://other.example")
        await rest.call("POST", "/login", {}, Origin="https://other.example")
    assert (await rest.call("GET", "/user")).status == 401


async def test_probes_of_operators_are_not_limited(rest: Rest) -> None:
    rest.address_requests = five_a_minute()
    rest.start()
    for _ in range(9):
        assert (await rest.call("GET", "/healthz")).status == 200
        assert (await rest.call("GET", "/readyz")).status == 200


async def test_the_rate_is_asked_before_a_body_is_looked_at(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address is parsed by a library, at up to 2 ms for the worst of 254 characters."""
    parsed: list[str] = []

    def validate(text: str, **_: object) -> None:
        parsed.append(text)
        raise ValueError

    rest.address_requests = five_a_minute()
    rest.logins = LoginThrottle()
    rest.start()
    monkeypatch.setattr("chatio.accounts.users.validate_email", validate)
    for path in ("/login", "/register"):
        body = {"name": "Ann", "email": "(@chat.test", "password": "12345678"}
        assert (await rest.call("POST", path, body)).status in (400, 404)
    parsed.clear()
    for _ in range(5):
        await rest.call("GET", "/nothing")
    for path in ("/login", "/register"):
        assert (await rest.call("POST", path, body)).status == 429
    assert parsed == []


@pytest.mark.parametrize(
    "email", ["(" * 15_000, "a" * 255 + "@chat.test", "a@" + "b" * 300, "ü" * 65 + "@chat.test"]
)
@pytest.mark.parametrize("path", ["/login", "/register"])
async def test_a_long_address_is_refused_unparsed(
    rest: Rest, monkeypatch: pytest.MonkeyPatch, path: str, email: str
) -> None:
    monkeypatch.setattr("chatio.accounts.users.validate_email", lambda *_, **__: pytest.fail("parsed"))
    answer = await rest.call("POST", path, {"name": "Ann", "email": email, "password": "12345678"})
    assert answer.status == (404 if path == "/login" else 400)


# --- answers that are not read


class Deaf:
    """A client that asks and does not read, behind a small buffer."""

    def __init__(self, port: int, sent: bytes) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(sent)

    async def answer(self) -> bytes:
        """The answer; the connection is then closed."""
        self.socket.setblocking(False)
        loop, received = asyncio.get_running_loop(), b""
        while piece := await asyncio.wait_for(loop.sock_recv(self.socket, 65536), 10):
            received += piece
        self.socket.close()
        return received


def long_log(rest: Rest) -> bytes:
    """Fill the log; the request of a page of it."""
    rest.log = MessageLog(max_bytes=2**30)
    for number in range(100):
        rest.log.append(Message(f"{number}", "x" * 40_000, "7", "Ann", "10:00", "2026-01-01T00:00:00.000Z"))
    token = rest.tokens.issue(subject="7", name="Ann", email="ann@chat.test")
    return request("GET", "/messages?limit=100", Authorization=f"Bearer {token}", Connection="close")


def start_with_small_buffers(rest: Rest) -> None:
    """The kernel takes as little of an answer as it can."""
    rest.start()
    for listener in rest.listeners:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


@pytest.mark.parametrize("limits", [{"most_per_user": 3}, {"most_per_address": 3}])
async def test_a_client_that_does_not_read_has_a_few_answers(rest: Rest, limits: dict[str, int]) -> None:
    rest.unread = UnreadAnswers(**limits)
    asked = long_log(rest)
    start_with_small_buffers(rest)
    deaf = []
    for number in range(5):
        deaf.append(Deaf(rest.port, asked))
        await until(lambda count=number + 1: rest.metrics.requests.total() >= count)
    answers = await asyncio.gather(*(client.answer() for client in deaf))
    statuses = [answer.split(b" ", 2)[1] for answer in answers]
    assert statuses == [b"200"] * 3 + [b"429"] * 2
    await until(lambda: not len(rest.unread))


async def test_an_answer_that_is_not_read_ends_with_its_connection(rest: Rest) -> None:
    rest.unread = UnreadAnswers(seconds=0.1)
    asked = long_log(rest)
    start_with_small_buffers(rest)
    client = Deaf(rest.port, asked)
    await until(lambda: len(rest.unread) == 2)
    await until(lambda: not len(rest.unread))
    assert rest.requests.is_idle
    client.socket.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux")
async def test_an_answer_that_the_kernel_holds_ends_with_its_connection(rest: Rest) -> None:
    rest.deadlines = Deadlines(unread=0.5)
    asked = long_log(rest)
    rest.start()
    server = rest.servers[-1]
    client = Deaf(rest.port, asked.replace(b"Connection: close", b"Connection: keep-alive"))
    await until(lambda: rest.metrics.requests.total() == 1)
    assert not len(rest.unread)  # the kernel took all of it
    await until(lambda: not server.open_connections("127.0.0.1"), 30)
    client.socket.close()


def test_an_answer_holds_little_of_the_whole() -> None:
    assert MOST_PER_USER * 256 * 1024 <= 2 * 2**20
    assert MOST_PER_ADDRESS * 256 * 1024 <= 16 * 2**20


@pytest.mark.parametrize(
    ("method", "path", "steps"),
    [
        *(("POST", "/register", 1000), ("POST", "/login", 500), ("POST", "/user/reset", 700)),
        *(("GET", "/messages", 500), ("GET", "/user/export", 500), ("POST", "/user/password", 500)),
        *(("OPTIONS", "/login", 0), ("GET", "/user", 0)),
    ],
)
async def test_what_takes_the_server_long_waits_for_the_turn_of_its_address(
    rest: Rest, method: str, path: str, steps: int
) -> None:
    waiting: dict[asyncio.Future[None], int] = {}

    def turn(address: str, steps: int) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting[future] = steps
        return future

    rest.turn = turn
    rest.start()
    token = rest.tokens.issue(subject="7", name="Ada", email="ada@chat.test")
    asking = asyncio.ensure_future(rest.call(method, path, {}, Authorization=f"Bearer {token}"))
    if steps:
        await until(lambda: waiting)
        assert not asking.done()
        ((future, asked),) = waiting.items()
        assert asked == steps
        future.set_result(None)
    assert (await asking).status != 500
    assert len(waiting) == bool(steps)
