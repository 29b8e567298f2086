"""Bodies of every shape, and the one funnel that every failure passes."""

import asyncio
import json

import msgspec
import pytest
from tornado.web import Application, HTTPError

from chatio.errors import FieldError, InvalidInput, RateLimited
from chatio.server.in_flight import InFlightRequests
from handlers.http.auth import public
from handlers.http.base import MAX_BODY_BYTES, BaseHandler
from tests.conftest import ExpectedLogs
from tests.unit.handlers.rest_server import ORIGIN, PASSWORD, PATIENCE_SECONDS, Answer, Connection, Rest, request

MAX_DISCARDED_BYTES = BaseHandler.MAX_DISCARDED_BYTES
TOO_LARGE = {"message": "The request body is too large.", "code": "body_too_large"}
ADA = {"name": "Ada", "email": "ada@chat.test", "password": PASSWORD}


def padded(size: int) -> bytes:
    """A sound registration of `size` bytes."""
    body = json.dumps(ADA).encode()
    return body + b" " * (size - len(body))


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


CHUNKED_HEAD = request("POST", "/register", Transfer_Encoding="chunked")


def assert_too_large(answer: Answer) -> None:
    assert (answer.status, answer.json) == (413, TOO_LARGE)
    assert answer.header("access-control-allow-origin") == ORIGIN


def listen(rest: Rest, handler: type[BaseHandler]) -> None:
    """Listen with `handler` alone, at /."""
    rest.listen(Application([(r"/", handler, {"services": rest.services})], log_function=lambda _: None))


async def answer_to_failure(rest: Rest, error: Exception) -> Answer:
    """How a GET is answered whose handler raises `error`."""

    class Failing(BaseHandler):
        @public
        async def get(self) -> None:
            raise error

    listen(rest, Failing)
    return await rest.call("GET", "/?secret")


async def expect(rest: Rest, size: int) -> Connection:
    """A connection whose client waits for permission to send a body of `size` bytes."""
    connection = await rest.connect()
    await connection.send(request("POST", "/register", Content_Length=str(size), Expect="100-continue"))
    return connection


async def assert_serves_another(connection: Connection) -> None:
    await connection.send(request("GET", "/user"))
    assert (await connection.receive()).status == 401


# --- bodies that are too large


async def test_a_body_of_16_kib_is_taken_and_one_byte_more_is_not(rest: Rest) -> None:
    assert MAX_BODY_BYTES == 16 * 1024
    assert (await rest.call("POST", "/register", padded(MAX_BODY_BYTES))).status == 201
    assert_too_large(await rest.call("POST", "/register", padded(MAX_BODY_BYTES + 1)))


@pytest.mark.parametrize(
    "sent",
    [
        *(request("POST", "/register", padded(n)) for n in (MAX_BODY_BYTES + 1, 200_000, MAX_DISCARDED_BYTES)),
        CHUNKED_HEAD + chunk(padded(MAX_BODY_BYTES)) + chunk(b" ") + b"0\r\n\r\n",
    ],
)
async def test_body_that_is_too_large_is_read_so_that_its_sender_sees_the_413(rest: Rest, sent: bytes) -> None:
    async with await rest.connect() as connection:
        await connection.send(sent)
        assert_too_large(await connection.receive())
        await assert_serves_another(connection)


@pytest.mark.parametrize(
    "sent",
    [
        *(request("POST", "/register", Content_Length=str(n)) for n in (MAX_DISCARDED_BYTES + 1, 2**40, 10**30)),
        CHUNKED_HEAD + chunk(b" " * MAX_DISCARDED_BYTES) + b"1\r\n ",  # and never ends
    ],
)
async def test_body_that_is_far_too_large_is_not_waited_for(rest: Rest, sent: bytes) -> None:
    async with await rest.connect() as connection:
        await connection.send(sent)
        assert_too_large(await connection.receive())
        assert await connection.ends()


async def test_a_chunked_body_is_taken(rest: Rest) -> None:
    body = json.dumps(ADA).encode()
    pieces = b"".join(chunk(body[n : n + 7]) for n in range(0, len(body), 7))
    async with await rest.connect() as connection:
        await connection.send(CHUNKED_HEAD + pieces + b"0\r\n\r\n")
        assert (await connection.receive()).status == 201


