"""Holds the clients of a namespace to their pace: a moment's wait, a refusal, and the way out."""

import asyncio
import logging
import math
from typing import Final

from chatio.chat.message_rates import MessageRateLimits
from chatio.chat.messages import Author
from chatio.errors import RateLimited
from chatio.realtime import Server, ack_requested

logger = logging.getLogger("chatio.chat")

# Below every sensible `ackTimeout`; at 5 messages a second a turn comes after 0.2 s.
HOLD_SECONDS: Final = 1.0
# One more is let through after a twentieth of it, as a rule.
RETRY_AFTER_SECONDS: Final = 1
# What waits behind the message of a client that sends its next when it has its ack: nothing, or `typing`.
MOST_BEHIND: Final = 2


class RateLimitGuard:
    """`MessageRateLimits`, for one namespace. Event loop only."""

    def __init__(self, server: Server, namespace: str, turns: MessageRateLimits) -> None:
        self._server = server
        self._namespace = namespace
        self._turns = turns

    async def wait_for_turn(self, sid: str, author: Author) -> None:
        """Return when a message of `author` at `sid` may be taken. Raises `RateLimited`.

        Who waits for the ack before sending the next message is held for a moment, and not refused: so do the
        official clients with `retries`, which take a refusal for an answer and go on to their next message.
        """
        until = asyncio.get_running_loop().time() + HOLD_SECONDS
        while wait := self._turns.message(sid, author.id):
            is_in_step = ack_requested() and self._server.backlog(sid, self._namespace) <= MOST_BEHIND
            if not is_in_step or asyncio.get_running_loop().time() + wait > until:
                self._refused(sid, author)
                raise RateLimited(retry_after_seconds=math.ceil(wait))
            await asyncio.sleep(wait)

    def takes(self, sid: str, author: Author) -> bool:
        """Whether an event that is no new message may be looked at."""
        if self._turns.other(author.id):
            return True
        self._refused(sid, author)
        return False

    def require(self, sid: str, author: Author) -> None:
        """`takes`, for an event that has an answer. Raises `RateLimited`."""
        if not self.takes(sid, author):
            raise RateLimited(retry_after_seconds=RETRY_AFTER_SECONDS)

    def lets_in(self, sid: str, author: Author) -> bool:
        """Whether `sid` may come in; if not, its connection is closed already."""
        if self._turns.joining(author.id):
            return True
        self._server.expel(sid, self._namespace, "came in too often")
        return False

    def _refused(self, sid: str, author: Author) -> None:
        if self._turns.refused(sid, author.id):
            self._server.expel(sid, self._namespace, "went on sending too much")
            logger.info(
                "Person %s was shown out of the chat for a flood",
                author.id,
                extra={"event": "flood_ended", "person": author.id},
            )
