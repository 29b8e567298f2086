"""Drain: a stopping server lets its connections go, in random order, a few at a time.

Clients come back at once, and all at the same moment would be a storm for the next server. None is sent a
DISCONNECT, which would keep it away, and none is closed before it has taken the output that waits for it.

A flood takes no part of the grace: clients that have not signed in, and those of an address that has spent its
input budget, have their turns within a second. The former wait for no message, so that no output of theirs is
waited for longer than that.
"""

import asyncio
import random
from typing import Final

from chatio.realtime.close_reasons import GOING_AWAY
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.library import DisconnectReason
from chatio.server.shutdown import Handover

# A connect costs about a millisecond: so many closes leave half of the next server's time for the chat.
CLOSES_PER_SECOND: Final = 200
TICK_SECONDS: Final = 0.01
# A polling client that was given everything has so long to come for the CLOSE.
UNHEARD_SECONDS: Final = 1.0
# Share of the time that is left for closing handshakes: a WebSocket waits for its client's FIN.
CLOSING_SHARE: Final = 0.15


class Drain:
    """Closes the connections of one server. Event loop only."""

    def __init__(self, engine: EngineServer) -> None:
        self._engine = engine
        self._due: dict[Connection, float] = {}  # connections that are to go, and since when

    def drain_now(self, connection: Connection) -> None:
        """Close `connection` now, or as soon as its client has taken its output."""
        now = asyncio.get_running_loop().time()
        is_late = now - self._due.setdefault(connection, now) > UNHEARD_SECONDS
        if is_late and not connection.is_signed_in:
            del self._due[connection]
            connection.abort()
        elif connection.closing or (connection.is_flushed and (connection.is_writable_now or is_late)):
            del self._due[connection]
            disconnect(connection)

    async def drain(self, seconds: float, handover: Handover | None = None) -> None:
        """Close all connections within `seconds`; a client that has not taken its output by then loses the rest.

        Handshakes are refused meanwhile. With a `handover` none is: polling clients go first, all at once, since
        each of their polls may be a new connection, and then, or after `UNHEARD_SECONDS`, the port is closed.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        closing_seconds = min(1.0, seconds * CLOSING_SHARE)
        ends = began + seconds - closing_seconds
        if handover is None:
            self._engine.lifecycle.drain()
        else:
            self._engine.lifecycle.hand_over()
            until, sockets = min(ends, began + UNHEARD_SECONDS), self._engine.sockets
            while loop.time() < until and (polling := [each for each in sockets.values() if not each.upgraded]):
                for connection in polling:
                    self.drain_now(connection)
                await asyncio.sleep(TICK_SECONDS)
            handover.close_port()
        turns = self._turns(loop.time(), ends)
        while (self._engine.sockets or (handover and handover.may_bring_clients())) and loop.time() < ends:
            while turns and turns[-1][0] <= loop.time():
                self.drain_now(turns.pop()[1])
            # Those opened since are not among `turns`.
            for connection in list(self._due if turns else self._engine.sockets.values()):
                self.drain_now(connection)
            await asyncio.sleep(TICK_SECONDS)
        while (self._engine.sockets or len(self._engine.lingering)) and loop.time() < ends + closing_seconds:
            for connection in list(self._engine.sockets.values()):
                disconnect(connection)
            await asyncio.sleep(TICK_SECONDS)

    def _turns(self, now: float, ends: float) -> list[tuple[float, Connection]]:
        """When each connection is to go, the last one first."""
        connections = list(self._engine.sockets.values())
        random.shuffle(connections)
        calm = [each for each in connections if each.is_signed_in and not each.is_flooding]
        flood = [each for each in connections if not each.is_signed_in or each.is_flooding]
        turns: list[tuple[float, Connection]] = []
        for group, longest in ((calm, ends - now), (flood, UNHEARD_SECONDS)):
            spread = min(len(group) / CLOSES_PER_SECOND, longest)
            turns += [(now + spread * number / len(group), each) for number, each in enumerate(group)]
        return sorted(turns, key=lambda turn: turn[0], reverse=True)


def disconnect(connection: Connection) -> None:
    """Close `connection` without handling its waiting input: a draining server accepts nothing more."""
    connection.drop(DisconnectReason.SERVER_DISCONNECT, code=GOING_AWAY, drain_input=False)