async def test_no_more_than_the_limit_is_held_of_a_body_that_is_too_large(rest: Rest) -> None:
    held: list[int] = []

    class Watched(BaseHandler):
        def data_received(self, chunk: bytes) -> None:
            super().data_received(chunk)
            held.append(len(self.body))

        @public
        async def post(self) -> None:
            self.answer(200, {})

    listen(rest, Watched)
    await rest.call("POST", "/", b"x" * MAX_DISCARDED_BYTES)
    assert len(held) > 1
    assert max(held) <= MAX_BODY_BYTES


# --- Expect: 100-continue


async def test_a_client_that_expects_100_is_told_to_continue(rest: Rest) -> None:
    body = json.dumps(ADA).encode()
    async with await expect(rest, len(body)) as connection:
        assert (await connection.receive()).status == 100
        await connection.send(body)
        assert (await connection.receive()).status == 201


@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, MAX_DISCARDED_BYTES, MAX_DISCARDED_BYTES + 1])
async def test_client_that_expects_100_is_told_not_to_send_a_body_that_is_too_large(rest: Rest, size: int) -> None:
    async with await expect(rest, size) as connection:
        assert_too_large(await connection.receive())
        assert await connection.ends()


# --- bodies that are no JSON object


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"{", b"}", b"{}{}", b"{'name': 'Ada'}", b'{"name": "Ada",}', b'{"name": NaN}'),
        *(b'{"name": "A\nda"}', b'{"name": "\xff"}', b'{"name": 1e999}'),
        *(
            b"\xef\xbb\xbf",
            b"\xef\xbb\xbf\xef\xbb\xbf{}",
            b"\x00",
            b"\xff\xfe{\x00}\x00",
            b"name=Ada&email=ada%40chat.test&password=12345678",
        ),
        b"[" * MAX_BODY_BYTES,
        b"[" * (MAX_BODY_BYTES // 2) + b"]" * (MAX_BODY_BYTES // 2),
        *(b'{"name": ' + b"9" * 10_000 + b"}{", b"null", b"7", b'"text"', b"[]", b"true"),
    ],
)
@pytest.mark.parametrize("path", ["/register", "/login"])
async def test_what_is_no_json_object_is_an_invalid_body(rest: Rest, path: str, body: bytes) -> None:
    answer = await rest.call("POST", path, body)
    assert answer.status == 400
    assert [error["field"] for error in answer.json["errors"]] == ["body"]


async def test_an_object_as_deep_as_fits_is_invalid_however_deep_the_decoder_goes(rest: Rest) -> None:
    """With Python 3.11 it gives up at 1,000 levels; later ones go on to the end."""
    answer = await rest.call("POST", "/register", b'{"name":' * 1500 + b"1" + b"}" * 1500)
    assert answer.status == 400
    assert [error["field"] for error in answer.json["errors"]] in (["body"], ["name", "email", "password"])


async def test_a_deep_value_of_a_field_is_no_text(rest: Rest) -> None:
    body = b'{"name": ' + b"[" * 500 + b"]" * 500 + b', "email": {}, "password": []}'
    answer = await rest.call("POST", "/register", body)
    assert [error["field"] for error in answer.json["errors"]] == ["name", "email", "password"]


@pytest.mark.parametrize("length", ["x", "-1", "1.5", "5, 6", "0x5", "\u00b2", "+5", "5_0"])
async def test_a_length_that_is_none_ends_the_connection(rest: Rest, length: str) -> None:
    async with await rest.connect() as connection:
        await connection.send(request("POST", "/register", Content_Length=length))
        assert (await connection.receive()).status == 400
        assert await connection.ends()
    await asyncio.wait_for(rest.requests.wait_idle(), PATIENCE_SECONDS)


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
async def test_a_body_where_none_belongs_is_read_and_thrown_away(rest: Rest, method: str) -> None:
    async with await rest.connect() as connection:
        await connection.send(request(method, "/user", b"x" * 100_000))
        assert (await connection.receive()).status in {204, 401, 405}
        await assert_serves_another(connection)


