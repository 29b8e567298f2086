"""Input budgets on the wire: a flood is read slowly, others are not, and in the end it is closed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from chatio.realtime import RealtimeOptions, Server, create_server
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.limits import UNCHARGED_STEPS
from chatio.throttling.client_ip import parse_networks
from chatio.throttling.input_budget import Allowance, Budget, BudgetPool
from tests.client.wire import (
    SOCKET_IO,
    Http,
    Ws,
    client_frame,
    leftovers,
    open_polling,
    open_ws,
    request,
    serving,
    soon,
    text,
    until,
)

FLOODER, FRIEND = "198.51.100.1", "198.51.100.2"
PINGS = client_frame(9, b"") * 10_000


@asynccontextmanager
async def budgeted(**options: Any) -> AsyncIterator[tuple[Server, int]]:
    """A server that gives an address 400 steps a second, and 10 more for each member; ten times that at once."""
    server, handler = create_server(
        RealtimeOptions(
            trusted_proxies=parse_networks(["127.0.0.1"]),
            input_bytes_per_second=1e9,
            input_burst_bytes=10**9,
            **options,
        )
    )
    for pool in (server.eio.strangers, server.eio.members):
        pool.allowance = pool.allowance._replace(address_steps=400, client_steps=10)
    server.on("connect", lambda sid, environ: None, namespace="/chat")
    server.on("echo", lambda sid, *args: args, namespace="/chat")
    async with serving(handler) as port:
        yield server, port
    assert not leftovers(server)


async def websocket(port: int, address: str, *, joins: bool = False) -> Ws:
    ws = await Ws.open(port, f"{SOCKET_IO}websocket", X_Forwarded_For=address)
    assert ws.status == 101
    await ws.receive()
    if joins:
        ws.send("40/chat,")
        assert str(await ws.receive()).startswith("40/chat,")
    return ws


def connections(server: Server, address: str) -> list[Connection]:
    return [connection for connection in server.eio.sockets.values() if connection.address == address]


@pytest.mark.parametrize("signed_in", [False, True])
@pytest.mark.parametrize(
    "unit",
    [client_frame(9, b""), client_frame(10, b""), text("3"), text("6"), client_frame(0, b"", fin=False)],
    ids=["ping", "pong", "heartbeat", "noop", "fragment"],
)
async def test_address_that_floods_is_read_slowly_and_others_at_once(unit: bytes, signed_in: bool) -> None:
    async with budgeted() as (server, port):
        flooders = [await websocket(port, FLOODER, joins=signed_in) for _ in range(3)]
        friend = await websocket(port, FRIEND, joins=True)
        start = client_frame(1, b"6", fin=False) if unit == client_frame(0, b"", fin=False) else b""
        for flooder in flooders:
            flooder.raw(start + unit * 10_000)
        budget = connections(server, FLOODER)[0].budget
        await until(lambda: budget.is_spent and len(budget.waiting) >= 2)
        assert sum(connection.is_paused for connection in connections(server, FLOODER)) >= 2
        friend.send('42/chat,1["echo",1]')
        assert await friend.receive() == "43/chat,1[1]"
        assert budget.is_spent
        for flooder in flooders:
            flooder.cut()
        friend.close()


async def test_members_at_the_address_of_a_strangers_flood_are_read_at_once() -> None:
    async with budgeted() as (server, port):
        flooder, member = await websocket(port, FLOODER), await websocket(port, FLOODER, joins=True)
        flooder.raw(PINGS)
        await until(lambda: connections(server, FLOODER)[0].budget.waiting)
        member.send('42/chat,1["echo",1]')
        assert await member.receive() == "43/chat,1[1]"
        flooder.cut()
        member.close()


async def test_client_that_was_read_slowly_loses_nothing() -> None:
    async with budgeted() as (server, port):
        ws = await websocket(port, FLOODER, joins=True)
        budget = connections(server, FLOODER)[0].budget
        budget.charge(4_100 + 200)  # what its address has at once, and half a second's
        ws.send(*(f'42/chat,{number}["echo",{number}]' for number in range(50)))
        await until(lambda: budget.waiting)
        assert [await ws.receive() for _ in range(50)] == [f"43/chat,{number}[{number}]" for number in range(50)]
        ws.close()


async def test_bytes_that_complete_no_frame_are_paid_for() -> None:
    async with budgeted() as (server, port):
        ws = await websocket(port, FLOODER, joins=True)
        (connection,) = connections(server, FLOODER)
        before = connection.budget.paid_at
        for _ in range(UNCHARGED_STEPS):
            connection.input_read(1, 0)
        assert connection.budget.paid_at > before
        ws.close()


async def test_while_clients_wait_for_the_pool_each_pays_at_once_for_what_it_sends() -> None:
    async with budgeted() as (server, port):
        ws = await websocket(port, FLOODER, joins=True)
        (connection,) = connections(server, FLOODER)
        paid = []
        for connection.budget.pool.is_contended in (False, True):
            before = connection.budget.paid_at
            connection.input_read(6, 1)
            paid.append(connection.budget.paid_at > before)
        assert paid == [False, True]
        ws.close()


async def test_what_comes_with_the_handshake_counts_too() -> None:
    async with budgeted() as (server, port):
        ws = await Ws.open(port, f"{SOCKET_IO}websocket", early=PINGS, X_Forwarded_For=FLOODER)
        await until(lambda: connections(server, FLOODER)[0].budget.is_spent)
        await until(lambda: connections(server, FLOODER)[0].is_paused)
        ws.cut()


async def test_a_client_that_is_closed_for_a_broken_rule_pays_for_it_and_the_next_one_waits() -> None:
    async with budgeted() as (server, port):
        budget, allowance = server.eio.strangers.of(FLOODER), server.eio.strangers.allowance
        server.eio.strangers.allowance = allowance._replace(address_steps=10, client_steps=0)
        first, second = await websocket(port, FLOODER), await websocket(port, FLOODER)
        first.send("2")
        await until(lambda: budget.is_spent)
        second.send("2")
        await until(lambda: budget.waiting)
        first.cut()
        second.cut()


async def test_what_a_closed_client_still_sends_counts_too() -> None:
    async with budgeted() as (server, port):
        budget, allowance = server.eio.strangers.of(FLOODER), server.eio.strangers.allowance
        ws = await websocket(port, FLOODER)
        server.eio.strangers.allowance = allowance._replace(address_steps=2)
        ws.raw(text("2") + bytes(1_000_000))
        await until(lambda: budget.is_spent)
        await until(lambda: not leftovers(server))
        ws.cut()


async def test_flood_that_goes_on_for_long_is_closed_with_a_reason_that_is_counted_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "chatio.realtime")
    monkeypatch.setattr("chatio.throttling.input_budget.FLOOD_SECONDS", 0.2)
    async with budgeted() as (server, port):
        flooder, friend = await websocket(port, FLOODER), await websocket(port, FRIEND, joins=True)
        flooder.raw(PINGS)
        assert await flooder.closed() == 1008
        assert server.eio.refusals["flood"] == 1
        assert caplog.records[-1].getMessage() == f"connection from {FLOODER} refused or closed: too many frames"
        assert connections(server, FRIEND)
        friend.close()


@pytest.mark.parametrize("kind", ["handshake", "GET", "POST", "unknown session", "preflight", "method"])
async def test_polling_requests_of_an_address_that_is_over_its_budget_wait(kind: str) -> None:
    async with budgeted() as (server, port):
        answer = await request(port, "GET", f"{SOCKET_IO}polling", X_Forwarded_For=FLOODER)
        sid = answer.text.split('"')[3]
        own, unknown = f"{SOCKET_IO}polling&sid={sid}", f"{SOCKET_IO}polling&sid=unknown"
        method, target, body = {
            "handshake": ("GET", f"{SOCKET_IO}polling", None),
            "GET": ("GET", own, None),
            "POST": ("POST", own, b"3"),
            "unknown session": ("GET", unknown, None),
            "preflight": ("OPTIONS", unknown, None),
            "method": ("PUT", unknown, b""),
        }[kind]
        budget = server.eio.strangers.of(FLOODER)
        budget.charge(4_000 + 120)  # what an address has at once, and 0.3 s of its rate
        http = await Http.open(port)
        http.send(method, target, body, X_Forwarded_For=FLOODER)
        await until(lambda: budget.waiting)
        assert budget.is_spent
        assert (await request(port, "GET", f"{SOCKET_IO}polling", X_Forwarded_For=FRIEND)).status == 200
        if kind == "GET":
            assert (await request(port, "POST", own, b"1", X_Forwarded_For=FRIEND)).status == 200
        assert (await http.answer()).status in (200, 204, 400)
        http.cut()


async def test_client_that_leaves_while_its_request_waits_leaves_nothing() -> None:
    async with budgeted() as (server, port):
        budget = server.eio.strangers.of(FLOODER)
        budget.charge(4_000 + 120)
        http = await Http.open(port)
        http.send("GET", f"{SOCKET_IO}polling", X_Forwarded_For=FLOODER)
        await until(lambda: budget.waiting)
        http.cut()
        await until(lambda: not budget.waiting)


async def test_upgrades_again_and_again_are_refused_and_the_session_goes_on() -> None:
    async with budgeted() as (server, port):
        target = await open_polling(port)
        websocket = target.replace("polling", "websocket")
        ws = await Ws.open(port, websocket)
        assert ws.status == 101
        ws.cut()
        await until(lambda: not server.eio.upgrades)
        server.eio.strangers.of("127.0.0.1").charge(4_000 + 60)
        assert (await Ws.open(port, websocket)).status == 503
        assert (await request(port, "POST", target, b"1")).status == 200


def pool(*, steps_at_once: float) -> BudgetPool:
    """A pool of 100,000 steps a second, in which no address spends its own budget."""
    return BudgetPool(Allowance(1e5, steps_at_once, address_steps=1e9, client_steps=0), is_on=True)


async def test_of_those_that_wait_the_address_that_used_least_goes_first() -> None:
    budgets, order = pool(steps_at_once=10), list[str]()

    def serve(budget: Budget) -> None:
        order.append(budget.key)
        budget.charge(15_000)

    for number in range(10):
        budgets.of(f"192.0.2.{number}").charge(15_000)
        budgets.of(f"192.0.2.{number}").wait(partial(serve, budgets.of(f"192.0.2.{number}")))
    friend = budgets.of("198.51.100.1")
    friend.charge(10)  # later than the others, and less
    friend.wait(partial(serve, friend))
    await until(lambda: order)
    assert order[0] == "198.51.100.1"


async def test_an_address_that_used_little_does_not_wait_for_those_that_used_much() -> None:
    budgets = pool(steps_at_once=1000)
    flooder, friend = budgets.of("192.0.2.1"), budgets.of("198.51.100.1")
    flooder.charge(2000)
    flooder.charge(100_000)  # a second of the pool
    assert not flooder.turn(10).done()
    assert friend.turn(10).done()


async def test_many_addresses_that_use_little_each_wait_too() -> None:
    budgets = pool(steps_at_once=1000)
    for number in range(20):
        budgets.of(f"192.0.2.{number}").charge(900)
    assert not budgets.of("198.51.100.1").turn(10).done()


async def test_pipelined_requests_of_a_client_that_is_gone_are_not_answered_one_by_one() -> None:
    """The server would go through all that Tornado has read ahead, also when it wants to end."""
    async with budgeted() as (server, port):
        budget = server.eio.strangers.of("127.0.0.1")
        budget.charge(4_000 + 60)
        http = await Http.open(port)
        for _ in range(500):
            http.send("GET", f"{SOCKET_IO}polling&sid=unknown")
        await until(lambda: budget.waiting)
        before = server.eio.refusals["unknown_session"]
        http.cut()
        await until(lambda: not budget.waiting)
        await asyncio.sleep(0)
        assert server.eio.refusals["unknown_session"] - before <= 1


async def test_polling_body_of_many_packets_waits_for_its_turns() -> None:
    async with budgeted() as (server, port):
        target = await open_polling(port)
        budget = server.eio.strangers.of("127.0.0.1")
        posting = asyncio.ensure_future(request(port, "POST", target, b"\x1e".join([b"3"] * 4_200)))
        await until(lambda: budget.waiting)
        assert not posting.done()
        assert (await soon(posting)).status == 200
        assert (await request(port, "POST", target, b"1")).status == 200


async def test_without_an_input_rate_nothing_is_budgeted() -> None:
    server, handler = create_server()
    async with serving(handler) as port:
        ws = await open_ws(port)
        ws.raw(client_frame(9, b"") * 50_000 + client_frame(9, b"last"))
        opcode, payload = 0, b""
        while payload != b"last":
            opcode, payload = await ws.frame()
        assert opcode == 10
        ws.close()
        assert not server.eio.strangers.of("127.0.0.1").waiting
