"""The second thread of a broadcast sends to other clients than the event loop's does, at the same time."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from chatio.realtime.broadcast.fanout import BLOCK, TICK_SECONDS
from chatio.realtime.close_reasons import NORMAL
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.packets import encode
from chatio.realtime.websocket.frames import close_frame
from tests.conftest import ExpectedLogs
from tests.unit.faults import fail_once
from tests.unit.realtime.broadcast.test_fanout import House, encode_event, let_helper_go_first, turns_until

WAIT_SECONDS = 10.0


class Sends:
    """Watches each send of a house: `threads` has the thread of each."""

    def __init__(self, house: House, then: Callable[[], Any] = lambda: None) -> None:
        self.threads: list[int] = []
        self._then = then
        for client in house.clients:
            client.server_side.before_send = self._seen

    def _seen(self) -> None:
        self.threads.append(threading.get_ident())
        self._then()


@pytest.fixture(autouse=True)
def helped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatio.realtime.broadcast.fanout.HELPED_CLIENTS", 2)


async def ready(house: House) -> None:
    """Have the clients take a broadcast, after which the next can be sent to them from either thread."""
    house.append(1)
    await house.settle()


async def test_two_threads_send_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    clients = [house.join() for _ in range(2)]
    await ready(house)
    both = threading.Barrier(2, timeout=WAIT_SECONDS)  # each send waits for another one
    sends = Sends(house, both.wait)
    later(monkeypatch)
    house.append(1)
    await house.settle()
    assert len(set(sends.threads)) == len(sends.threads) == 2
    assert [client.numbers for client in clients] == [[1, 2]] * 2
    house.close()


def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """From now on the loop's time moves by a minute, and by what the result is called with."""
    loop = asyncio.get_running_loop()
    now = loop.time() + 60

    def move(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(loop, "time", lambda: now)
    return move


async def test_fanout_that_is_busy_is_not_helped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broadcast took 2 s, and the next follows 1 s after it."""
    let_helper_go_first(monkeypatch, always=False)
    house = House()
    for _ in range(2):
        house.join()
    await ready(house)
    move = later(monkeypatch)
    sends = Sends(house, lambda: move(1))
    house.append(1)
    await house.settle()
    move(1)
    house.append(1)
    await house.settle()
    move(3)
    house.append(1)
    await house.settle()
    here = threading.get_ident()
    assert [thread == here for thread in sends.threads] == [False, False, True, True, False, False]
    house.close()


@pytest.mark.parametrize(("worked_seconds", "is_helped"), [(5, True), (7, False)])
async def test_fanout_of_an_event_loop_that_is_busy_is_not_helped(
    worked_seconds: float, is_helped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the minute since the last broadcast."""
    let_helper_go_first(monkeypatch, always=False)
    worked = 100.0
    monkeypatch.setattr("chatio.realtime.broadcast.fanout.thread_time", lambda: worked)
    house = House()
    for _ in range(2):
        house.join()
    await ready(house)
    sends = Sends(house)
    later(monkeypatch)
    worked += worked_seconds
    house.append(1)
    await house.settle()
    assert [thread != threading.get_ident() for thread in sends.threads] == [is_helped] * 2
    house.close()


async def test_broadcast_to_few_clients_is_not_helped(monkeypatch: pytest.MonkeyPatch) -> None:
    let_helper_go_first(monkeypatch)
    monkeypatch.setattr("chatio.realtime.broadcast.fanout.HELPED_CLIENTS", 3)
    house = House()
    for _ in range(2):
        house.join()
    await ready(house)
    sends = Sends(house)
    house.append(1)
    await house.settle()
    assert sends.threads == [threading.get_ident()] * 2
    house.close()


async def test_entries_are_delivered_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    house = House()
    clients = [house.join() for _ in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", cannot)
        await ready(house)
    sends = Sends(house)
    later(monkeypatch)
    house.append(1)
    await house.settle()
    assert [client.numbers for client in clients] == [[1, 2]] * 3
    assert set(sends.threads) == {threading.get_ident()}
    house.close()


async def test_what_a_client_did_not_take_of_the_helper_goes_before_all_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_helper_go_first(monkeypatch)
    house = House()
    slow, quick = house.join(), house.join()
    await ready(house)
    slow.reads = False
    house.append(1, size=20_000)  # more than its socket holds
    await house.settle()
    assert slow.connection.websocket is not None
    assert 0 < slow.connection.websocket.pending_output_bytes < 20_000
    house.say(slow, 7)
    house.append(1)
    slow.reads = True
    await house.settle()
    assert slow.numbers == quick.numbers == [1, 2, 3]
    assert slow.own == slow.expected_own == [(7, 2)]
    house.close()


async def test_helper_has_ended_when_the_tick_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would send beside all that the event loop does."""
    house = House()
    for _ in range(2):
        house.join()
    await ready(house)
    both, is_over, was_over = threading.Barrier(2, timeout=WAIT_SECONDS), threading.Event(), []
    here = threading.get_ident()

    def send() -> None:
        both.wait()
        if threading.get_ident() != here:
            was_over.append(is_over.wait(0.2))

    Sends(house, send)
    later(monkeypatch)
    house.append(1)
    await asyncio.sleep(0)
    is_over.set()
    assert was_over == [False]
    house.close()


@pytest.mark.parametrize("are_ready", [False, True])
async def test_tick_with_slow_sends_ends_in_time(are_ready: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatio.realtime.broadcast.fanout.HELPED_CLIENTS", 1000)
    house = House()
    for _ in range(200):
        house.join()
    if are_ready:
        await ready(house)
    move = later(monkeypatch)
    sends = Sends(house, lambda: move(0.001))
    house.append(1)
    await asyncio.sleep(0)
    assert TICK_SECONDS <= len(sends.threads) * 0.001 <= TICK_SECONDS + BLOCK * 0.001
    await house.settle()
    assert len(sends.threads) == 200
    house.close()


async def test_client_that_is_ready_is_not_sent_the_volatile_packet_that_leaves_it_out() -> None:
    house = House()
    left_out, other = house.join(), house.join()
    await ready(house)
    house.fanout.send_volatile(encode('4["own",7]'), but=left_out.connection)
    other.expected_own.append((7, 1))
    await house.settle()
    house.append(1)
    await house.settle()
    assert (left_out.own, other.own) == ([], [(7, 1)])
    assert left_out.numbers == other.numbers == [1, 2]
    house.close()


async def test_broadcast_goes_behind_the_rest_of_the_packet_that_a_client_is_taking() -> None:
    house = House()
    client = house.join()
    await ready(house)
    client.connection.write(encode(f'4["own",7,"{"x" * 20_000}"]'))
    client.expected_own.append((7, 1))
    client.take(client.sock.recv(4096))  # its socket has room again, and the event loop does not know yet
    house.append(1)
    await house.settle()
    assert client.own == client.expected_own
    assert client.numbers == [1, 2]
    house.close()


@pytest.mark.parametrize("size", [10, 20_000])
@pytest.mark.parametrize("is_entry", [False, True])
async def test_client_that_closes_is_sent_no_broadcast_behind_its_close_frame(size: int, is_entry: bool) -> None:
    """It is a member until its handlers have run."""
    house = House()
    leaving, other = house.join(), house.join()
    await ready(house)
    leaving.reads = False
    if is_entry:
        house.append(1, size)
        await house.settle()
        last = encode_event([2, "x" * size])
    else:
        last = encode(f'4["own",7,"{"x" * size}"]')
        leaving.connection.write(last)
    leaving.connection.drop("client disconnect")
    house.append(1)
    await asyncio.sleep(0)
    received = leaving.sock.recv(4096)
    house.append(1)
    await house.settle()
    assert other.numbers[-1] == house.log.head
    while part := await asyncio.wait_for(asyncio.get_running_loop().sock_recv(leaving.sock, 4096), WAIT_SECONDS):
        received += part
    assert received == last.frame + close_frame(NORMAL)
    house.close()


async def test_client_that_closes_slowly_is_no_slow_client() -> None:
    house = House(slow_seconds=0.05)
    leaving, other = house.join(), house.join()
    await ready(house)
    leaving.reads = False
    leaving.connection.write(encode(f'4["own",7,"{"x" * 20_000}"]'))
    leaving.connection.drop("client disconnect")
    house.append(1)
    await house.settle()
    assert other.numbers == [1, 2]
    with pytest.raises(TimeoutError):  # twice the time after which a slow client is dropped
        await asyncio.wait_for(turns_until(lambda: house.fanout.dropped.total() > 0), 0.1)
    house.close()


async def test_client_amid_a_frame_has_the_rest_of_it_although_another_cannot_be_closed(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect(f"delivery failed: {error.__name__}")
    let_helper_go_first(monkeypatch)
    house = House()
    broken, slow = house.join(), house.join()
    await ready(house)
    broken.server_side.error = error
    fail_once(monkeypatch, Connection, "abort", error)
    slow.reads = False
    house.append(1, size=20_000)
    await asyncio.sleep(0)
    slow.take(slow.sock.recv(4096))
    house.say(slow, 7)  # while the fan-out waits before it tries again
    slow.reads = True
    broken.reads = False
    await house.settle()
    assert slow.numbers == [1, 2]
    assert slow.own == slow.expected_own
    house.close()


async def test_nothing_is_sent_into_a_frame_whose_rest_the_event_loop_could_not_watch(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with ENOSPC of epoll_ctl(2): the packet after it waits, too."""
    house = House()
    client = house.join()
    await ready(house)
    own = encode(f'4["own",7,"{"x" * 20_000}"]')
    client.reads = False
    with monkeypatch.context() as patch:
        fail_once(patch, asyncio.get_running_loop(), "add_writer", error)
        with pytest.raises(error):
            client.connection.write(own)
    received = client.sock.recv(4096)
    house.append(1)
    await asyncio.sleep(0)
    while len(received) < len(own.frame):
        try:
            received += client.sock.recv(4096)
        except BlockingIOError:
            break
    assert received == own.frame[: len(received)]
    house.close()
