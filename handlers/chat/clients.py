"""The clients of the chat, as the server's shutdown sees them."""

import asyncio
from typing import Final

from chatio.log.shared_log import SharedLog
from chatio.realtime import Server
from chatio.server.shutdown import Handover

# Of the time for shutting down, what messages on their way to the database may take.
COMMIT_SHARE: Final = 0.5


class ChatClients:
    """Disconnects the clients after each accepted message has reached them, and its sender's ack too."""

    def __init__(self, server: Server, log: SharedLog) -> None:
        self._server = server
        self._log = log

    @property
    def connections(self) -> int:
        return self._server.connections

    async def shut_down(self, seconds: float, handover: Handover | None = None) -> None:
        """As `Server.shut_down`, after the server has begun to refuse new messages."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        await self._log.settle(seconds * COMMIT_SHARE)
        await self._server.shut_down(until - loop.time(), handover)
