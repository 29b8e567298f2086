"""HTTP/1.1 as RFC 9112 demands, byte by byte, where Tornado's parser alone does not do it."""

import asyncio
import json
import socket
from collections.abc import Iterator

import pytest
from tornado.ioloop import IOLoop

from chatio.server.http.http1 import MAX_ARGUMENTS, MAX_CHUNK_LINES_BYTES
from chatio.server.http.refusals import MAX_LINGERING, Refusals
from chatio.server.http.stream import MAX_FIELDS, MAX_HEAD_BYTES, Deadlines, HttpStream, Terms
from chatio.server.serve import HTTP_SERVER_OPTIONS
from tests.client.wire import soon, until
from tests.unit.handlers.rest_server import ORIGIN, PASSWORD, Answer, Connection, Rest, request

ADA = json.dumps({"name": "Ada", "email": "ada@chat.test", "password": PASSWORD}).encode()
HEAD = b"POST /register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


async def ask(rest: Rest, data: bytes) -> Answer:
    async with await rest.connect() as connection:
        await connection.send(data)
        return await connection.receive()


async def assert_goes_on(connection: Connection) -> None:
    await connection.send(request("GET", "/user"))
    assert (await connection.receive()).status == 401


# --- targets (RFC 9112, 3.2)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://chat.example/healthz", 200),
        ("HTTP://chat.example:3000/healthz?x=/", 200),
        ("https://chat.example/healthz", 200),
        ("http://[::1]:3000/healthz", 200),
        ("ws://chat.example/healthz", 200),  # RFC 6455, 4.1, through a proxy
        ("WSS://chat.example:443/user", 401),
        ("http://chat.example/user", 401),
        ("http://chat.example/user?x", 401),
        ("http://chat.example", 404),
        ("http://chat.example?x", 404),
        ("/healthz", 200),
        ("http://ann@chat.example/healthz", 400),
        ("http:///healthz", 400),
        ("http:/healthz", 400),
        ("http://a b/healthz", 400),
        ("http://a<b/healthz", 400),
        ("ftp://chat.example/healthz", 404),
    ],
)
async def test_a_target_in_absolute_form_is_read(rest: Rest, target: str, status: int) -> None:
    answer = await ask(rest, f"GET {target} HTTP/1.1\r\nHost: other.example\r\n\r\n".encode())
    assert answer.status == status


async def test_the_host_of_an_absolute_target_replaces_the_header(rest: Rest) -> None:
    """So an origin is compared with it: of two hosts the client means the target's."""
    lines = "POST http://{} HTTP/1.1\r\nHost: {}\r\nOrigin: https://chat.example\r\nContent-Length: 0\r\n\r\n"
    statuses = [
        (await ask(rest, lines.format(f"{target}/logout", host).encode())).status
        for target, host in (("chat.example", "other.example"), ("other.example", "chat.example"))
    ]
    assert statuses == [401, 403]


