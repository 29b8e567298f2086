"""The base of every HTTP handler: what it holds of a body, when it tells so, and the headers of every answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import ClassVar

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from chatio.server.http.handler import BoundedBodyHandler
from tests.unit.handlers.rest_server import Answer, Connection, request

LIMIT_BYTES = 10


class Echo(BoundedBodyHandler):
    """Answers with what it holds of the body, and how it was told that it is too large."""

    MAX_DISCARDED_BYTES: ClassVar[int] = 1000

    def initialize(self, on_request: Callable[["Echo"], None]) -> None:
        self.told: list[str] = []
        on_request(self)

    def prepare(self) -> None:
        self.bound_body()
        self.max_body_bytes = int(self.request.headers.get("Limit", LIMIT_BYTES))

    def body_too_large(self) -> None:
        self.told.append(f"too large after {self.body_bytes}")

    def body_too_large_to_discard(self) -> None:
        self.told.append("endless")
        self.finish("endless")

    def post(self) -> None:
        if "Close" in self.request.headers:
            self.close_after_answer()
        self.finish(f"{self.body.decode()} {self.is_body_too_large}")


@asynccontextmanager
async def serving(on_request: Callable[[Echo], None] = lambda handler: None) -> AsyncIterator[int]:
    server = HTTPServer(Application([("/", Echo, {"on_request": on_request})], log_function=lambda _: None))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    yield sockets[0].getsockname()[1]
    server.stop()
    await server.close_all_connections()


async def post(port: int, body: bytes, **headers: str) -> Answer:
    async with await connect(port) as connection:
        await connection.send(request("POST", "/", body, **headers))
        return await connection.receive()


async def connect(port: int) -> Connection:
    return Connection(*await asyncio.open_connection("127.0.0.1", port))


async def test_a_body_is_held_up_to_the_limit_of_its_request() -> None:
    async with serving() as port:
        assert (await post(port, b"x" * 10)).body == b"xxxxxxxxxx False"
        assert (await post(port, b"x" * 11)).body == b" True"
        assert (await post(port, b"x" * 11, Limit="11")).body == b"xxxxxxxxxxx False"


async def test_a_body_that_is_too_large_is_told_once_and_discarded() -> None:
    handlers: list[Echo] = []
    async with serving(handlers.append) as port, await connect(port) as connection:
        for _ in range(2):  # the connection goes on after it
            await connection.send(request("POST", "/", b"x" * 1000))
            assert (await connection.receive()).body == b" True"
    assert [[text.partition(" after")[0] for text in handler.told] for handler in handlers] == [["too large"]] * 2
    assert all(len(handler.body) == 0 for handler in handlers)


async def test_a_body_that_is_too_large_to_discard_is_answered_at_once_and_the_connection_closed() -> None:
    async with serving() as port, await connect(port) as connection:
        await connection.send(request("POST", "/", Content_Length="2000") + b"x" * 1001)
        assert (await connection.receive()).body == b"endless"
        assert await connection.ends()


async def test_an_answer_names_no_server_and_is_not_to_be_kept() -> None:
    async with serving() as port:
        answer = await post(port, b"")
        assert answer.header("server") is None
        assert answer.header("etag") is None
        assert answer.header("cache-control") == "no-store"
        assert answer.header("x-content-type-options") == "nosniff"


async def test_a_connection_is_closed_after_the_answer_when_the_handler_says_so() -> None:
    async with serving() as port, await connect(port) as connection:
        await connection.send(request("POST", "/", b""))
        assert (await connection.receive()).header("connection") is None
        await connection.send(request("POST", "/", b"", Close="yes"))
        assert (await connection.receive()).header("connection") == "close"
        assert await connection.ends()


async def test_the_announced_length_is_that_of_the_header_and_0_of_a_body_in_chunks() -> None:
    handlers: list[Echo] = []
    async with serving(handlers.append) as port:
        await post(port, b"x" * 12)
        async with await connect(port) as connection:
            await connection.send(request("POST", "/", Transfer_Encoding="chunked") + b"1\r\nx\r\n0\r\n\r\n")
            assert (await connection.receive()).body == b"x False"
    assert [handler.announced_body_bytes for handler in handlers] == [12, 0]
