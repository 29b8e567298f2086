"""The REST requests that are under way, and which are not let in any more."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from chatio.errors import Overloaded, ShuttingDown
from handlers.client import Callers

# What is left of a body when the server is told to stop must come within so long. Bodies have at most 16 KiB.
LATE_BODY_SECONDS: Final = 1.0
# After so long another process is likely to listen.
RETRY_AFTER_SECONDS: Final = 2


class Request(Protocol):
    """What a handler is to `InFlightRequests`."""

    @property
    def body_is_complete(self) -> bool: ...
    def give_up(self) -> None:
        """Answer now, with `ShuttingDown`."""


class InFlightRequests:
    """Lets requests in, and lets those that are under way finish when the server stops. Event loop only."""

    def __init__(self, callers: Callers, *, newcomers_wait: Callable[[], int] = lambda: 0) -> None:
        """`newcomers_wait`: after how many seconds to register or log in; 0: now."""
        self.callers = callers
        self._newcomers_wait = newcomers_wait
        self.is_leaving = False  # each answer is the last one on its connection
        self._is_handing_over = False
        self._under_way: dict[Request, asyncio.TimerHandle | None] = {}  # when half a body is given up
        self._answers: set[asyncio.Future[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._under_way)

    def begin(self, request: Request) -> None:
        self._under_way[request] = None
        self._idle.clear()
        if self.is_leaving:
            self._await_body(request)

    def admit(self, *, is_newcomer: bool) -> None:
        """Raises `ShuttingDown`; and `Overloaded` for somebody who is not in the chat yet, but wants to be."""
        if self.is_leaving and not self._is_handing_over:
            raise ShuttingDown(retry_after_seconds=RETRY_AFTER_SECONDS)
        if is_newcomer and (wait := self._newcomers_wait()):
            raise Overloaded(retry_after_seconds=wait)

    def end(self, request: Request) -> None:
        late_body = self._under_way.pop(request, None)
        if late_body is not None:
            late_body.cancel()
        self._look_whether_idle()

    def sending(self, answer: "asyncio.Future[None]") -> None:
        """An answer is on its way until `answer` is done: its client has not taken all of it."""
        self._answers.add(answer)
        self._idle.clear()
        answer.add_done_callback(self._sent)

    @property
    def is_idle(self) -> bool:
        """None is under way, and every answer is taken."""
        return self._idle.is_set()

    async def wait_idle(self) -> None:
        """Return when none is under way, and every answer is taken."""
        await self._idle.wait()

    def hand_over(self) -> None:
        """Let in everybody as before, but each connection for one request more: new ones are another process's
        now, or soon. Of bodies the rest must come within a second, as for `finish`.
        """
        self._is_handing_over = True
        self._leave()

    async def finish(self, seconds: float) -> bool:
        """Let in nobody new, but after `hand_over`; return when none is under way.

        False if one had to be given up after `seconds`. A body that is half there must be complete within a
        second, or is answered without.
        """
        self._leave()
        if self.is_idle:
            return True
        try:
            await asyncio.wait_for(self.wait_idle(), seconds)
        except TimeoutError:
            for request in list(self._under_way):
                request.give_up()
            return False
        return True

    def _leave(self) -> None:
        self.is_leaving = True
        for request in self._under_way:
            self._await_body(request)

    def _await_body(self, request: Request) -> None:
        if self._under_way[request] is None:
            loop = asyncio.get_running_loop()
            self._under_way[request] = loop.call_later(LATE_BODY_SECONDS, self._give_up_if_half_sent, request)

    def _give_up_if_half_sent(self, request: Request) -> None:
        if not request.body_is_complete:
            request.give_up()

    def _sent(self, answer: "asyncio.Future[None]") -> None:
        self._answers.discard(answer)
        if not answer.cancelled():
            answer.exception()  # its client is gone; looked at, so that asyncio does not complain
        self._look_whether_idle()

    def _look_whether_idle(self) -> None:
        if not self._under_way and not self._answers:
            self._idle.set()
