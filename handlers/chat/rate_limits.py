"""Rate limits of the clients of a namespace: a short wait, an error, and at last a closed connection."""

import asyncio
import logging
import math
from typing import Final

from chatio.chat.message_rates import MessageRateLimits
from chatio.chat.messages import Author
from chatio.errors import RateLimited
from chatio.realtime import CloseReason, Server, ack_requested

logger = logging.getLogger("chatio.chat")

# Below every sensible `ackTimeout`; at 5 messages a second a message waits 0.2 s.
MAX_WAIT_SECONDS: Final = 1.0
# At the default rate of other events, one more is accepted after a twentieth of this.
RETRY_AFTER_SECONDS: Final = 1
# Messages behind the one of a client that sends its next message after its ack: none, or a `typing`.
MAX_BACKLOG: Final = 2
JOIN_RATE: Final = CloseReason("person_rate", "came in too often", 1013)
FLOOD: Final = CloseReason("flood", "went on sending too much")


class RateLimitGuard:
    """Applies `MessageRateLimits` to the clients of one namespace. Event loop only."""

    def __init__(self, server: Server, namespace: str, limits: MessageRateLimits) -> None:
        self._server = server
        self._namespace = namespace
        self._limits = limits

    async def wait_for_message(self, sid: str, author: Author, wait: float) -> None:
        """Return when the message of `author` at `sid`, which is `wait` seconds too early, is counted.

        Raises `RateLimited`.

        A client that waits for the ack before it sends its next message waits for a moment, instead of an error:
        the official clients with `retries` do so, and take an error for an ack and go on to the next message.
        """
        until = asyncio.get_running_loop().time() + MAX_WAIT_SECONDS
        while wait:
            is_in_step = ack_requested() and self._server.backlog(sid, self._namespace) <= MAX_BACKLOG
            if not is_in_step or asyncio.get_running_loop().time() + wait > until:
                self._count_refused(sid, author)
                raise RateLimited(retry_after_seconds=math.ceil(wait))
            await asyncio.sleep(wait)
            wait = self._limits.message(sid, author.id)

    def try_event(self, sid: str, author: Author) -> bool:
        """Whether an event that is no new message may be handled; counts it."""
        if self._limits.other(author.id):
            return True
        self._count_refused(sid, author)
        return False

    def acquire_event(self, sid: str, author: Author) -> None:
        """Count an event that has an answer. Raises `RateLimited`."""
        if not self.try_event(sid, author):
            raise RateLimited(retry_after_seconds=RETRY_AFTER_SECONDS)

    def _count_refused(self, sid: str, author: Author) -> None:
        if self._limits.count_limited(sid, author.id):
            self._server.close_connection(sid, self._namespace, FLOOD)
            logger.info(
                "Rate limited: a connection of user %s was closed for a flood of events",
                author.id,
                extra={"event": "flood_ended", "person": author.id},
            )
