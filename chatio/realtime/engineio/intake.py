"""When a connection is read, and when its client has to wait.

Not while it holds as much unhandled input as it may, nor while it sends faster than its pace allows: what it sends
then backs up in TCP, or the answer to its POST is late. An answer to a ping that may be stuck there is no timeout.
"""

import asyncio
from typing import TYPE_CHECKING

from chatio.realtime.library import EngineIOSocket
from chatio.realtime.limits import MAX_RUNNING_HANDLERS

if TYPE_CHECKING:
    from chatio.realtime.engineio.receive_queue import Inbox
    from chatio.realtime.engineio.server import EngineServer
    from chatio.realtime.websocket.transport import WebSocket


class Intake(EngineIOSocket):  # type: ignore[misc]
    """The part of a connection that bounds what comes in. Event loop only; only `until_room` waits."""

    __slots__ = ("_held", "_paid_at", "_room", "inbox", "max_input_bytes", "posting", "running_handlers")

    if TYPE_CHECKING:
        server: EngineServer
        websocket: WebSocket | None

        @property
        def closing(self) -> bool: ...

    def __init__(self, max_input_bytes: int) -> None:
        self.max_input_bytes = max_input_bytes
        self.posting = False  # a POST is being received
        self.running_handlers = 0
        self.inbox: Inbox | None = None
        self._paid_at = 0.0  # for what it sent, see Pace
        self._held: asyncio.TimerHandle | None = None  # while it is not read because it sent too fast
        self._room: asyncio.Future[None] | None = None

    def input_limit(self) -> int:
        return self.max_input_bytes

    @property
    def is_too_fast(self) -> bool:
        """It sent more than its pace allows, and is not read until that is made up for."""
        return self._held is not None

    @property
    def is_full(self) -> bool:
        """It holds as much unhandled input as it may, or sent too fast."""
        return (
            self._held is not None
            or (self.inbox is not None and self.inbox.is_full)
            or self.running_handlers >= MAX_RUNNING_HANDLERS
        )

    @property
    def is_paused(self) -> bool:
        """We do not read what it sends, or did not a moment ago: its answer to a ping may be on its way."""
        if self.server.input_pace.is_behind(self._paid_at, asyncio.get_running_loop().time()):
            return True
        return self.posting and self.is_full if self.websocket is None else self.websocket.is_paused

    def input_read(self, size_bytes: int) -> None:
        """So much was read from the client: read no more for now if that was too fast."""
        loop, pace = asyncio.get_running_loop(), self.server.input_pace
        now = loop.time()
        self._paid_at = pace.after(self._paid_at, size_bytes, now)
        wait = self._paid_at - now - pace.burst_seconds  # all of it takes 0.5 µs; a message 22 till it is handled
        if wait > 0 and not self.closing:
            if self.websocket is not None:
                self.websocket.pause()
            if self._held is None:
                self._held = loop.call_later(wait, self._read_on)

    def _read_on(self) -> None:
        self._held = None
        self.resume_if_room()

    async def until_room(self) -> None:
        """Wait until this connection takes more input, or is closed."""
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._room)

    def resume_if_room(self) -> None:
        """Some of the input was handled: read on, if it is enough."""
        if self.is_full and not self.closing:
            return
        if self._room is not None:
            self._room.set_result(None)
            self._room = None
        if self.websocket is not None and self.websocket.is_paused:
            self.websocket.resume()

    def handler_done(self) -> None:
        """One of its handlers that ran at the same time as others is done."""
        self.running_handlers -= 1
        self.resume_if_room()

    def stop_intake(self) -> None:
        """It is closing: nothing is to be read on for."""
        if self._held is not None:
            self._held.cancel()
            self._held = None