@pytest.mark.parametrize("target", ["*", "http://chat.example/user"])
async def test_options_is_answered_for_the_server_and_for_an_absolute_target(rest: Rest, target: str) -> None:
    assert (await ask(rest, f"OPTIONS {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())).status == 204


# --- chunked bodies (7.1)


@pytest.mark.parametrize(
    "lines",
    [
        (b"%x;ext\r\n", b"0\r\n\r\n"),
        (b"%x;name=value\r\n", b"0;last\r\n\r\n"),
        (b'%x ; name = "quo;ted"\r\n', b"0\r\n\r\n"),
        (b"%x\t;a;b=c\r\n", b"000\r\n\r\n"),
        (b"%X\r\n", b"0\r\nTrailer: value\r\n\r\n"),
        (b"00%x\r\n", b"0\r\nExpires: x\r\nX-Checksum: abc\r\n\r\n"),
        (b"%x;" + b"x" * 8000 + b"\r\n", b"0\r\nT: " + b"y" * 8000 + b"\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_chunk_extension_and_a_trailer_are_read_and_thrown_away(
    rest: Rest, lines: tuple[bytes, bytes], pieces: int
) -> None:
    size = -(-len(ADA) // pieces)
    body = b""
    extension = lines[0] if pieces == 1 else lines[0].replace(b"x" * 8000, b"x" * 1000)
    for start in range(0, len(ADA), size):
        piece = ADA[start : start + size]
        body += extension % len(piece) + piece + b"\r\n"
    async with await rest.connect() as connection:
        await connection.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body + lines[1])
        assert (await connection.receive()).status == 201
        await assert_goes_on(connection)


@pytest.mark.parametrize(
    "body",
    [
        *(b"zz\r\n", b"\r\n", b"-1\r\n", b"0x5\r\n", b"5_0\r\n", b"+5\r\n", b" 5\r\n", b"5 \r\n", b"5\t\r\n"),
        *(b"5;a\nb\r\n", b"5;a\rb\r\n", b"5;\n\r\n", b"5\n12345\n0\n\n\r\n", b"1" * 17 + b"\r\n"),
        *(b"5\n", b"5;a\n", b"0\r\n\n", b"0\r\nT: x\n"),
        *(b"2\r\n{}xx", b"2\r\n{}\n\n0\r\n\r\n", b"1;" + b"x" * MAX_CHUNK_LINES_BYTES + b"\r\n"),
        b"0\r\n" + b"T: x\r\n" * (MAX_CHUNK_LINES_BYTES // 6 + 1) + b"\r\n",
        (b"1;" + b"x" * 1000 + b"\r\n \r\n") * 17,
    ],
)
async def test_a_malformed_chunk_is_answered_400_and_ends_the_connection(rest: Rest, body: bytes) -> None:
    async with await rest.connect() as connection:
        await connection.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body)
        assert_malformed(await connection.receive())
        assert await connection.ends()
    await soon(rest.requests.wait_idle())


# --- options of a connection, and Expect


@pytest.mark.parametrize("options", ["close", "Close", "keep-alive, close", "close, te", "x , CLOSE"])
async def test_close_among_other_options_closes(rest: Rest, options: str) -> None:
    async with await rest.connect() as connection:
        await connection.send(request("GET", "/user", Connection=options))
        assert (await connection.receive()).status == 401
        assert await connection.ends()


@pytest.mark.parametrize("options", ["keep-alive", "keep-alive, te", "closed", "te", "te," * 100 + "close"])
async def test_other_options_keep_the_connection(rest: Rest, options: str) -> None:
    async with await rest.connect() as connection:
        await connection.send(request("GET", "/user", Connection=options))
        assert (await connection.receive()).status == 401
        await assert_goes_on(connection)


@pytest.mark.parametrize("expect", ["100-continue", "100-Continue", "100-CONTINUE"])
async def test_a_client_that_expects_100_in_any_case_is_told_to_go_on(rest: Rest, expect: str) -> None:
    async with await rest.connect() as connection:
        await connection.send(HEAD + f"Expect: {expect}\r\nContent-Length: {len(ADA)}\r\n\r\n".encode())
        assert (await connection.receive()).status == 100
        await connection.send(ADA)
        assert (await connection.receive()).status == 201


@pytest.mark.parametrize("lines", [b"\r\n", b"\n", b"\r\n\r\n", b"\r\n" * 7, b"\n\r\n\n"])
async def test_empty_lines_before_a_request_are_passed_over(rest: Rest, lines: bytes) -> None:
    async with await rest.connect() as connection:
        await connection.send(lines + request("GET", "/user"))
        assert (await connection.receive()).status == 401
        await assert_goes_on(connection)


# --- 400


def assert_malformed(answer: Answer) -> None:
    assert (answer.status, answer.json) == (
        400,
        {
            "message": "Some of what was sent is not valid.",
            "code": "invalid_input",
            "errors": [{"field": "request", "message": "The request is malformed."}],
        },
    )
    assert_is_whole(answer)


def assert_is_whole(answer: Answer) -> None:
    assert answer.header("access-control-allow-origin") == ORIGIN
    assert answer.header("connection") == "close"
    assert answer.header("cache-control") == "no-store"
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("date")
    assert answer.header("server") is None


MALFORMED = {
    "no HTTP": b"GARBAGE\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "HTTP/2": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "no host": b"GET /user HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /user HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no host in an absolute target": b"GET http://a@b/ HTTP/1.1\r\n\r\n",
    "a space before the colon": b"GET /user HTTP/1.1\r\nHost : x\r\n\r\n",
    "no name": b"GET /user HTTP/1.1\r\nHost: x\r\n: x\r\n\r\n",
    "NUL": b"GET /user HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    "a bare CR": b"GET /user HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
    "no length": b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    "two lengths": b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "length and coding": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "another coding": b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a NUL": b"\x00",
    "a space": b" GET / HTTP/1.1",
    "a quotation mark behind an empty line": b'\r\n\r\n"GET / HTTP/1.1\r\n\r\n',
    "a coding in HTTP/1.0": b"POST /login HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("kind", MALFORMED)
async def test_a_malformed_request_is_answered_400_with_a_body_and_a_line(
    rest: Rest, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level("INFO", "chatio.http")
    async with await rest.connect() as connection:
        await connection.send(MALFORMED[kind])
        assert_malformed(await connection.receive())
        assert await connection.ends()
    await soon(rest.requests.wait_idle())
    (record,) = caplog.records
    assert record.getMessage() == "Bad request from 127.0.0.1: answered 400"


def test_an_answer_that_no_handler_gives_is_read_by_the_page_that_asked(io_loop: IOLoop) -> None:
    """CLIENT_URL may have several origins, and an answer names one."""
    page = "https://second.example"
    broken = [
        b"GET / HTTP/1.1\r\nHost: a\r\nORIGIN:%b\r\n: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\norigin: %b\r\nCookie: " + b"x" * 17_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nOrigin: %b \r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ]

    async def tell() -> None:
        rest = Rest(origins=(ORIGIN, page))
        rest.start()
        try:
            for data in broken:
                for asking, told in ((page, page), ("https://evil.example", ORIGIN), ("https://\xfc", ORIGIN)):
                    answer = await ask(rest, data % asking.encode("latin-1"))
                    assert answer.status in (400, 431)
                    assert answer.header("access-control-allow-origin") == told
        finally:
            await rest.close()

    io_loop.run_sync(tell)


async def test_a_body_that_breaks_after_its_answer_has_no_second_one(rest: Rest) -> None:
    async with await rest.connect() as connection:
        # Far too large: answered before its end.
        await connection.send(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n100000\r\n" + b"x" * 2**20 + b"\r\n1\r\nxzz"
        )
        assert (await connection.receive()).status == 413
        assert await connection.ends()


# --- 431 and 414


def head_of(size: int) -> bytes:
    start, end = b"GET /healthz HTTP/1.1\r\nHost: x\r\nCookie: ", b"\r\n\r\n"
    return start + b"x" * (size - len(start) - len(end)) + end


async def test_a_head_of_16_kib_is_read(rest: Rest) -> None:
    assert MAX_HEAD_BYTES == 16 * 1024
    async with await rest.connect() as connection:
        for _ in range(2):
            await connection.send(head_of(MAX_HEAD_BYTES))
            assert (await connection.receive()).status == 200


@pytest.mark.parametrize("size", [MAX_HEAD_BYTES + 1, 17_000, 65_536, 100_000, 1_000_000])
async def test_a_larger_head_is_answered_431_with_a_line(
    rest: Rest, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    caplog.set_level("INFO", "chatio.http")
    async with await rest.connect() as connection:
        await assert_goes_on(connection)
        await connection.send(head_of(size))
        answer = await connection.receive()
        assert answer.status == 431
        assert "16 KiB" in answer.json["message"]
        assert_is_whole(answer)
        assert await connection.ends()
    assert [record.getMessage() for record in caplog.records] == ["Bad request from 127.0.0.1: answered 431"]


async def test_a_head_of_100_fields_is_read_and_one_of_more_is_answered_431(rest: Rest) -> None:
    start = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
    async with await rest.connect() as connection:
        await connection.send(start + b"a:\r\n" * (MAX_FIELDS - 1) + b"\r\n")
        assert (await connection.receive()).status == 200
        await connection.send(start + b"a:\r\n" * MAX_FIELDS + b"\r\n")
        answer = await connection.receive()
        assert answer.status == 431
        assert_is_whole(answer)
        assert await connection.ends()


async def test_a_query_of_100_arguments_is_read_and_one_of_more_is_answered_400(rest: Rest) -> None:
    async with await rest.connect() as connection:
        for count, status in ((MAX_ARGUMENTS, 200), (MAX_ARGUMENTS + 1, 400)):
            await connection.send(request("GET", "/healthz?" + "&".join(["a=b"] * count)))
            answer = await connection.receive()
            assert answer.status == status
        assert_is_whole(answer)
        assert await connection.ends()


@pytest.mark.parametrize("size", [MAX_HEAD_BYTES, 200_000])
async def test_a_target_that_is_too_long_is_answered_414(rest: Rest, size: int) -> None:
    async with await rest.connect() as connection:
        await connection.send(b"GET /" + b"x" * size + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await connection.receive()
        assert answer.status == 414
        assert_is_whole(answer)


# --- 408, and connections that stay idle


@pytest.fixture
def hurried(io_loop: IOLoop, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Rest]:
    """A server with one short deadline, so that a slow test has time for the rest; or with those of the test."""
    monkeypatch.setitem(HTTP_SERVER_OPTIONS, "body_timeout", 0.1)

    async def make() -> Rest:
        rest = Rest()
        rest.deadlines = getattr(request, "param", Deadlines(head=0.1))
        rest.start()
        return rest

    rest = io_loop.run_sync(make)
    yield rest
    io_loop.run_sync(rest.close)


@pytest.mark.parametrize(
    "begun",
    [
        b"G",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-",
        HEAD + b"Content-Length: 9\r\n\r\n{",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nTrailer",
    ],
    ids=["a byte", "half a head", "half a body", "half a chunk", "half a trailer"],
)
async def test_a_request_that_never_ends_is_answered_408_with_a_line(
    hurried: Rest, caplog: pytest.LogCaptureFixture, begun: bytes
) -> None:
    caplog.set_level("INFO", "chatio.http")
    async with await hurried.connect() as connection:
        await connection.send(begun)
        answer = await connection.receive()
        assert answer.status == 408
        assert_is_whole(answer)
        assert await connection.ends()
    await soon(hurried.requests.wait_idle())
    assert [record.getMessage() for record in caplog.records] == ["Bad request from 127.0.0.1: answered 408"]


@pytest.mark.parametrize("hurried", [Deadlines(first_byte=0.1)], indirect=True)
async def test_a_connection_that_sends_nothing_is_closed_without_an_answer(hurried: Rest) -> None:
    async with await hurried.connect() as connection:
        assert await connection.ends()


@pytest.mark.parametrize("hurried", [Deadlines(idle=0.1)], indirect=True)
async def test_an_idle_connection_is_closed_without_an_answer(hurried: Rest) -> None:
    async with await hurried.connect() as connection:
        await assert_goes_on(connection)
        assert await connection.ends()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux")
async def test_the_deadline_of_the_kernel_ends_where_a_websocket_begins() -> None:
    terms = Terms(refusals=Refusals(lambda _: {}), deadlines=Deadlines(unread=7))
    stream = HttpStream(socket.socket(), "127.0.0.1", terms, first=b"", is_paid=True)
    option = socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT
    stream.answers()
    assert stream.socket.getsockopt(*option) == 7000
    stream.release()
    assert stream.socket.getsockopt(*option) == 0
    stream.close()


def test_an_idle_connection_outlives_those_of_load_balancers() -> None:
    assert Deadlines().idle > 600
    assert Deadlines().first_byte <= 20


async def test_requests_that_arrive_together_are_answered_in_order(rest: Rest) -> None:
    async with await rest.connect() as connection:
        chunked = b"Transfer-Encoding: chunked\r\n\r\n%x;x\r\n%b\r\n0\r\nT: x\r\n\r\n" % (len(ADA), ADA)
        await connection.send(request("GET", "/user") + HEAD + chunked + request("GET", "/nothing"))
        assert [(await connection.receive()).status for _ in range(3)] == [401, 201, 404]


async def test_a_head_that_arrives_byte_by_byte_is_read(rest: Rest) -> None:
    async with await rest.connect() as connection:
        for number in request("GET", "/user"):
            await connection.send(bytes([number]))
            await asyncio.sleep(0)
        assert (await connection.receive()).status == 401


async def test_a_crowd_of_refused_connections_has_a_few_files(rest: Rest) -> None:
    crowd = [await rest.connect() for _ in range(MAX_LINGERING + 10)]
    for connection in crowd:
        await connection.send(b"GARBAGE\r\n\r\n")
    assert [(await connection.receive()).status for connection in crowd] == [400] * len(crowd)
    (server,) = rest.servers
    assert len(server.terms.refusals) <= MAX_LINGERING
    for connection in crowd:
        async with connection:
            assert await connection.ends()


async def test_nothing_is_left_of_a_refused_connection(rest: Rest) -> None:
    async with await rest.connect() as connection:
        await connection.send(b"GARBAGE\r\n\r\n")
        assert (await connection.receive()).status == 400
    for server in rest.servers:
        await until(lambda server=server: not len(server.terms.refusals))


async def test_a_connection_that_ends_with_a_refusal_says_so(rest: Rest) -> None:
    """Tornado closes it where the answer goes out before the request was read; a proxy would send the next one."""
    answer = await ask(rest, b"DELETE /user HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n")
    assert (answer.status, answer.header("connection")) == (403, "close")
