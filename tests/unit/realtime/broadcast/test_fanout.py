"""Cursors on real sockets: whatever happens, each client reads one gapless run of the one order."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tornado.ioloop import IOLoop

from chatio.log.message_log import Entry, MessageLog
from chatio.realtime import create_server
from chatio.realtime.broadcast.cursor import Cursor, EncodedLog
from chatio.realtime.broadcast.fanout import CHUNKS_SECONDS, TICK_SECONDS, Fanout
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.packets import EncodedPacket, encode
from chatio.realtime.websocket.transport import WebSocket
from chatio.stores.records import Kind, Message


def message(number: int, size: int = 10) -> Message:
    return Message(f"id {number}", "x" * size, "1", "Ann", "10:00", "2026-01-01T00:00:00.000Z")


def event(entry: Entry) -> list[Any]:
    return [entry.sequence, entry.message.content]


def encode_event(event: list[Any]) -> EncodedPacket:
    return encode("4" + json.dumps(event))


def payloads(data: bytearray) -> Iterator[str]:
    """The texts of the whole frames at the beginning of `data`, which are removed from it."""
    while len(data) >= 2:
        size, at = data[1], 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(data[2 : 2 + width]), 2 + width
        if len(data) < at + size:
            return
        yield data[at : at + size].decode()
        del data[: at + size]


@dataclass
class Client:
    """The far end of a connection: what it has read, when it does read."""

    sock: socket.socket
    connection: Connection
    cursor: Cursor
    start: int
    reads: bool = True
    numbers: list[int] = field(default_factory=list)
    own: list[tuple[int, int]] = field(default_factory=list)  # (what it is, entries read before it)
    expected_own: list[tuple[int, int]] = field(default_factory=list)
    _data: bytearray = field(default_factory=bytearray)

    @property
    def server_side(self) -> "_Plain":
        """The server's end of the connection."""
        assert self.connection.websocket is not None
        return cast("_Plain", self.connection.websocket.sock)

    def read(self) -> None:
        while self.reads:
            try:
                data = self.sock.recv(1 << 16)
            except (BlockingIOError, ConnectionError):
                break
            if not data:
                break
            self.take(data)

    def take(self, data: bytes) -> None:
        self._data += data
        for text in payloads(self._data):
            kind, value = json.loads(text[1:])[:2]
            if kind == "own":
                self.own.append((value, self.start + len(self.numbers)))
            elif isinstance(kind, int):
                self.numbers.append(kind)


