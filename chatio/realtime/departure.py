"""The end of a server that others are connected to: everybody is let go, in no order, a few at a time.

Clients come back at once, and all of them at the same moment would be a storm for the next server. They go without
a DISCONNECT packet, which would keep them from coming back. Nobody goes before having what is there for them.
"""

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from chatio.realtime import outgoing
from chatio.realtime.frames import GOING_AWAY

if TYPE_CHECKING:
    from chatio.realtime.connection import Connection
    from chatio.realtime.engine import EngineServer

# A connect costs about a millisecond: so many leave half of the next server's time for the chat.
CLOSES_PER_SECOND: Final = 200
GRAIN_SECONDS: Final = 0.01
# A polling client that was given everything has so long to come for the goodbye.
UNHEARD_SECONDS: Final = 1.0
# Who was accepted just before the port was closed has so long to say what for: its request is on the way.
FIRST_REQUEST_SECONDS: Final = 0.5
# Of the time that is left, for closing handshakes: a WebSocket waits for its peer's FIN.
CLOSING_SHARE: Final = 0.15


class Departure:
    """Lets the clients of one server go. Event loop only."""

    def __init__(self, engine: "EngineServer") -> None:
        self._engine = engine
        self._due: dict[Connection, float] = {}  # who is to go, and since when

    def hurry(self, connection: "Connection") -> None:
        """Let `connection` go now, or as soon as it has taken what is there for it."""
        self._due.setdefault(connection, asyncio.get_running_loop().time())
        self._let_go_if_ready(connection)

    async def run(self, seconds: float, close_port: Callable[[], None] | None = None) -> None:
        """Let everybody go within `seconds`; who has not taken everything by then loses the rest of it.

        Handshakes are refused meanwhile. With `close_port` nobody is: those who poll go first, all at once, since
        each of their polls may be a new connection, and then, or after `UNHEARD_SECONDS`, it is called. Who comes
        on a connection that was open by then is welcomed, and let go with the others.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        closing_seconds = min(1.0, seconds * CLOSING_SHARE)
        ends = began + seconds - closing_seconds
        comes_until = began
        if close_port is None:
            self._engine.accepting = False
        else:
            self._engine.is_handing_over = True
            await self._let_go_who_polls(min(ends, began + UNHEARD_SECONDS))
            close_port()
            comes_until = loop.time() + FIRST_REQUEST_SECONDS
        waiting = list(self._engine.sockets.values())
        random.shuffle(waiting)
        count = len(waiting)
        spread = min(count / CLOSES_PER_SECOND, ends - began)
        while (self._engine.sockets or loop.time() < comes_until) and loop.time() < ends:
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
        for connection in list(self._engine.sockets.values()):
            _let_go(connection)
        while (self._engine.sockets or len(self._engine.lingering)) and loop.time() < ends:  # noqa: ASYNC110
            await asyncio.sleep(GRAIN_SECONDS)

    def _let_go_if_ready(self, connection: "Connection") -> None:
        if connection.closing:
            self._due.pop(connection, None)
        elif connection.has_taken_all and (
            connection.can_be_told or asyncio.get_running_loop().time() - self._due[connection] > UNHEARD_SECONDS
        ):
            del self._due[connection]
            _let_go(connection)


def _let_go(connection: "Connection") -> None:
    # What it sent and was not begun is not heard out: nothing is accepted any more.
    reason = connection.server.reason.SERVER_DISCONNECT
    connection.drop(reason, code=GOING_AWAY, farewell=outgoing.CLOSE, hear_out=False)
