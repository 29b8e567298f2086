"""One exception in the fan-out ends nothing: it goes on for all clients but the one whose socket has failed."""

import asyncio
from typing import Any

import pytest

from chatio.realtime.broadcast.fanout import STALLED_SECONDS, Fanout
from chatio.realtime.engineio.packets import EncodedPacket
from chatio.realtime.engineio.packets import encode as encode_packet
from chatio.realtime.websocket.transport import WebSocket
from tests.conftest import ExpectedLogs
from tests.unit.faults import fail_once, failing
from tests.unit.realtime.broadcast import test_fanout
from tests.unit.realtime.broadcast.test_fanout import House, turns_until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatio.realtime.broadcast.fanout.RETRY_SECONDS", 0.001)


def assert_all_have_all(house: House, count: int) -> None:
    for client in house.clients:
        assert client.numbers == list(range(1, count + 1))
    assert house.fanout.deliveries == count * len(house.clients)
    assert house.fanout.times.cumulated()[-1][1] == count
    assert not house.fanout.is_stalled
    house.close()


@pytest.mark.parametrize("at", range(4))
async def test_entry_that_cannot_be_encoded_once_is_delivered_once(
    error: type[Exception], at: int, logs: ExpectedLogs
) -> None:
    logs.expect(f"delivery failed: {error.__name__}")
    house = House(encode=failing(test_fanout.encode_event, error, at=at))
    house.join()
    house.join()
    for _ in range(4):
        house.append(1)
    await house.settle()
    assert_all_have_all(house, 4)


async def test_log_that_cannot_be_read_once_is_delivered_once(error: type[Exception], logs: ExpectedLogs) -> None:
    logs.expect(f"delivery failed: {error.__name__}")
    house = House()
    house.join()
    house.log.read = failing(house.log.read, error)  # type: ignore[method-assign]
    house.append(3)
    await house.settle()
    assert_all_have_all(house, 3)


async def test_frames_that_cannot_be_joined_once_are_delivered_once(
    error: type[Exception], logs: ExpectedLogs
) -> None:
    logs.expect(f"delivery failed: {error.__name__}")

    class Frame(bytes):
        """One of them has no length."""

        def __len__(self) -> int:
            return int(measure())

    measure = failing(lambda: 20, error)

    def encode(event: list[Any]) -> EncodedPacket:
        packet = test_fanout.encode_event(event)
        return packet._replace(frame=Frame(packet.frame)) if event[0] == 2 else packet

    house = House(encode=encode)
    house.join()
    house.append(3)
    await house.settle()
    assert_all_have_all(house, 3)


