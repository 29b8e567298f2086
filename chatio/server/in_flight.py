"""REST requests in flight, and answers that clients have not read: how many, and how the server waits for them.

This process holds an answer that is not read, whole, for as long as its connection is open. So an answer is
bounded (GET /messages: 256 KiB), each client may have a few of them, and a connection that takes none is closed.
What the kernel took counts as read.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from chatio.errors import Overloaded, RateLimited, ShuttingDown
from chatio.server.lifecycle import Lifecycle, Phase

# When the server stops, the rest of a body must arrive within this time. Bodies have at most 16 KiB.
LATE_BODY_SECONDS: Final = 1.0
# nginx's `send_timeout`. A client that takes 256 KiB in this time has 4 KiB/s.
ANSWER_SECONDS: Final = 60.0
# Unread answers. A page has one or two at a time; an office of pages that load at once may share an address.
MOST_PER_USER: Final = 8
MOST_PER_ADDRESS: Final = 64


class Load(Protocol):
    @property
    def retry_after_seconds(self) -> int:
        """The seconds after which a client may register or log in; 0: now."""


class Request(Protocol):
    """What `InFlightRequests` needs of a handler."""

    @property
    def body_is_complete(self) -> bool: ...
    def give_up(self) -> None:
        """Answer now, with `ShuttingDown`."""


class InFlightRequests:
    """Admits requests, and lets those in flight finish when the server stops. Event loop only."""

    def __init__(self, lifecycle: Lifecycle, load: Load | None = None) -> None:
        self._lifecycle = lifecycle
        self._load = load
        self._in_flight: dict[Request, asyncio.TimerHandle | None] = {}  # with the timeout of an incomplete body
        self._answers: set[asyncio.Future[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._in_flight)

    def begin(self, request: Request) -> None:
        self._in_flight[request] = None
        self._idle.clear()
        if self._lifecycle.phase is not Phase.SERVING:
            self._start_body_timeout(request)

    def admit(self, *, sheds_load: bool) -> None:
        """Raises `ShuttingDown` while the server drains, and `Overloaded` for a request that can wait."""
        if self._lifecycle.phase is Phase.DRAINING:
            raise ShuttingDown
        if sheds_load and self._load is not None and (wait := self._load.retry_after_seconds):
            raise Overloaded(retry_after_seconds=wait)

    def end(self, request: Request) -> None:
        timeout = self._in_flight.pop(request, None)
        if timeout is not None:
            timeout.cancel()
        self._check_idle()

    def sending(self, answer: "asyncio.Future[None]") -> None:
        """Wait for `answer` too: it is done when the client has taken all of the answer."""
        self._answers.add(answer)
        self._idle.clear()
        answer.add_done_callback(self._sent)

    @property
    def is_idle(self) -> bool:
        """No request is in flight, and every answer is taken."""
        return self._idle.is_set()

    async def wait_idle(self) -> None:
        """Return when no request is in flight, and every answer is taken."""
        await self._idle.wait()

    def start_body_timeouts(self) -> None:
        """Answer each request whose body is still incomplete after `LATE_BODY_SECONDS`.

        For a server that stops; requests that begin later have the same timeout.
        """
        for request in self._in_flight:
            self._start_body_timeout(request)

    async def finish(self, seconds: float) -> bool:
        """Return when no request is in flight; False if one had to be given up after `seconds`."""
        self.start_body_timeouts()
        if self.is_idle:
            return True
        try:
            await asyncio.wait_for(self.wait_idle(), seconds)
        except TimeoutError:
            for request in list(self._in_flight):
                request.give_up()
            return False
        return True

    def _start_body_timeout(self, request: Request) -> None:
        if self._in_flight[request] is None:
            loop = asyncio.get_running_loop()
            self._in_flight[request] = loop.call_later(LATE_BODY_SECONDS, self._give_up_if_incomplete, request)

    def _give_up_if_incomplete(self, request: Request) -> None:
        if not request.body_is_complete:
            request.give_up()

    def _sent(self, answer: "asyncio.Future[None]") -> None:
        self._answers.discard(answer)
        if not answer.cancelled():
            answer.exception()  # the client is gone; retrieved, so that asyncio does not complain
        self._check_idle()

    def _check_idle(self) -> None:
        if not self._in_flight and not self._answers:
            self._idle.set()


class UnreadAnswers:
    """Counts answers by address and by user, and closes connections. None: no limit. Event loop only."""

    def __init__(
        self,
        *,
        most_per_address: int | None = MOST_PER_ADDRESS,
        most_per_user: int | None = MOST_PER_USER,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._most_per_address = most_per_address
        self._most_per_user = most_per_user
        self._seconds = seconds
        self._unread: Counter[tuple[str, str | None]] = Counter()

    def __len__(self) -> int:
        """The number of addresses and users that have one."""
        return len(self._unread)

    def require_capacity(self, address: str, user: str | None = None) -> None:
        """Raises `RateLimited` for a client that is to read first."""
        if self._unread and not all(
            most is None or self._unread[key] < most
            for key, most in (
                (("address", address), self._most_per_address),
                (("user", user), self._most_per_user),
            )
        ):
            raise RateLimited(retry_after_seconds=1)

    def add(
        self, answer: "asyncio.Future[None]", close: Callable[[], None], address: str, user: str | None = None
    ) -> None:
        """Count `answer` until it is taken; call `close` if that takes too long."""
        if answer.done():
            return
        keys: list[tuple[str, str | None]] = [("address", address), *([("user", user)] if user else ())]
        timeout = asyncio.get_running_loop().call_later(self._seconds, close)
        self._unread.update(keys)
        answer.add_done_callback(lambda _: self._taken(timeout, keys))

    def _taken(self, timeout: asyncio.TimerHandle, keys: list[tuple[str, str | None]]) -> None:
        timeout.cancel()
        self._unread.subtract(keys)
        for key in keys:
            if not self._unread[key]:
                del self._unread[key]
