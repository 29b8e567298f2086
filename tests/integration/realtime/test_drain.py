"""Draining: which clients are closed when, and what they have received by then."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from chatio.realtime import LogStart, RealtimeOptions, Server, create_server
from chatio.realtime.engineio import drain
from chatio.realtime.engineio.drain import CLOSES_PER_SECOND, UNHEARD_SECONDS
from chatio.realtime.engineio.packets import encode
from chatio.server.shutdown import Handover
from tests.client.wire import (
    SOCKET_IO,
    Closed,
    Http,
    Ws,
    client_frame,
    join,
    leftovers,
    open_polling,
    open_ws,
    request,
    serving,
    until,
)

SECONDS = 4.0
ENTRY_BYTES = 50_000


class Entry:
    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.changed = ()


class NumberLog:
    """A log whose entries are their numbers."""

    head = tail = 0

    def read(self, after: int, *, limit: int | None = None) -> Sequence[Entry]:
        last = self.head if limit is None else min(self.head, after + limit)
        return [Entry(number) for number in range(after + 1, last + 1)]

    def void_until(self, sequence: int) -> int:
        return sequence


class KeptPort(Handover):
    """Of a port that the test keeps, for as long as it says that a client may come."""

    def __init__(self) -> None:
        self.port_is_closed = asyncio.Event()
        self.may_come = True

    def close_port(self) -> None:
        self.port_is_closed.set()

    def may_bring_clients(self) -> bool:
        return self.may_come


class House:
    def __init__(self, server: Server, port: int) -> None:
        self.server, self.port = server, port
        self.log = NumberLog()
        self.fanout = server.create_fanout(
            "/chat", self.log, lambda entry: ["said", entry.sequence, "." * ENTRY_BYTES]
        )

        self.sids: list[str] = []

        async def connect(sid: str, environ: Any, auth: Any = None) -> LogStart:
            self.sids.append(sid)
            return LogStart(0, "pid")

        server.on("connect", connect, "/chat")

    def say(self, count: int) -> None:
        self.log.head += count
        self.fanout.wake()


@pytest.fixture
def home(io_loop: IOLoop) -> Iterator[House]:
    """A server that no client may be left on."""
    server, handler = create_server()
    running = serving(handler)
    yield House(server, io_loop.run_sync(running.__aenter__))
    io_loop.run_sync(lambda: until(lambda: not leftovers(server)))
    io_loop.run_sync(lambda: running.__aexit__(None, None, None))


async def join_by_polling(home: House) -> tuple[str, Http]:
    """The target of a session that has asked to join, and a connection for its GETs."""
    target = await open_polling(home.port, SOCKET_IO)
    await request(home.port, "POST", target, b"40/chat,")
    return target, await Http.open(home.port)


async def numbers_until_closed(ws: Ws) -> tuple[list[int], int | None]:
    numbers: list[int] = []
    while True:
        try:
            packet = str(await ws.receive())
        except Closed as end:
            return numbers, end.code
        if packet.startswith('42/chat,["said"'):
            numbers.append(int(packet.split(",")[2]))


def read_slowly(ws: Ws) -> None:
    """Take little, so that the rest has to wait at the server."""
    transport = ws.http.writer.transport
    transport.pause_reading()  # type: ignore[attr-defined]


def read_on(ws: Ws) -> None:
    ws.http.writer.transport.resume_reading()  # type: ignore[attr-defined]


async def test_client_leaves_after_all_that_was_accepted(home: House) -> None:
    quick, slow = await join(home.port, "/chat"), await join(home.port, "/chat")
    read_slowly(slow)
    home.say(400)  # 20 MB, more than the kernel keeps for a client
    leaving = asyncio.ensure_future(home.server.shut_down(SECONDS))
    assert await numbers_until_closed(quick) == (list(range(1, 401)), 1001)
    assert home.server.connections == 1
    read_on(slow)
    assert await numbers_until_closed(slow) == (list(range(1, 401)), 1001)
    quick.http.close()
    slow.http.close()
    await leaving


async def test_client_that_reads_nothing_does_not_delay_the_end_for_ever(home: House) -> None:
    deaf = await join(home.port, "/chat")
    read_slowly(deaf)
    home.say(400)
    await asyncio.wait_for(home.server.shut_down(0.5), SECONDS)
    assert home.server.connections == 0
    deaf.cut()


async def test_a_polling_client_is_told_by_the_get_that_waits_and_has_its_messages_first(home: House) -> None:
    target, http = await join_by_polling(home)
    assert '"sid"' in (await http.request("GET", target)).text
    home.say(2)
    leaving = asyncio.ensure_future(home.server.shut_down(SECONDS))
    await asyncio.sleep(0)  # it has begun
    assert (await request(home.port, "GET", f"{SOCKET_IO}polling")).status == 503
    assert (await http.request("GET", target)).text.count('"said"') == 2
    assert (await http.request("GET", target)).text == "6"  # and a 400 to the next one, see below
    await leaving
    http.close()


async def test_a_session_that_does_not_poll_is_waited_for_and_then_closed(home: House) -> None:
    target = await open_polling(home.port, SOCKET_IO)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await home.server.shut_down(SECONDS)
    assert loop.time() - began >= UNHEARD_SECONDS
    assert (await request(home.port, "GET", target)).status == 400


async def test_get_that_waits_is_answered_with_a_noop_and_the_next_one_with_400(home: House) -> None:
    """After a CLOSE python-engineio's client stays away for good; after a 400 each client comes back by itself."""
    target = await open_polling(home.port, SOCKET_IO)
    http = await Http.open(home.port)
    http.send("GET", target)
    (connection,) = home.server.eio.sockets.values()
    await until(lambda: connection.is_writable_now)
    leaving = asyncio.ensure_future(home.server.shut_down(SECONDS))
    assert (await http.answer()).text == "6"
    assert (await http.request("GET", target)).status == 400
    http.close()
    await leaving


