"""GET /user/export: an answer that is sent while it is read, and that holds little memory."""

import json

import msgspec
import pytest

from chatio.errors import StoreUnavailable
from chatio.log.message_log import Entry
from chatio.log.shared_log import SharedLog
from chatio.throttling.rate_limiter import RateLimiter
from handlers.rest import export
from tests.client.wire import until
from tests.contract.journal import message
from tests.unit.handlers.rest_server import Connection, Rest, request


async def started(rest: Rest, *, count: int = 0, text: str = "") -> tuple[str, str]:
    """A server whose log has so many messages of Ada, and as many of another user; her id and a token."""
    rest.start()
    token = await rest.sign_up()
    ada = rest.tokens.verify(token).subject
    for number in range(count):
        rest.log.append(msgspec.structs.replace(message(f"a{number}", author_id=ada), content=text))
        rest.log.append(message(f"b{number}", author_id="another"))
    return ada, token


@pytest.fixture(autouse=True)
def log_of_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal of these tests is the window."""

    async def by_author(log: SharedLog, author_id: str, after: int, *, limit: int) -> list[Entry]:
        entries = log.window.read(after, limit=limit)
        return [entry for entry in entries if entry.message.author_id == author_id]

    monkeypatch.setattr(SharedLog, "by_author", by_author)


@pytest.mark.parametrize("count", [0, 1, 2500])
async def test_an_export_has_each_message_of_the_user_and_no_other(rest: Rest, count: int) -> None:
    ada, token = await started(rest, count=count, text="\U0001f600 " * 20)
    answer = await rest.call("GET", "/user/export", Authorization=f"Bearer {token}")
    assert answer.status == 200
    assert [each["id"] for each in answer.json["messages"]] == [f"a{number}" for number in range(count)]
    assert {each["author_id"] for each in answer.json["messages"]} <= {ada}
    assert "argon2" not in json.dumps(answer.json)


async def test_exports_are_limited_and_a_look_at_the_headers_is_none(rest: Rest) -> None:
    rest.exports = RateLimiter(1, 3600)
    _, token = await started(rest)
    head = await rest.call("HEAD", "/user/export", Authorization=f"Bearer {token}")
    assert (head.status, head.headers["content-disposition"]) == (200, 'attachment; filename="chatio.json"')
    answers = [await rest.call("GET", "/user/export", Authorization=f"Bearer {token}") for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]


async def asked(rest: Rest, token: str) -> Connection:
    connection = await rest.connect()
    await connection.send(request("GET", "/user/export", None, Authorization=f"Bearer {token}"))
    return connection


async def test_a_client_that_reads_nothing_is_disconnected(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "ANSWER_SECONDS", 0.3)
    _, token = await started(rest, count=1000, text="x" * 20_000)
    async with await asked(rest, token) as connection:
        await until(lambda: not rest.requests.is_idle)
        await rest.requests.wait_idle()
        with pytest.raises((OSError, EOFError)):
            await connection.receive()  # it has no end


async def test_a_database_that_stops_answering_ends_the_connection_before_the_end(
    rest: Rest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, token = await started(rest, count=600)
    calls = []

    async def by_author(log: SharedLog, author_id: str, after: int, *, limit: int) -> list[Entry]:
        calls.append(after)
        if len(calls) > 1:
            raise StoreUnavailable(retry_after_seconds=2)
        return [entry for entry in log.window.read(after, limit=limit) if entry.message.author_id == author_id]

    monkeypatch.setattr(SharedLog, "by_author", by_author)
    async with await asked(rest, token) as connection:
        with pytest.raises((OSError, EOFError)):
            await connection.receive()