@pytest.mark.parametrize("is_helped", [False, True])
async def test_socket_that_fails_in_a_broadcast_costs_its_client_alone(
    error: type[Exception], is_helped: bool, monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    """It is closed, so that the client comes back and recovers."""
    logs.expect(f"delivery to a client failed: {error.__name__}")
    if is_helped:
        test_fanout.let_helper_go_first(monkeypatch)
    house = House()
    first, broken, last = (house.join() for _ in range(3))
    house.append(1)
    await house.settle()
    broken.server_side.error = error
    house.append(2)
    await house.settle()
    house.append(1)
    await house.settle()
    assert broken.connection.closing
    assert broken.numbers == [1]
    assert first.numbers == last.numbers == [1, 2, 3, 4]
    house.close()


async def test_failure_to_close_a_client_costs_no_other_its_entries(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    """Also those that were not ready in the same block of clients."""
    logs.expect(f"delivery failed: {error.__name__}")
    house = House()
    broken, *others = (house.join() for _ in range(5))  # none is ready before its first broadcast
    broken.server_side.error = error
    fail_once(monkeypatch, Fanout, "_fail", error)
    house.append(2)
    broken.reads = False
    await house.settle()
    assert [client.numbers for client in others] == [[1, 2]] * 4
    house.close()


async def test_socket_that_fails_in_a_chunk_costs_its_client_alone(
    error: type[Exception], logs: ExpectedLogs
) -> None:
    logs.expect(f"delivery to a client failed: {error.__name__}")
    house = House()
    house.append(5)
    await house.settle()
    broken, other = house.join(back=3), house.join(back=4)
    broken.server_side.error = error
    await house.settle()
    assert broken.connection.closing
    assert other.numbers == [2, 3, 4, 5]
    house.close()


async def test_slow_client_is_judged_without_the_kernels_queue_where_it_is_not_to_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on macOS: the ioctl fails."""

    def unknown(_self: WebSocket) -> int:
        raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr(WebSocket, "unacknowledged_bytes", unknown)
    house = House(slow_seconds=0.2)
    slow, late, quick = (house.join() for _ in range(3))
    slow.reads = late.reads = False
    house.append(40, size=5000)
    await house.settle()
    late.reads = True
    await house.settle()
    assert quick.numbers == late.numbers == list(range(1, 41))
    await asyncio.wait_for(turns_until(lambda: slow.connection.closing), 5)
    assert house.fanout.dropped["took_nothing"] == 1
    house.append(1)
    await house.settle()
    assert quick.numbers == late.numbers == list(range(1, 42))
    house.close()


async def test_slow_client_whose_socket_fails_when_it_is_judged_is_closed_and_others_are_judged(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect(f"delivery to a client failed: {error.__name__}")
    house = House(slow_seconds=0.05)
    slow = [house.join() for _ in range(3)]
    for client in slow:
        client.reads = False
    house.append(1, size=100_000)
    await house.settle()
    broken = slow[0].connection.websocket
    ask = WebSocket.unacknowledged_bytes

    def asked(self: WebSocket) -> int:
        if self is broken:
            raise error
        return ask(self)

    monkeypatch.setattr(WebSocket, "unacknowledged_bytes", asked)
    await asyncio.wait_for(turns_until(lambda: all(client.connection.closing for client in slow)), 5)
    house.close()


async def test_turn_that_cannot_be_scheduled_once_is_scheduled_by_the_next_entry(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House()
    house.join()
    await house.settle()
    loop = asyncio.get_running_loop()
    with monkeypatch.context() as patch:
        patch.setattr(loop, "call_soon", failing(loop.call_soon, error))
        with pytest.raises(error):
            house.append(1)
    house.append(1)
    await house.settle()
    assert_all_have_all(house, 2)


async def test_delivery_that_cannot_go_on_is_stalled_until_it_can(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect(f"delivery failed: {error.__name__}")
    logs.expect(f"delivery failed: {error.__name__}")
    may_encode = False

    def encode(event: list[Any]) -> EncodedPacket:
        if not may_encode and event[0] == 2:
            raise error
        return test_fanout.encode_event(event)

    house = House(encode=encode)
    client = house.join()
    house.append(3)
    await turns_until(lambda: len(logs.records) > 4)
    client.read()
    assert client.numbers == [1]
    stalled = [house.fanout.is_stalled]  # not yet: it may be a moment's lack of memory
    loop = asyncio.get_running_loop()
    later = loop.time() + STALLED_SECONDS
    with monkeypatch.context() as patch:
        patch.setattr(loop, "time", lambda: later)
        stalled.append(house.fanout.is_stalled)
    assert stalled == [False, True]
    may_encode = True
    await house.settle()
    assert_all_have_all(house, 3)


async def test_volatile_packet_that_fails_does_not_hold_back_entries(
    error: type[Exception], logs: ExpectedLogs
) -> None:
    logs.expect(f"delivery failed: {error.__name__}")

    class Once:
        """Its frame is not to be had at first."""

        frame = property(failing(lambda self: encode_packet('4["typing", 1]').frame, error))
        encoded = '4["typing", 1]'

    house = House()
    house.join()
    packet: Any = Once()
    house.fanout.send_volatile(packet)
    house.append(2)
    await house.settle()
    assert_all_have_all(house, 2)


async def test_client_misses_no_entry_in_silence_that_the_log_dropped_before_it_could_be_encoded(
    error: type[Exception], logs: ExpectedLogs
) -> None:
    """It is closed, as each client that has fallen off the log; clients that come go on from there."""
    logs.expect(f"delivery failed: {error.__name__}")
    may_encode = True

    def encode(event: list[Any]) -> EncodedPacket:
        if not may_encode:
            raise error
        return test_fanout.encode_event(event)

    house = House(max_messages=3, encode=encode)
    client = house.join()
    house.append(1)
    await house.settle()
    may_encode = False
    house.append(10)
    may_encode = True
    house.append(1)
    await turns_until(lambda: client.connection.closing)
    assert client.numbers == [1]
    assert house.fanout.dropped["fell_off_log"] == 1
    late = house.join(back=1)
    house.append(1)
    await house.settle()
    assert late.numbers == [12, 13]
    assert house.fanout.times.cumulated()[-1][1] == 5
    house.close()
