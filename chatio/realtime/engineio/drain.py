"""Drain: a stopping server lets its connections go, in random order, a few at a time.

Clients come back at once, and all of them at the same moment would be a storm for the next server. They are closed
without a DISCONNECT packet, which would keep them from coming back. No connection goes before its client has taken
the output that waits for it.
"""

import asyncio
import random
from typing import Final, Protocol

from chatio.realtime.close_reasons import GOING_AWAY
from chatio.realtime.engineio import payload
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.library import DisconnectReason

# A connect costs about a millisecond: so many closes leave half of the next server's time for the chat.
CLOSES_PER_SECOND: Final = 200
TICK_SECONDS: Final = 0.01
# A polling client that was given everything has so long to come for the CLOSE.
UNHEARD_SECONDS: Final = 1.0
# Share of the time that is left for closing handshakes: a WebSocket waits for its client's FIN.
CLOSING_SHARE: Final = 0.15


class Handover(Protocol):
    """The hand-over of the port to another process, which has it too."""

    def close_port(self) -> None: ...
    def may_bring_clients(self) -> bool:
        """Whether a client may still come, on a connection that was open when the port was closed."""


class Drain:
    """Closes the connections of one server. Event loop only."""

    def __init__(self, engine: EngineServer) -> None:
        self._engine = engine
        self._due: dict[Connection, float] = {}  # connections that are to go, and since when

    def drain_now(self, connection: Connection) -> None:
        """Close `connection` now, or as soon as its client has taken its output."""
        self._due.setdefault(connection, asyncio.get_running_loop().time())
        self._close_if_ready(connection)

    async def drain(self, seconds: float, handover: Handover | None = None) -> None:
        """Close all connections within `seconds`; a client that has not taken its output by then loses the rest.

        Handshakes are refused meanwhile. With a `handover` none is: polling clients go first, all at once, since
        each of their polls may be a new connection, and then, or after `UNHEARD_SECONDS`, the port is closed. A
        client that comes on a connection that was open by then is admitted, and closed with the others.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        closing_seconds = min(1.0, seconds * CLOSING_SHARE)
        ends = began + seconds - closing_seconds
        if handover is None:
            self._engine.lifecycle.drain()
        else:
            self._engine.lifecycle.hand_over()
            await self._close_polling(min(ends, began + UNHEARD_SECONDS))
            handover.close_port()
        waiting = list(self._engine.sockets.values())
        random.shuffle(waiting)
        count = len(waiting)
        spread = min(count / CLOSES_PER_SECOND, ends - began)
        while (self._engine.sockets or (handover and handover.may_bring_clients())) and loop.time() < ends:
            share = (loop.time() - began) / spread if spread else 1.0
            while waiting and count - len(waiting) < count * share:
                self.drain_now(waiting.pop())
            if not waiting:  # connections that were opened since are not among them
                for connection in list(self._engine.sockets.values()):
                    self.drain_now(connection)
            self._close_ready()
            await asyncio.sleep(TICK_SECONDS)
        await self._close_rest(ends + closing_seconds)

    async def _close_polling(self, ends: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < ends:
            polling = [connection for connection in self._engine.sockets.values() if not connection.upgraded]
            if not polling:
                return
            for connection in polling:
                self.drain_now(connection)
            self._close_ready()
            await asyncio.sleep(TICK_SECONDS)

    def _close_ready(self) -> None:
        for connection in list(self._due):
            self._close_if_ready(connection)

    async def _close_rest(self, ends: float) -> None:
        loop = asyncio.get_running_loop()
        while (self._engine.sockets or len(self._engine.lingering)) and loop.time() < ends:
            for connection in list(self._engine.sockets.values()):
                disconnect(connection)
            await asyncio.sleep(TICK_SECONDS)

    def _close_if_ready(self, connection: Connection) -> None:
        if connection.closing:
            self._due.pop(connection, None)
        elif connection.is_flushed and (
            connection.is_writable_now
            or asyncio.get_running_loop().time() - self._due[connection] > UNHEARD_SECONDS
        ):
            del self._due[connection]
            disconnect(connection)


def disconnect(connection: Connection) -> None:
    """Close `connection` without handling its waiting input: a draining server accepts nothing more."""
    connection.drop(DisconnectReason.SERVER_DISCONNECT, code=GOING_AWAY, farewell=payload.CLOSE, drain_input=False)
