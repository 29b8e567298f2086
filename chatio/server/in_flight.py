"""REST requests in flight: which are admitted, and how the server waits for them when it stops."""

import asyncio
from typing import Final, Protocol

from chatio.errors import Overloaded, ShuttingDown
from chatio.server.lifecycle import Lifecycle, Phase

# When the server stops, the rest of a body must arrive within this time. Bodies have at most 16 KiB.
LATE_BODY_SECONDS: Final = 1.0
# After this time another process is likely to listen.
RETRY_AFTER_SECONDS: Final = 2


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
            raise ShuttingDown(retry_after_seconds=RETRY_AFTER_SECONDS)
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