# --- what every answer has


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *(("GET", "/user", 200), ("POST", "/logout", 204), ("OPTIONS", "/user", 204), ("POST", "/login", 400)),
        *(("POST", "/user/password", 400), ("GET", "/nothing", 404), ("PUT", "/user", 405)),
    ],
)
async def test_an_answer_is_not_kept_and_not_guessed_at(rest: Rest, method: str, path: str, status: int) -> None:
    """A client that has a copy of it is sent all of it, too."""
    token = await rest.sign_up()
    answer = await rest.call(method, path, {}, If_None_Match="*", Authorization=f"Bearer {token}")
    assert answer.status == status
    assert answer.header("cache-control") == "no-store"
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("etag") is None
    assert answer.header("server") is None
    assert bool(answer.body) is (status != 204)


# --- failures


async def test_unforeseen_failure_answers_the_reference_of_its_log_record(rest: Rest, logs: ExpectedLogs) -> None:
    logs.expect(r"^answering GET failed: RuntimeError at \S+test_base:\d+ get \(reference [0-9a-f]{12}\)$")
    answer = await answer_to_failure(rest, RuntimeError("hunter2 in /home/ada"))
    assert answer.status == 500
    assert answer.json == {
        "message": "Internal server error",
        "code": "internal_error",
        "reference": answer.json["reference"],
    }
    assert answer.header("access-control-allow-origin") == ORIGIN
    (record,) = logs.records
    assert record.getMessage().endswith(f"reference {answer.json['reference']})")
    assert record.exc_info is None
    told = record.getMessage() + answer.body.decode()
    assert "hunter2" not in told
    assert "/" not in told


async def test_failures_of_different_places_have_references_of_their_own(rest: Rest, logs: ExpectedLogs) -> None:
    class Broken(BaseHandler):
        async def prepare(self) -> None:
            await super().prepare()
            if self.request.query:
                raise KeyError
            raise KeyError

    listen(rest, Broken)
    logs.expect("^answering POST failed: KeyError at [^ ]+test_base:[0-9]+ prepare ")
    answers = [await rest.call("POST", path, {}) for path in ("/", "/?x")]
    assert len({answer.json["reference"] for answer in answers}) == 2


async def test_rate_limited_request_is_one_line_with_reason(rest: Rest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "chatio.http")
    assert (await answer_to_failure(rest, RateLimited(retry_after_seconds=7))).status == 429
    (record,) = caplog.records
    assert record.getMessage() == "Rate limited: request to failing from 127.0.0.1 was refused"
    assert vars(record).items() >= {"event": "request_refused", "reason": "rate_limited"}.items()


async def test_a_request_that_a_stopping_server_gives_up_is_asked_again_later(rest: Rest) -> None:
    class Failing(BaseHandler):
        @public
        async def get(self) -> None:
            self.send_error(500)  # what Tornado does when its task is cancelled

    listen(rest, Failing)
    answer = await rest.call("GET", "/")
    assert (answer.status, answer.header("retry-after")) == (503, "2")


async def test_tornados_own_failures_are_as_unforeseen_as_any(rest: Rest, logs: ExpectedLogs) -> None:
    logs.expect("^answering GET failed: HTTPError at [^ ]+test_base:[0-9]+ get ")
    answer = await answer_to_failure(rest, HTTPError(503, "hunter2"))
    assert (answer.status, answer.json["message"]) == (500, "Internal server error")


@pytest.mark.parametrize(
    ("status", "answered"), [(400, 400), (403, 400), (404, 404), (405, 405), (418, 400), (499, 400)]
)
async def test_client_error_of_tornado_is_answered_in_our_words(rest: Rest, status: int, answered: int) -> None:
    answer = await answer_to_failure(rest, HTTPError(status, "hunter2", reason="hunter2"))
    assert answer.status == answered
    assert "hunter2" not in answer.body.decode()
    if answered == 400:
        assert answer.json["errors"] == [{"field": "request", "message": "The request is malformed."}]


