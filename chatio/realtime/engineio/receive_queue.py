"""Receive queue: the messages that a client sent and the application has not handled yet.

Backpressure: a connection is not read while it holds as much unhandled input as it may, nor while it sends faster
than its input rate. Its output then backs up in TCP, or the answer to its POST is late.
"""

import asyncio
from collections import deque
from typing import Final, Generic, Protocol, TypeVar

from chatio.realtime.engineio.input_rate import InputRate
from chatio.realtime.limits import MESSAGE_OVERHEAD_BYTES, RECEIVE_QUEUE_BYTES

YIELD_EVERY: Final = 32  # messages, so that a burst does not hold up other connections


class Receiver(Protocol):
    """The connection that a queue belongs to."""

    @property
    def max_input_bytes(self) -> int: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


R = TypeVar("R", bound=Receiver, contravariant=True)


class Application(Protocol[R]):
    async def receive(self, connection: R, data: str | bytes) -> None:
        """Handle one message. Must not raise."""


class ReceiveQueue(Generic[R]):
    """Hands messages to the application one after the other, in one task for each burst. Event loop only.

    An idle queue has no task and no deque.
    """

    __slots__ = (
        "_application",
        "_bytes",
        "_has_paused",
        "_messages",
        "_rate",
        "_receiver",
        "_room",
        "_timer",
        "paid_at",
        "worker",
    )

    def __init__(self, receiver: R, application: Application[R], rate: InputRate) -> None:
        self.worker: asyncio.Task[None] | None = None  # while there are messages
        self.paid_at = 0.0  # the loop's time at which all input is paid for, see InputRate
        self._receiver = receiver
        self._application = application
        self._rate = rate
        self._has_paused = False  # the receiver, and not resumed it yet
        self._messages: deque[str | bytes] | None = None
        self._bytes = 0  # of the waiting messages and of the one that is being handled
        self._timer: asyncio.TimerHandle | None = None  # while the connection is not read because of its rate
        self._room: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        """The number of messages behind the one that is being handled."""
        return 0 if self._messages is None else len(self._messages)

    @property
    def size_bytes(self) -> int:
        """The unhandled input, with an overhead for each message."""
        return self._bytes

    @property
    def is_rate_limited(self) -> bool:
        """The client sent faster than its rate, and is not read until that is made up for."""
        return self._timer is not None

    @property
    def is_full(self) -> bool:
        return self._timer is not None or self._bytes >= min(RECEIVE_QUEUE_BYTES, self._receiver.max_input_bytes)

    @property
    def is_behind(self) -> bool:
        """The client is slowed down, or was a moment ago: its answer to a ping may be on its way."""
        return self._rate.is_behind(self.paid_at, asyncio.get_running_loop().time())

    def put(self, message: str | bytes) -> None:
        if self._messages is None:
            self._messages = deque()
            self.worker = asyncio.get_running_loop().create_task(self._work(self._messages))
        self._messages.append(message)
        self._bytes += len(message) + MESSAGE_OVERHEAD_BYTES
        if self.is_full:
            self._pause()

    def charge(self, size_bytes: int) -> None:
        """The server read so many bytes from the client: it reads no more for now if that was too fast."""
        loop, rate = asyncio.get_running_loop(), self._rate
        now = loop.time()
        self.paid_at = max(self.paid_at, now) + size_bytes * rate.seconds_per_byte
        wait = self.paid_at - now - rate.burst_seconds  # all of it takes 0.5 µs; a message 22 until it is handled
        if wait > 0:
            self._pause()
            if self._timer is None:
                self._timer = loop.call_later(wait, self._rate_made_up)

    async def until_room(self) -> None:
        """Return when the queue takes more input, or is closed."""
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()
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
        self._resume_if_room()

    def _resume_if_room(self) -> None:
        if not self.is_full:
            self._resume()

    def _pause(self) -> None:
        self._has_paused = True
        self._receiver.pause_reading()

    def _resume(self) -> None:
        if self._room is not None:
            self._room.set_result(None)
            self._room = None
        if self._has_paused:
            self._has_paused = False
            self._receiver.resume_reading()

    async def _work(self, messages: deque[str | bytes]) -> None:
        handled = 0
        try:
            while messages:
                message = messages.popleft()
                await self._application.receive(self._receiver, message)
                self._bytes -= len(message) + MESSAGE_OVERHEAD_BYTES
                self._resume_if_room()
                handled += 1
                if handled % YIELD_EVERY == 0:
                    await asyncio.sleep(0)
        finally:
            self._messages = self.worker = None
            self._bytes = 0
            self._resume_if_room()
