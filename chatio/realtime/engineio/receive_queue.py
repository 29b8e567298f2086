"""Messages that a connection received and the application has not handled yet.

Exists only while there are any.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from chatio.realtime.limits import INBOX_BYTES, MESSAGE_OVERHEAD_BYTES

if TYPE_CHECKING:
    from chatio.realtime.engineio.connection import Connection

_YIELD_EVERY = 32  # messages, so that a burst does not hold up others


class Inbox:
    """One task that hands a burst to the application, in order. Event loop only."""

    __slots__ = ("_bytes", "_connection", "_messages", "worker")

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._messages: deque[str | bytes] = deque()
        self._bytes = 0
        self.worker = connection.server.spawn(self._work())

    def __len__(self) -> int:
        """How many wait behind the one that is being handled."""
        return len(self._messages)

    def add(self, message: str | bytes) -> None:
        self._messages.append(message)
        self._bytes += len(message) + MESSAGE_OVERHEAD_BYTES

    def clear(self) -> None:
        """Forget what was not begun."""
        self._messages.clear()

    @property
    def is_full(self) -> bool:
        """It holds as much as it may; the message that is being handled counts."""
        return self._bytes >= min(INBOX_BYTES, self._connection.max_input_bytes)

    async def _work(self) -> None:
        connection = self._connection
        handled = 0
        try:
            while self._messages:
                message = self._messages.popleft()
                await connection.server.deliver(connection, message)
                self._bytes -= len(message) + MESSAGE_OVERHEAD_BYTES
                connection.resume_if_room()
                handled += 1
                if handled % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)
        finally:
            connection.inbox = None
            connection.resume_if_room()