@pytest.mark.parametrize(
    ("agent", "is_told"),
    [("okhttp/3.12.12", False), ("Chat/2.1 (Android 14) OkHttp/4.12.0", False), ("Mozilla/5.0", True)],
)
@pytest.mark.parametrize("is_upgrade", [False, True])
async def test_okhttp_sees_the_end_at_once_since_it_is_sent_no_close_frame(
    agent: str, is_told: bool, is_upgrade: bool, home: House
) -> None:
    """OkHttp stops reading at a close frame, and the official Java client then notices nothing for 45 s."""
    target = await open_polling(home.port, SOCKET_IO) if is_upgrade else f"{SOCKET_IO}polling"
    ws = await Ws.open(home.port, target.replace("polling", "websocket"), User_Agent=agent)
    if is_upgrade:
        ws.send("5")
    else:
        await ws.receive()
    await until(lambda: any(each.upgraded for each in home.server.eio.sockets.values()))
    leaving = asyncio.ensure_future(home.server.shut_down(SECONDS))
    assert await ws.http.closed() == (b"\x88\x02\x03\xe9" if is_told else b"")
    ws.http.close()
    await leaving


async def test_handshake_on_open_connection_after_the_port_closed_is_accepted(
    home: House,
) -> None:
    there = await join(home.port, "/chat")
    opened = [await Http.open(home.port) for _ in range(3)]
    handover = KeptPort()
    leaving = asyncio.ensure_future(home.server.shut_down(SECONDS, handover))
    await handover.port_is_closed.wait()
    assert await there.closed() == 1001
    ws = await Ws.over(opened[0], f"{SOCKET_IO}websocket")
    assert ws.status == 101
    assert str(await ws.receive()).startswith('0{"sid"')
    assert await ws.closed() == 1001
    welcome, goodbye = (answer := await opened[1].request("GET", f"{SOCKET_IO}polling")).text.split("\x1e")
    assert welcome.startswith('0{"sid"')
    assert goodbye == "1"
    assert answer.headers["connection"] == "close"
    sid = json.loads(welcome[1:])["sid"]
    after = await opened[2].request("GET", f"{SOCKET_IO}polling&sid={sid}")
    assert (after.status, after.headers["connection"]) == (400, "close")
    assert home.server.connections == 0
    assert not leaving.done()
    handover.may_come = False
    await leaving
    opened[1].close()
    opened[2].close()


async def test_polling_client_may_keep_its_connection_until_the_goodbye(home: House) -> None:
    target, http = await join_by_polling(home)
    handover = KeptPort()
    leaving = asyncio.ensure_future(home.server.shut_down(SECONDS, handover))
    await asyncio.sleep(0)  # it has begun
    assert "connection" not in (await http.request("GET", target)).headers
    goodbye = await http.request("GET", target)
    assert (goodbye.text, goodbye.headers["connection"]) == ("6", "close")
    await handover.port_is_closed.wait()
    handover.may_come = False
    await leaving
    http.close()


