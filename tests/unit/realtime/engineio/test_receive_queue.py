"""Input rate and receive queue: how long a connection that sends too fast is not read."""

from typing import Any

import pytest

from chatio.realtime.engineio.receive_queue import BEHIND_SECONDS, InputRate, ReceiveQueue


class Receiver:
    """A connection whose messages need no handling."""

    is_paused = False
    max_input_bytes = 1000

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


async def handle(receiver: Receiver, data: str | bytes) -> None: ...


def states(queue: ReceiveQueue, receiver: Receiver) -> tuple[bool, bool]:
    return queue.is_rate_limited, receiver.is_paused


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch, io_loop: Any) -> list[float]:
    """The loop's time."""
    time = [50.0]
    monkeypatch.setattr(io_loop.asyncio_loop, "time", lambda: time[0])
    return time


async def test_burst_is_read_at_once_and_more_at_the_rate(now: list[float]) -> None:
    receiver = Receiver()
    queue = ReceiveQueue(receiver, handle, InputRate(bytes_per_second=1000, burst_bytes=10_000))
    queue.charge(10_000)
    assert queue.paid_at == 60
    assert states(queue, receiver) == (False, False)
    queue.charge(500)
    assert queue.paid_at == pytest.approx(60.5)
    assert states(queue, receiver) == (True, True)
    queue.close()
    assert states(queue, receiver) == (False, False)
    now[0] = 100.0
    queue.charge(10_000)
    assert queue.paid_at == 110


async def test_without_figures_no_connection_waits(now: list[float]) -> None:
    queue = ReceiveQueue(Receiver(), handle, InputRate())
    queue.charge(10**12)
    assert not queue.is_rate_limited
    assert not queue.is_behind


@pytest.mark.parametrize(
    ("burst_bytes", "paid_at", "now", "is_behind"),
    [
        (10_000, 0.0, 50.0, False),
        (10_000, 51.0, 50.0, False),
        (10_000, 61.0, 51.0, True),
        (10_000, 61.0, 51.0 + BEHIND_SECONDS - 0.1, True),
        (10_000, 61.0, 51.0 + BEHIND_SECONDS + 0.1, False),
        (10, 50.5, 50.4, True),
        (10, 50.5, 50.6, False),
    ],
)
def test_slowed_connection_is_behind_a_while(
    burst_bytes: int, paid_at: float, now: float, is_behind: bool
) -> None:
    assert InputRate(1000, burst_bytes).is_behind(paid_at, now) is is_behind


async def test_a_message_of_many_values_has_a_price_for_them() -> None:
    """13 kB of nested lists take 4.5 ms to read, and as much text 0.05."""
    queue = ReceiveQueue(Receiver(), handle, InputRate())
    steps = []
    for message in ('2["x"]', '2["x","' + "x" * 13_000 + '"]', '2["x",[' + "[1]," * 3200 + "1]]"):
        queue.put(message)
        steps.append(queue.take_steps())
    assert steps[0] == steps[1]
    assert steps[2] > 1000