class House:
    """A log, its fan-out, and any number of clients on socket pairs with small buffers."""

    def __init__(
        self,
        *,
        max_messages: int = 10_000,
        slow_seconds: float = 30.0,
        encode: Callable[[list[Any]], EncodedPacket] = encode_event,
    ) -> None:
        self.server, _ = create_server()
        self.log = MessageLog(max_messages=max_messages)
        self.fanout = Fanout(EncodedLog(self.log, event, encode), slow_seconds=slow_seconds)
        self.clients: list[Client] = []

    def append(self, count: int = 1, size: int = 10) -> None:
        for _ in range(count):
            self.log.append(message(self.log.head + 1, size))
            self.fanout.wake()

    def join(self, back: int = 0) -> Client:
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        start = max(self.log.head - back, self.log.tail)
        connection = self.server.eio.admit("192.0.2.1")
        connection.use_websocket(_UnixWebSocket(ours, self.server.eio.lingering))
        cursor = connection.subscription = self.fanout.join(connection, self.log.head - back)
        client = Client(theirs, connection, cursor, start)
        self.clients.append(client)
        return client

    def leave(self, client: Client) -> None:
        """The client leaves the namespace; its connection stays open."""
        client.connection.subscription = None
        self.fanout.leave(client.cursor)

    def say(self, client: Client, value: int) -> None:
        """Something for this client alone."""
        if not client.connection.closing and not client.cursor.is_closed:
            client.expected_own.append((value, self.log.head))
            client.connection.write(encode("4" + json.dumps(["own", value])))

    async def settle(self, seconds: float = 10.0) -> None:
        """Return when each client that reads has all there is."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not all(self._is_settled(client) for client in self.clients):
            assert asyncio.get_running_loop().time() < deadline, "not settled"
            await asyncio.sleep(0)

    def _is_settled(self, client: Client) -> bool:
        client.read()
        if not client.reads or client.cursor.is_closed:
            return True
        everything = client.start + len(client.numbers) == self.log.head
        return everything and len(client.own) == len(client.expected_own)

    def close(self) -> None:
        for client in self.clients:
            self.leave(client)
            client.connection.abort()
            client.sock.close()


class _UnixWebSocket(WebSocket):
    """A pair of Unix sockets has no Nagle to turn off, and small buffers that stay small."""

    def __init__(self, sock: socket.socket, lingering: Any) -> None:
        super().__init__(_Plain(sock), lingering)  # type: ignore[arg-type]


class _Plain:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.sends: list[int] = []
        self.error: type[Exception] | None = None  # that each send raises
        self.before_send: Callable[[], Any] = lambda: None

    def send(self, data: bytes) -> int:
        self.before_send()
        self.sends.append(len(data))
        if self.error is not None:
            raise self.error
        return self._sock.send(data)

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if level != socket.IPPROTO_TCP:
            self._sock.setsockopt(level, option, value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 40), st.sampled_from([1, 200, 5000, 70_000])),
    st.tuples(st.just("join"), st.integers(0, 60), st.just(0)),
    st.tuples(st.just("stall"), st.integers(0, 7), st.just(0)),
    st.tuples(st.just("resume"), st.integers(0, 7), st.just(0)),
    st.tuples(st.just("leave"), st.integers(0, 7), st.just(0)),
    st.tuples(st.just("say"), st.integers(0, 7), st.integers(0, 999)),
    st.tuples(st.just("turn"), st.integers(1, 4), st.just(0)),
)


async def play(house: House, steps: list[tuple[str, int, int]]) -> None:
    for name, first, second in steps:
        if name == "append":
            house.append(first, second)
        elif name == "join" and len(house.clients) < 8:
            house.join(first)
        elif name == "turn":
            for _ in range(first):
                await asyncio.sleep(0)
                for client in house.clients:
                    client.read()
        elif house.clients:
            client = house.clients[first % len(house.clients)]
            if name == "leave":
                house.leave(client)
            elif name == "say":
                house.say(client, second)
            else:
                client.reads = name == "resume"
    for client in house.clients:
        client.reads = True
    await house.settle()


def let_helper_go_first(patch: pytest.MonkeyPatch, *, always: bool = True) -> None:
    """The second thread helps, `always` or as often as it would, and this one sends what is left to do then."""
    patch.setattr("chatio.realtime.broadcast.fanout.HELPED_CLIENTS", 1)
    ask = Fanout._ask_helper

    def ask_and_wait(self: Fanout, *args: Any) -> Any:
        self._is_helped = self._is_helped or always
        helping = ask(self, *args)
        if helping is not None:
            wait([helping])
        return helping

    patch.setattr(Fanout, "_ask_helper", ask_and_wait)


@pytest.mark.parametrize("is_helped", [False, True])
@given(steps=st.lists(STEPS, max_size=60), max_messages=st.sampled_from([30, 100, 10_000]))
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_every_client_reads_one_gapless_run(
    is_helped: bool, steps: list[tuple[str, int, int]], max_messages: int
) -> None:
    asyncio_loop = asyncio.new_event_loop()
    loop = IOLoop(asyncio_loop=asyncio_loop, make_current=False)

    async def run() -> House:
        house = House(max_messages=max_messages)
        await play(house, steps)
        for client in house.clients:
            first, count = client.start + 1, len(client.numbers)
            assert client.numbers == list(range(first, first + count))
            if not client.cursor.is_closed:  # neither left nor dropped
                assert first + count - 1 == house.log.head
                assert client.own == client.expected_own
        house.close()
        await house.server.eio.disconnect()
        return house

    with pytest.MonkeyPatch.context() as patch:
        if is_helped:
            let_helper_go_first(patch)
        try:
            house = loop.run_sync(run)
            assert house.server.eio.sockets == {}
        finally:
            loop.close(all_fds=True)


async def turns_until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_entries_of_one_tick_are_one_send() -> None:
    house = House()
    client = house.join()
    await asyncio.sleep(0)
    house.append(20)
    await house.settle()
    assert client.numbers == list(range(1, 21))
    assert len(client.server_side.sends) == 1
    house.close()


async def test_volatile_packet_goes_to_caught_up_clients_alone() -> None:
    house = House()
    quick, slow, left_out = house.join(), house.join(), house.join()
    await house.settle()
    slow.reads = False
    house.append(30, size=5000)
    await house.settle()
    quick.expected_own.append((7, 31))
    house.fanout.send_volatile(encode("4" + json.dumps(["own", 7])), but=left_out.connection)
    house.append(1)
    slow.reads = True
    await house.settle()
    assert [client.own for client in house.clients] == [[(7, 31)], [], []]
    assert all(client.numbers == list(range(1, 32)) for client in house.clients)
    house.close()


async def test_client_that_fell_off_the_log_is_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    house = House(max_messages=50)
    slow, quick = house.join(), house.join()
    slow.reads = False
    for _ in range(60):
        house.append(5, size=5000)
        await house.settle()
    assert slow.connection.closing
    assert house.fanout.dropped["fell_off_log"] == house.fanout.dropped.total() == 1
    assert quick.numbers == list(range(1, 301))
    (line,) = [record.getMessage() for record in caplog.records if "slow client" in record.getMessage()]
    assert line.startswith("slow client at 192.0.2.1 dropped, ")
    assert line.endswith(" messages behind: fell off the log")
    house.close()


async def test_client_that_takes_nothing_in_time_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    house = House(slow_seconds=0.05)
    slow = house.join()
    slow.reads = False
    house.append(1, size=100_000)
    await asyncio.wait_for(turns_until(lambda: slow.connection.closing), 5)
    assert house.fanout.dropped["took_nothing"] == house.fanout.dropped.total() == 1
    assert "took nothing for 0.05 s" in caplog.text
    house.close()


async def test_client_that_reads_slowly_is_kept() -> None:
    """Too little for the kernel to ask for more, and something all the same."""
    house = House(slow_seconds=0.3)
    slow = house.join()
    slow.reads = False
    house.append(1, size=400_000)
    for _ in range(5):
        await asyncio.sleep(0.2)  # the time that is named, in two thirds
        slow.sock.recv(5000)
    assert not slow.connection.closing
    house.close()


async def test_slow_client_holds_no_more_than_one_chunk() -> None:
    house = House()
    slow = house.join()
    slow.reads = False
    for _ in range(20):
        house.append(50, size=4000)
        await asyncio.sleep(0)
    assert slow.connection.websocket is not None
    assert 0 < slow.connection.websocket.pending_output_bytes <= 64 * 1024 + 5000
    slow.reads = True
    await house.settle()
    assert slow.numbers == list(range(1, 1001))
    house.close()


async def test_tick_ends_in_time_and_goes_on_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatio.realtime.broadcast.fanout.TICK_SECONDS", 0.0)
    house = House()
    clients = [house.join() for _ in range(200)]
    await asyncio.sleep(0)
    house.append(1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for client in clients:
        client.read()
    assert 0 < sum(len(client.numbers) for client in clients) < 200
    house.append(1)
    await house.settle()
    assert all(client.numbers == [1, 2] for client in clients)
    house.close()


async def test_clients_that_lag_have_a_part_of_each_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []
    give_chunks = Fanout._give_chunks

    def give(fanout: Fanout, clock: Callable[[], float], ends: float) -> bool:
        shares.append(ends - clock())
        return give_chunks(fanout, clock, ends)

    monkeypatch.setattr(Fanout, "_give_chunks", give)
    house = House()
    house.join()
    house.append(1)
    await house.settle()
    assert max(shares) <= CHUNKS_SECONDS < TICK_SECONDS / 2
    house.close()


async def test_deliveries_count_connections_that_have_left_too() -> None:
    house = House()
    house.append(10)
    early = house.join(back=4)
    house.join()
    house.append(3)
    await house.settle()
    house.leave(early)
    house.append(5)
    await house.settle()
    assert [len(client.numbers) for client in house.clients] == [7, 8]
    assert house.fanout.deliveries == 15
    house.close()
    assert house.fanout.deliveries == 15


async def test_each_entry_has_one_time_from_its_waking_to_the_last_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    house.join()
    house.append(40, size=5000)  # four broadcasts
    await house.settle()
    house.append(2)
    await house.settle()
    loop = asyncio.get_running_loop()
    house.append(1)
    later = loop.time() + 60
    monkeypatch.setattr(loop, "time", lambda: later)
    await asyncio.sleep(0)
    monkeypatch.undo()
    await house.settle()
    times = house.fanout.times.cumulated()
    assert times[-1] == (float("inf"), 43)
    assert times[-2] == (10.0, 42)
    assert 60 < house.fanout.times.sum < 120
    house.close()


async def test_client_that_leaves_during_a_broadcast_gets_no_more_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is it closed as slow for entries that it was never to get."""
    monkeypatch.setattr("chatio.realtime.broadcast.fanout.TICK_SECONDS", 0.0)
    house = House(slow_seconds=0.05)
    clients = [house.join() for _ in range(100)]
    full, last = clients[-2:]
    full.reads = False
    websocket: Any = full.connection.websocket
    while websocket.offer(encode("4" + "x" * 10_000).frame):  # its socket takes no more
        pass
    house.append(1)
    await asyncio.sleep(0)  # the first 32 are served, and the tick is over
    assert 0 < sum(bool(client.cursor.sequence) for client in clients) < 98
    for client in (full, last):
        house.leave(client)
    assert house.fanout.deliveries < 98
    house.append(1)
    await house.settle()
    assert house.fanout.deliveries == 2 * 98
    last.read()
    assert last.numbers == []
    with pytest.raises(TimeoutError):  # twice the time after which a slow client is dropped
        await asyncio.wait_for(turns_until(lambda: full.connection.closing), 0.1)
    assert house.fanout.dropped.total() == 0
    house.close()


