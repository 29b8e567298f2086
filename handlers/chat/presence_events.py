"""`presence` and `typing`: what people are told of each other, off the log and first to be dropped.

At most one `presence` a second to everybody, and one `typing` a second of each person to the others. Neither has
text as its last argument: a client would take it for an offset.
"""

import asyncio
from typing import Final

import msgspec

from chatio.chat.messages import Author
from chatio.chat.presence import Presence
from chatio.realtime import Server

GRAIN_SECONDS: Final = 1.0


class PresenceBroadcaster:
    """Tells the clients of one namespace. Event loop only."""

    def __init__(self, server: Server, namespace: str, presence: Presence) -> None:
        self._server = server
        self._namespace = namespace
        self._presence = presence
        self._is_telling = False
        self._typing_until: dict[str, float] = {}

    def enter(self, author: Author) -> None:
        """`author` has one connection more."""
        self._presence.enter(author)
        self._tell_soon()

    def leave(self, author: Author) -> None:
        """`author` has one connection less."""
        self._presence.leave(author)
        self._tell_soon()

    def typing(self, author: Author, sid: str) -> None:
        """`author` types, at `sid`: the others are told, unless they were within the last second."""
        now = asyncio.get_running_loop().time()
        if self._typing_until.get(author.id, 0.0) > now:
            return
        self._typing_until = {key: until for key, until in self._typing_until.items() if until > now}
        self._typing_until[author.id] = now + GRAIN_SECONDS
        self._server.aside(self._namespace, "typing", msgspec.to_builtins(author), but=sid)

    def _tell_soon(self) -> None:
        if not self._is_telling:
            self._is_telling = True
            asyncio.get_running_loop().call_later(GRAIN_SECONDS, self._tell)

    def _tell(self) -> None:
        self._is_telling = False
        if self._presence.has_changed:
            self._server.aside(self._namespace, "presence", msgspec.to_builtins(self._presence.take_change()))