async def test_they_go_spread_over_time_and_in_another_order_than_they_came(home: House) -> None:
    sockets = [await join(home.port, "/chat") for _ in range(60)]
    order: list[int] = []

    async def watch(number: int) -> None:
        await sockets[number].closed()
        order.append(number)

    watching = [asyncio.ensure_future(watch(number)) for number in range(60)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    await home.server.shut_down(SECONDS)
    await asyncio.gather(*watching)
    assert loop.time() - began >= 59 / CLOSES_PER_SECOND
    assert sorted(order) == list(range(60))
    neighbours = sum(abs(one - other) == 1 for one, other in pairwise(order))
    assert neighbours < 30  # of 59, were they to go as they came, or the other way round


async def test_client_that_is_drained_at_once_gets_the_last_message(home: House) -> None:
    ws = await join(home.port, "/chat")
    home.say(1)
    home.server.drain_now(home.sids[0], "/chat")  # in the same turn of the loop
    leaving = asyncio.ensure_future(home.server.shut_down(SECONDS))
    assert await numbers_until_closed(ws) == ([1], 1001)
    ws.http.close()
    await leaving


async def test_client_that_is_drained_at_once_leaves_before_the_others(home: House) -> None:
    ws, other = await join(home.port, "/chat"), await join(home.port, "/chat")
    home.server.drain_now(home.sids[0], "/chat")
    assert await ws.closed() == 1001
    assert home.server.connections == 1
    other.close()


async def test_a_polling_client_that_is_let_go_gets_the_ack_of_a_moment_ago(home: House) -> None:
    target, http = await join_by_polling(home)
    assert '"sid"' in (await http.request("GET", target)).text
    (connection,) = home.server.eio.sockets.values()
    http.send("GET", target)
    await until(lambda: connection.is_writable_now)
    connection.write(encode("443/chat,1[]"))
    home.server.drain_now(home.sids[0], "/chat")  # in the same turn of the loop
    leaving = asyncio.ensure_future(home.server.shut_down(SECONDS))
    assert (await http.answer()).text == "443/chat,1[]"
    assert (await http.request("GET", target)).text == "6"
    await leaving
    http.close()


LONG_SECONDS = 100.0  # a drain that waits for a flood takes most of it, and the tests less than a tenth


@pytest.fixture
def one_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "CLOSES_PER_SECOND", 1)


async def drained_before(home: House, seconds: float) -> bool:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await home.server.shut_down(LONG_SECONDS)
    return loop.time() - began < seconds


async def test_clients_that_have_not_signed_in_take_no_part_of_the_grace(home: House, one_a_second: None) -> None:
    strangers = [await open_ws(home.port) for _ in range(30)]
    assert await drained_before(home, 20)
    for stranger in strangers:
        assert await stranger.closed() == 1001


async def test_output_of_a_client_that_has_not_signed_in_is_not_waited_for(io_loop: IOLoop) -> None:
    server, handler = create_server(RealtimeOptions(ping_interval=0.01))
    async with serving(handler) as port:
        home = House(server, port)
        await open_polling(port, SOCKET_IO)
        (session,) = server.eio.sockets.values()
        await until(lambda: not session.is_flushed)  # it never takes its ping
        assert await drained_before(home, 20)
    assert not leftovers(server)


async def test_a_flood_of_members_takes_no_part_of_the_grace_and_has_its_messages(
    one_a_second: None, io_loop: IOLoop
) -> None:
    options = RealtimeOptions(input_bytes_per_second=1e9, input_burst_bytes=10**9)
    server, handler = create_server(options)
    async with serving(handler) as port:
        home = House(server, port)
        flooders = [await join(port, "/chat") for _ in range(30)]
        for each in flooders:
            each.raw(client_frame(9, b"") * 20_000)
        await until(lambda: all(each.is_flooding for each in server.eio.sockets.values()))
        home.say(3)
        reading = [asyncio.ensure_future(numbers_until_closed(each)) for each in flooders]
        assert await drained_before(home, 20)
        assert await asyncio.gather(*reading) == [([1, 2, 3], 1001)] * 30
        for each in flooders:
            each.http.close()
    assert not leftovers(server)
