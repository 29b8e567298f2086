"""Who is online: people, not connections.

Pure bookkeeping: it knows no sockets and no clock. What changed is collected until somebody takes it, so that a
storm of pages becomes one event. Somebody who left and came back in between is no change.
"""

from typing import Final

import msgspec

from chatio.chat.messages import Author
from chatio.throttling.concurrency import ConcurrencyLimit

MOST_NAMED: Final = 20  # of those who came, and of those who left: a storm is a number, not a list for everybody


class Change(msgspec.Struct, frozen=True):
    """`online` people now, and some of who `came` and `left` since the last change; `more` are not named."""

    online: int
    came: list[Author]
    left: list[Author]
    more: int


class Presence:
    """Counts the connections of each person. Event loop only."""

    def __init__(self) -> None:
        self._connections = ConcurrencyLimit()
        self._online: dict[str, Author] = {}
        self._came: dict[str, Author] = {}
        self._left: dict[str, Author] = {}

    def __len__(self) -> int:
        return len(self._online)

    @property
    def has_changed(self) -> bool:
        return bool(self._came or self._left)

    def enter(self, author: Author) -> None:
        """One more connection of `author`."""
        is_first = author.id not in self._connections
        self._connections.acquire(author.id)
        if is_first:
            self._online[author.id] = author
            if self._left.pop(author.id, None) is None:
                self._came[author.id] = author

    def leave(self, author: Author) -> None:
        """One connection of `author` less."""
        self._connections.release(author.id)
        if author.id not in self._connections:
            del self._online[author.id]
            if self._came.pop(author.id, None) is None:
                self._left[author.id] = author

    def online(self) -> list[Author]:
        """Everybody, in the order in which they came."""
        return list(self._online.values())

    def take_change(self) -> Change:
        """What changed since the last call; the next one begins anew."""
        came, left = list(self._came.values()), list(self._left.values())
        self._came.clear()
        self._left.clear()
        named = came[:MOST_NAMED], left[:MOST_NAMED]
        return Change(len(self._online), *named, len(came) + len(left) - sum(map(len, named)))