async def test_a_foreseen_failure_is_no_log_record_and_loses_what_was_set_before(rest: Rest) -> None:
    class Invalid(BaseHandler):
        @public
        async def get(self) -> None:
            self.set_header("X-Half-Done", "yes")
            self.write("half an answer")
            raise InvalidInput(FieldError("name", "No."))

    listen(rest, Invalid)
    answer = await rest.call("GET", "/")
    assert (answer.status, answer.json["errors"]) == (400, [{"field": "name", "message": "No."}])
    assert answer.header("x-half-done") is None


async def test_a_body_is_taken_as_any_struct_by_the_names_on_the_wire(rest: Rest) -> None:
    class Renamed(msgspec.Struct):
        text: str = msgspec.field(name="longText")

    class Taking(BaseHandler):
        @public
        async def post(self) -> None:
            self.answer(200, {"text": self.body_as(Renamed).text})

    listen(rest, Taking)
    assert (await rest.call("POST", "/", {"longText": "x"})).json == {"text": "x"}
    assert (await rest.call("POST", "/", {"text": "x"})).json["errors"][0]["field"] == "longText"


# --- requests in flight


async def idle_already(requests: InFlightRequests) -> bool:
    waiting = asyncio.ensure_future(requests.wait_idle())
    await asyncio.sleep(0)  # it runs up to its first wait, if there is one
    done = waiting.done()
    waiting.cancel()
    return done


def listen_and_wait(rest: Rest) -> tuple[list[asyncio.Event], list[asyncio.Event]]:
    """For the requests 0 and 1: an event of its beginning, and one that it waits for before it is answered."""
    begun, answer_now = [asyncio.Event(), asyncio.Event()], [asyncio.Event(), asyncio.Event()]

    class Waiting(BaseHandler):
        @public
        async def get(self) -> None:
            number = int(self.request.headers["Number"])
            begun[number].set()
            await answer_now[number].wait()
            self.answer(200, {})

    listen(rest, Waiting)
    return begun, answer_now


async def test_requests_are_in_flight_until_the_last_is_answered(rest: Rest) -> None:
    begun, answer_now = listen_and_wait(rest)
    assert await idle_already(rest.requests)
    calls = [asyncio.ensure_future(rest.call("GET", "/", Number=str(number))) for number in range(2)]
    for event in begun:
        await asyncio.wait_for(event.wait(), PATIENCE_SECONDS)
    for number in range(2):
        assert not await idle_already(rest.requests)
        answer_now[number].set()
        assert (await calls[number]).status == 200
    await asyncio.wait_for(rest.requests.wait_idle(), PATIENCE_SECONDS)


async def test_a_request_whose_client_leaves_in_the_middle_of_a_body_is_in_flight_no_more(rest: Rest) -> None:
    async with await expect(rest, 100) as connection:
        assert (await connection.receive()).status == 100
        await connection.send(b"{")
        assert not await idle_already(rest.requests)
    await asyncio.wait_for(rest.requests.wait_idle(), PATIENCE_SECONDS)


async def test_a_request_whose_client_leaves_before_the_answer_is_in_flight_no_more(rest: Rest) -> None:
    begun, answer_now = listen_and_wait(rest)
    async with await rest.connect() as connection:
        await connection.send(request("GET", "/", Number="0"))
        await asyncio.wait_for(begun[0].wait(), PATIENCE_SECONDS)
        assert not await idle_already(rest.requests)
    await asyncio.wait_for(rest.requests.wait_idle(), PATIENCE_SECONDS)
    answer_now[0].set()


@pytest.mark.parametrize(
    "sent",
    [
        request("POST", "/register", b"x" * (MAX_BODY_BYTES + 1)),
        request("POST", "/register", Content_Length=str(2**30)),
        request("PUT", "/register", {}),
        request("FOO", "/register"),
        request("OPTIONS", "/register"),
        request("GET", "/user"),
        request("GET", "/nothing"),
    ],
)
async def test_after_every_kind_of_answer_no_request_is_in_flight(rest: Rest, sent: bytes) -> None:
    async with await rest.connect() as connection:
        await connection.send(sent)
        await connection.receive()
        await asyncio.wait_for(rest.requests.wait_idle(), PATIENCE_SECONDS)
