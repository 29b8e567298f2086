"""The end of a server that others are connected to: everybody is let go, in no order, a few at a time.

Clients come back at once, and all of them at the same moment would be a storm for the next server. They go without
a DISCONNECT packet, which would keep them from coming back. Nobody goes before having what is there for them.
"""

import asyncio
import random
from typing import TYPE_CHECKING, Final, Protocol

from chatio.realtime.engineio import payload
from chatio.realtime.websocket.frames import GOING_AWAY

if TYPE_CHECKING:
    from chatio.realtime.engineio.connection import Connection
    from chatio.realtime.engineio.server import EngineServer

# A connect costs about a millisecond: so many leave half of the next server's time for the chat.
CLOSES_PER_SECOND: Final = 200
GRAIN_SECONDS: Final = 0.01
# A polling client that was given everything has so long to come for the goodbye.
UNHEARD_SECONDS: Final = 1.0
# Of the time that is left, for closing handshakes: a WebSocket waits for its peer's FIN.
CLOSING_SHARE: Final = 0.15


class Handover(Protocol):
    """Of the port to another process, which has it too."""

    def close_port(self) -> None: ...
    def may_bring_somebody(self) -> bool:
        """Whether somebody may still come, on a connection that was open when the port was closed."""


class Drain:
    """Lets the clients of one server go. Event loop only."""

    def __init__(self, engine: "EngineServer") -> None:
        self._engine = engine
        self._due: dict[Connection, float] = {}  # who is to go, and since when

    def hurry(self, connection: "Connection") -> None:
        """Let `connection` go now, or as soon as it has taken what is there for it."""
        self._due.setdefault(connection, asyncio.get_running_loop().time())
        self._let_go_if_ready(connection)

    async def run(self, seconds: float, handover: Handover | None = None) -> None:
        """Let everybody go within `seconds`; who has not taken everything by then loses the rest of it.

        Handshakes are refused meanwhile. With a `handover` nobody is: those who poll go first, all at once, since
        each of their polls may be a new connection, and then, or after `UNHEARD_SECONDS`, the port is closed. Who
        comes on a connection that was open by then is welcomed, and let go with the others.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        closing_seconds = min(1.0, seconds * CLOSING_SHARE)
        ends = began + seconds - closing_seconds
        if handover is None:
            self._engine.accepting = False
        else:
            self._engine.is_handing_over = True
            await self._let_go_who_polls(min(ends, began + UNHEARD_SECONDS))
            handover.close_port()
        waiting = list(self._engine.sockets.values())
        random.shuffle(waiting)
        count = len(waiting)
        spread = min(count / CLOSES_PER_SECOND, ends - began)
        while (self._engine.sockets or (handover and handover.may_bring_somebody())) and loop.time() < ends:
            share = (loop.time() - began) / spread if spread else 1.0
            while waiting and count - len(waiting) < count * share:
                self.hurry(waiting.pop())
            if not waiting:  # who came in since is not among them
                for connection in list(self._engine.sockets.values()):
                    self.hurry(connection)
            self._let_go_who_is_ready()
            await asyncio.sleep(GRAIN_SECONDS)
        await self._close_the_rest(ends + closing_seconds)

    async def _let_go_who_polls(self, ends: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < ends:
            polling = [connection for connection in self._engine.sockets.values() if not connection.upgraded]
            if not polling:
                return
            for connection in polling:
                self.hurry(connection)
            self._let_go_who_is_ready()
            await asyncio.sleep(GRAIN_SECONDS)

    def _let_go_who_is_ready(self) -> None:
        for connection in list(self._due):
            self._let_go_if_ready(connection)

    async def _close_the_rest(self, ends: float) -> None:
        loop = asyncio.get_running_loop()
        while (self._engine.sockets or len(self._engine.lingering)) and loop.time() < ends:
            for connection in list(self._engine.sockets.values()):
                _let_go(connection)
            await asyncio.sleep(GRAIN_SECONDS)

    def _let_go_if_ready(self, connection: "Connection") -> None:
        if connection.closing:
            self._due.pop(connection, None)
        elif connection.is_flushed and (
            connection.is_writable_now
            or asyncio.get_running_loop().time() - self._due[connection] > UNHEARD_SECONDS
        ):
            del self._due[connection]
            _let_go(connection)


def _let_go(connection: "Connection") -> None:
    # What it sent and was not begun is not heard out: nothing is accepted any more.
    reason = connection.server.reason.SERVER_DISCONNECT
    connection.drop(reason, code=GOING_AWAY, farewell=payload.CLOSE, drain_input=False)