async def test_history_is_encoded_once_for_all_clients_that_start_at_the_same_place() -> None:
    encoded: Counter[int] = Counter()

    def encode_once(event: list[Any]) -> EncodedPacket:
        encoded[event[0]] += 1
        return encode_event(event)

    house = House(encode=encode_once)
    for number in range(1, 31):  # before the fan-out begins, as after a restart
        house.log.append(message(number))
    house.fanout = Fanout(EncodedLog(house.log, event, encode_once), slow_seconds=30.0)
    clients = [house.join(back=20) for _ in range(50)]
    await house.settle()
    assert [client.numbers for client in clients] == [list(range(11, 31))] * 50
    assert set(encoded.values()) == {1}
    house.append(1)
    late = house.join(back=21)  # where the others started; the log has gone on
    await house.settle()
    assert late.numbers == list(range(11, 32))
    house.close()


@pytest.mark.parametrize("kind", [Kind.EDITED, Kind.DELETED])
def test_client_that_starts_where_others_did_is_not_sent_what_was_changed_since(kind: Kind) -> None:
    log = MessageLog()
    for number in range(1, 6):
        log.append(message(number, 20_000))
    encoded = EncodedLog(log, event, encode_event)
    before = encoded.run(0)
    changed = message(2)
    log.append(changed, kind)
    encoded.encode_new(0)
    after = encoded.run(0)
    assert before.packets[0] == after.packets[0]
    assert before.packets[1] not in after.packets


def test_client_that_comes_after_a_thousand_edits_of_a_message_is_sent_few_packets() -> None:
    """Each was a packet: 567 GETs of a polling client, and 7 ms for each client, after 9,000 edits."""
    log = MessageLog()
    encoded = EncodedLog(log, lambda entry: None if entry.kind is Kind.VOID else event(entry), encode_event)
    log.append(message(1))
    log.append(message(2))
    for size in range(1000):
        log.append(message(1, size), Kind.EDITED)
        encoded.encode_new(log.head)
    assert [number for number, _ in encoded.read(0)] == [1, 2, 1001, 1002]
    assert [number for number, _ in encoded.read(500)] == [1001, 1002]
    run = encoded.run(0)
    assert (run.end, len(run.packets)) == (1002, 4)
    log.append(message(1), Kind.DELETED)
    encoded.encode_new(log.head)
    assert [number for number, _ in encoded.read(2)] == [1002, 1003]
