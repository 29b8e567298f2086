"""Fair turns: a bounded number of requests of each address in one turn of the event loop.

Hundreds of connections may each bring a request in the same turn. Handled at once they would keep every other
client waiting; handled a few at a turn, they wait for each other. A connection that waits is not read meanwhile.
"""

import asyncio
from collections import deque
from typing import Final

# About 1 ms of CPU. A browser brings six at once, in three turns.
REQUESTS_PER_TURN: Final = 2


class FairTurns:
    """Lets `most` requests of each key begin in one turn of the loop, and the others in later ones, in order."""

    def __init__(self, most: int = REQUESTS_PER_TURN) -> None:
        self._most = most
        self._begun: dict[str, int] = {}  # in this turn
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        """The number of keys that have a request in this turn, or one that waits."""
        return len(self._begun.keys() | self._waiting.keys())

    async def take(self, key: str) -> None:
        """Return when it is the turn of a request of `key`."""
        loop = asyncio.get_running_loop()
        if not self._begun and not self._waiting:
            loop.call_soon(self._next_turn, loop)
        if self._begun.get(key, 0) < self._most and key not in self._waiting:
            self._begun[key] = self._begun.get(key, 0) + 1
            return
        turn = loop.create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        await turn

    def _next_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._begun.clear()
        for key, waiting in list(self._waiting.items()):
            for _ in range(min(self._most, len(waiting))):
                turn = waiting.popleft()
                if not turn.done():  # its request may have been cancelled
                    turn.set_result(None)
            self._begun[key] = self._most
            if not waiting:
                del self._waiting[key]
        if self._begun:
            loop.call_soon(self._next_turn, loop)
