"""Receive queue: the messages that a client sent and the application has not handled yet.

Backpressure: a connection is not read while it holds as much unhandled input as it may, nor while it sends faster
than its input rate. Its output then backs up in TCP, or the answer to its POST is late.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from chatio.realtime.limits import MESSAGE_OVERHEAD_BYTES, MESSAGE_STEPS, RECEIVE_QUEUE_BYTES, VALUES_PER_STEP

# A connection that was slowed down may have a pong on its way, behind its earlier output, for so long.
BEHIND_SECONDS: Final = 5.0
YIELD_EVERY: Final = 32  # messages, so that a burst does not hold up other connections


class Receiver(Protocol):
    """The connection that a queue belongs to."""

    max_input_bytes: int

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class InputRate:
    """Input rate: `burst_bytes` of one connection at once, and then `bytes_per_second`. One object for all.

    A connection that sends faster is read more slowly, and loses nothing. Each keeps one number, the loop's time
    at which its input will be paid for (GCRA, as in chatio/throttling/rate_limiter.py): 24 bytes.
    """

    def __init__(self, bytes_per_second: float = float("inf"), burst_bytes: int = 0) -> None:
        self.seconds_per_byte = 1 / bytes_per_second
        self.burst_seconds = burst_bytes / bytes_per_second  # a connection that owes more is not read

    def is_behind(self, paid_at: float, now: float) -> bool:
        """Whether a connection whose input is paid for at `paid_at` is slowed down, or was a moment ago."""
        return paid_at - now > max(0.0, self.burst_seconds - BEHIND_SECONDS)


@dataclass(slots=True, eq=False)
class ReceiveQueue:
    """Hands messages to the application in order, in one task for each burst; an idle queue has none.

    Event loop only.
    """

    receiver: Receiver
    handle: Callable[[Any, str | bytes], Awaitable[None]]  # one message of the receiver's; must not raise
    rate: InputRate
    steps: int = 0  # that the input budget was not charged with yet
    paid_at: float = 0.0  # the loop's time at which all input is paid for
    worker: "asyncio.Task[None] | None" = None  # while there are messages
    size_bytes: int = 0  # of the unhandled messages and the one that is being handled, with an overhead for each
    _has_paused: bool = False  # the receiver, and not resumed it yet
    _messages: "deque[str | bytes] | None" = None
    _timer: asyncio.TimerHandle | None = None  # while the connection is not read because of its rate
    _room: "asyncio.Future[None] | None" = None

    def __len__(self) -> int:
        """The number of messages behind the one that is being handled."""
        return len(self._messages or ())

    @property
    def is_rate_limited(self) -> bool:
        """The client sent faster than its rate, and is not read until that is made up for."""
        return self._timer is not None

    @property
    def is_full(self) -> bool:
        limit = min(RECEIVE_QUEUE_BYTES, self.receiver.max_input_bytes)
        return self._timer is not None or self.size_bytes >= limit

    @property
    def is_behind(self) -> bool:
        """The client is slowed down, or was a moment ago: its answer to a ping may be on its way."""
        return self.rate.is_behind(self.paid_at, asyncio.get_running_loop().time())

    def put(self, message: str | bytes) -> None:
        if self._messages is None:
            self._messages = deque()
            self.worker = asyncio.get_running_loop().create_task(self._work(self._messages))
        self._messages.append(message)
        # At most so many values has its JSON: each but the first has a mark before it, perhaps within a string.
        values = sum(map(message.count, ",[{")) if isinstance(message, str) else 0
        self.steps += MESSAGE_STEPS + values // VALUES_PER_STEP
        self.size_bytes += len(message) + MESSAGE_OVERHEAD_BYTES
        if self.is_full:
            self._pause()

    def take_steps(self) -> int:
        """The steps that the input budget is charged with now."""
        steps, self.steps = self.steps, 0
        return steps

    def charge(self, size_bytes: int) -> None:
        """The server read so many bytes from the client: it reads no more for now if that was too fast."""
        loop, rate = asyncio.get_running_loop(), self.rate
        now = loop.time()
        self.paid_at = max(self.paid_at, now) + size_bytes * rate.seconds_per_byte
        wait = self.paid_at - now - rate.burst_seconds  # all of it takes 0.5 µs; a message 22 until it is handled
        if wait > 0:
            self._pause()
            if self._timer is None:
                self._timer = loop.call_later(wait, self._rate_made_up)

    async def until_room(self) -> None:
        """Return when the queue takes more input, or is closed."""
        self._room = self._room or asyncio.get_running_loop().create_future()
        await asyncio.shield(self._room)

    def clear(self) -> None:
        """Drop all messages that are not being handled."""
        if self._messages is not None:
            self._messages.clear()

    def close(self) -> None:
        """Hold up the client no more: its connection is closing. Waiting messages are still handled."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._resume()

    def _rate_made_up(self) -> None:
        self._timer = None
        self.charge(0)  # more may have been read since the timer was set
        if not self.is_full:
            self._resume()

    def _pause(self) -> None:
        self._has_paused = True
        self.receiver.pause_reading()

    def _resume(self) -> None:
        if self._room is not None:
            self._room.set_result(None)
            self._room = None
        if self._has_paused:
            self._has_paused = False
            self.receiver.resume_reading()

    async def _work(self, messages: deque[str | bytes]) -> None:
        handled = 0
        try:
            while messages:
                message = messages.popleft()
                await self.handle(self.receiver, message)
                self.size_bytes -= len(message) + MESSAGE_OVERHEAD_BYTES
                if (self._has_paused or self._room is not None) and not self.is_full:
                    self._resume()
                handled += 1
                if handled % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
        finally:
            self._messages = self.worker = None
            self.size_bytes = 0
            if (self._has_paused or self._room is not None) and not self.is_full:
                self._resume()
