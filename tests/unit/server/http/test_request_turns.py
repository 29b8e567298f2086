"""Turns of requests, on a real port: what a flood sends waits before it is parsed, and others do not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tornado.httputil import HTTPConnection, HTTPMessageDelegate
from tornado.web import Application

from chatio.server.http.accept import LimitedHTTPServer
from chatio.server.http.connection import ACCEPT_STEPS, Endpoint, ServerConnection
from chatio.server.http.held_input import HeldInput
from chatio.server.http.stream import REQUEST_STEPS
from chatio.throttling.client_ip import parse_networks
from chatio.throttling.input_budget import Allowance, BudgetPool
from tests.client.protocol import http_request
from tests.client.wire import Http, cut_all, soon, until

FLOODER, FRIEND, PROXY = "127.0.0.2", "127.0.0.1", "127.0.0.3"
MALFORMED = b"\x16\x03\x01\x02\x00\r\n\r\n"
LARGE = b"GET /" + b"x" * 20_000


class Turns:
    """Turns that wait until the test ends them, for `FLOODER` once `is_spent`, and the steps asked for."""

    def __init__(self) -> None:
        self.is_spent = False
        self.steps = 0
        self.waiting: list[asyncio.Future[None]] = []

    def __call__(self, address: str, steps: int) -> "asyncio.Future[None]":
        self.steps += steps
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.is_spent and address == FLOODER:
            self.waiting.append(turn)
        else:
            turn.set_result(None)
        return turn


class Serving:
    def __init__(
        self,
        turns: "Turns | BudgetPool",
        *proxies: str,
        held: HeldInput | None = None,
        endpoint: Endpoint | None = None,
    ) -> None:
        take = turns if isinstance(turns, Turns) else lambda address, steps: turns.of(address).turn(steps)
        self.server = LimitedHTTPServer(
            Application(log_function=lambda _: None),
            turns=take,
            trusted=parse_networks(proxies),
            held=held,
            endpoint=endpoint,
        )
        self.server.listen(0, address="127.0.0.1")
        self.port: int = next(iter(self.server._sockets.values())).getsockname()[1]

    async def connect(self, address: str) -> Http:
        return Http(*await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0)))

    async def status(self, address: str) -> int:
        return (await (await self.connect(address)).request("GET", "/nowhere")).status


class WebSocketEndpoint:
    """Takes the socket of each request for "/ws", and closes it."""

    targets: tuple[str, ...] = ("/ws",)

    def __init__(self) -> None:
        self.taken = 0

    def take(self, connection: ServerConnection, data: bytes) -> bool:
        if b"Upgrade" not in data or not data.endswith(b"\r\n\r\n"):
            return False
        self.taken += 1
        connection.give_socket().close()
        return True

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        raise NotImplementedError


@asynccontextmanager
async def serving(
    turns: "Turns | BudgetPool", *proxies: str, held: HeldInput | None = None, endpoint: Endpoint | None = None
) -> AsyncIterator[Serving]:
    serving = Serving(turns, *proxies, held=held, endpoint=endpoint)
    try:
        yield serving
    finally:
        serving.server.stop()
        cut_all()
        await soon(serving.server.close_all_connections())


@pytest.mark.parametrize(
    ("data", "status"), [(http_request("GET", "/nowhere"), 404), (MALFORMED, 400), (LARGE, 414)]
)
async def test_requests_wait_for_their_turn_also_those_that_no_handler_sees(data: bytes, status: int) -> None:
    turns = Turns()
    async with serving(turns) as here:
        turns.is_spent = True
        flooder = await here.connect(FLOODER)
        flooder.writer.write(data)
        await until(lambda: turns.waiting)
        assert await here.status(FRIEND) == 404
        assert not flooder.reader._buffer  # type: ignore[attr-defined]
        turns.is_spent = False
        turns.waiting[0].set_result(None)
        assert (await flooder.answer()).status == status


async def test_a_flood_of_requests_waits_while_another_address_is_answered() -> None:
    pool = BudgetPool(Allowance(steps=1e6, steps_at_once=1e6, address_steps=100, client_steps=0), is_on=True)
    async with serving(pool) as here:
        flooder = await here.connect(FLOODER)
        flooder.writer.write(http_request("GET", "/nowhere") * 100)
        await until(lambda: pool.of(FLOODER).waiting)
        for _ in range(9):
            assert await here.status(FRIEND) == 404
        assert pool.of(FLOODER).waiting


async def test_many_small_chunks_cost_more_than_a_few_large_ones() -> None:
    turns = Turns()
    async with serving(turns) as here:
        costs = []
        for size, count in ((1000, 1), (1, 1000)):
            turns.steps = 0
            http = await here.connect(FRIEND)
            http.writer.write(http_request("POST", "/nowhere", None, Transfer_Encoding="chunked"))
            http.writer.write((b"%x\r\n" % size + b"x" * size + b"\r\n") * count + b"0\r\n\r\n")
            assert (await http.answer()).status == 404
            costs.append(turns.steps)
    assert costs[1] > 5 * costs[0]


async def test_a_server_that_stops_waits_for_no_turn() -> None:
    turns = Turns()
    turns.is_spent = True
    async with serving(turns) as here:
        flooder = await here.connect(FLOODER)
        flooder.writer.write(http_request("GET", "/nowhere"))
        await until(lambda: turns.waiting)
    assert not turns.waiting[0].cancelled()


async def test_behind_a_proxy_the_client_pays_whom_the_head_tells_and_no_other_waits() -> None:
    turns = Turns()
    async with serving(turns, PROXY) as here:
        turns.is_spent = True
        flooder, friend = await here.connect(PROXY), await here.connect(PROXY)
        flooder.writer.write(http_request("GET", "/nowhere", X_Forwarded_For=f"192.0.2.9, {FLOODER}"))
        await until(lambda: turns.waiting)
        assert (await friend.request("GET", "/nowhere", X_Forwarded_For=FRIEND)).status == 404
        assert (await friend.request("GET", "/nowhere")).status == 404  # the proxy's own
        turns.waiting[0].set_result(None)
        assert (await flooder.answer()).status == 404


async def test_behind_a_proxy_the_opening_of_a_websocket_waits_for_the_turn_of_the_client() -> None:
    turns, endpoint = Turns(), WebSocketEndpoint()
    async with serving(turns, PROXY, endpoint=endpoint) as here:
        turns.is_spent = True
        flooder, friend = await here.connect(PROXY), await here.connect(PROXY)
        flooder.writer.write(http_request("GET", "/ws", Upgrade="websocket", X_Forwarded_For=FLOODER))
        await until(lambda: turns.waiting)
        friend.writer.write(http_request("GET", "/ws", Upgrade="websocket", X_Forwarded_For=FRIEND))
        await until(lambda: endpoint.taken == 1)
        turns.waiting[0].set_result(None)
        await until(lambda: endpoint.taken == 2)


async def test_behind_a_proxy_a_client_that_leaves_before_its_turn_takes_none() -> None:
    turns, endpoint = Turns(), WebSocketEndpoint()
    turns.is_spent = True
    async with serving(turns, PROXY, endpoint=endpoint) as here:
        flooder = await here.connect(PROXY)
        flooder.writer.write(http_request("GET", "/ws", Upgrade="websocket", X_Forwarded_For=FLOODER))
        await until(lambda: turns.waiting)
    assert turns.waiting[0].done()
    assert not endpoint.taken


async def test_behind_a_proxy_the_first_request_is_paid_once_in_one_piece_or_in_two() -> None:
    turns = Turns()
    async with serving(turns, PROXY) as here:
        head = http_request("GET", "/nowhere", X_Forwarded_For=f"{FLOODER}, {FRIEND}")
        http = await here.connect(PROXY)
        http.writer.write(head)
        assert (await http.answer()).status == 404
        assert turns.steps == ACCEPT_STEPS + REQUEST_STEPS
        http.writer.write(head)
        assert (await http.answer()).status == 404
        assert turns.steps == ACCEPT_STEPS + 2 * REQUEST_STEPS
        late = await here.connect(PROXY)
        late.writer.write(head[:-20])
        await until(lambda: sum(getattr(c, "request", None) is not None for c in here.server._connections) == 2)
        late.writer.write(head[-20:])
        assert (await late.answer()).status == 404
        assert turns.steps == ACCEPT_STEPS + 3 * REQUEST_STEPS


@pytest.mark.parametrize(
    "start",
    [b"GET /nowhere HTTP/1.1\r\nHost: x\r\nX: ", http_request("POST", "/nowhere", b"", Content_Length="1000")],
    ids=["head", "body"],
)
async def test_each_read_has_its_price_and_waits_for_its_turn(start: bytes) -> None:
    turns = Turns()
    async with serving(turns) as here:
        flooder = await here.connect(FLOODER)
        flooder.writer.write(start)
        await until(lambda: turns.steps)
        for _ in range(5):
            before = turns.steps
            flooder.writer.write(b"x")
            await until(lambda before=before: turns.steps > before)
        turns.is_spent = True
        flooder.writer.write(b"x")
        await until(lambda: turns.waiting)
        flooder.writer.write(b"x")
        assert await here.status(FRIEND) == 404
        assert len(turns.waiting) == 1
        turns.is_spent = False
        turns.waiting[0].set_result(None)
        flooder.writer.write(b"\r\n\r\n" if b"GET" in start else b"x" * 993)
        assert (await flooder.answer()).status == 404


async def test_a_client_that_waits_for_its_turn_to_be_read_may_leave() -> None:
    turns = Turns()
    async with serving(turns) as here:
        flooder = await here.connect(FLOODER)
        flooder.writer.write(b"GET /nowhere HTTP/1.1\r\nX: ")
        await until(lambda: turns.steps)
        turns.is_spent = True
        flooder.writer.write(b"x")
        await until(lambda: turns.waiting)
        flooder.cut()
        assert here.server.open_connections(FLOODER) == 1
        turns.waiting[0].set_result(None)
        await until(lambda: here.server.open_connections(FLOODER) == 0)


@pytest.mark.parametrize("proxied", [False, True])
async def test_a_large_head_and_many_fields_cost_more(proxied: bool) -> None:
    turns = Turns()
    costs = []
    async with serving(turns, *([PROXY] if proxied else [])) as here:
        http = await here.connect(PROXY)
        await http.request(
            "GET", "/nowhere", None, X_Forwarded_For=FRIEND
        )  # the first one pays for the connection
        for more in ({}, {"X": "y" * 12_000}, {f"X{number}": "y" for number in range(90)}):
            turns.steps = 0
            assert (await http.request("GET", "/nowhere", None, X_Forwarded_For=FRIEND, **more)).status == 404
            costs.append(turns.steps)
    assert costs[1] > costs[0] + 600
    assert costs[2] > costs[0] + 60


async def test_a_head_of_many_lines_is_refused_before_it_is_whole() -> None:
    async with serving(Turns()) as here:
        flooder = await here.connect(FLOODER)
        flooder.writer.write(b"GET /nowhere HTTP/1.1\r\n" + b"X:\r\n" * 250)
        assert (await flooder.answer()).status == 431
