"""Presence: which users are online, however many connections each has.

Pure bookkeeping, without sockets and clock. Changes are collected until they are taken, so that many connections
at once become one event. A user who goes offline and comes back between two events is no change.
"""

from bisect import bisect_left, bisect_right, insort
from typing import Annotated, Final

import msgspec

from chatio.chat.messages import Author
from chatio.throttling.concurrency import ConcurrencyLimit

MOST_NAMED: Final = 20  # users that an event names as come, and as left; it counts the others


class Change(msgspec.Struct, frozen=True):
    """The number of users `online`, and users who `came` or `left` since the last event; `more` are not named."""

    online: Annotated[int, msgspec.Meta(examples=[7])]
    came: list[Author]
    left: list[Author]
    more: Annotated[int, msgspec.Meta(examples=[0])]


class Presence:
    """Counts the connections of each user. Event loop only."""

    def __init__(self) -> None:
        self._connections = ConcurrencyLimit()
        self._online: dict[str, bytes] = {}  # in JSON, since a wave of clients asks for all of them at once
        self._bytes = 0  # of all of these
        self._ids: list[str] = []  # sorted: the pages of all servers of a database have the same order
        self._came: dict[str, Author] = {}
        self._left: dict[str, Author] = {}

    def __len__(self) -> int:
        """The number of users online."""
        return len(self._online)

    @property
    def has_changed(self) -> bool:
        """Whether a user came or left since the last `take_change`."""
        return bool(self._came or self._left)

    def connected(self, author: Author) -> None:
        """Count one more connection of `author`."""
        is_first = author.id not in self._connections
        self._connections.acquire(author.id)
        if is_first:
            self._online[author.id] = encoded = msgspec.json.encode(author)
            self._bytes += len(encoded)
            insort(self._ids, author.id)
            if self._left.pop(author.id, None) is None:
                self._came[author.id] = author

    def disconnected(self, author: Author) -> None:
        """Count one connection of `author` fewer."""
        self._connections.release(author.id)
        if author.id not in self._connections:
            self._bytes -= len(self._online.pop(author.id))
            del self._ids[bisect_left(self._ids, author.id)]
            if self._came.pop(author.id, None) is None:
                self._left[author.id] = author

    def online(self, *, after: str = "", max_bytes: int) -> tuple[msgspec.Raw, str | None]:
        """The users online as a list in JSON of about `max_bytes` at most, and the `after` of the next, or None.

        All of them in the order in which they came; or, where these are too many, by their ids, behind `after`.
        """
        if not after and self._bytes <= max_bytes:
            return msgspec.Raw(b"[%b]" % b",".join(self._online.values())), None
        page: list[bytes] = []
        size, place = 0, bisect_right(self._ids, after)
        while place < len(self._ids) and size < max_bytes:
            page.append(encoded := self._online[self._ids[place]])
            size += len(encoded)
            place += 1
        next_after = self._ids[place - 1] if place < len(self._ids) else None
        return msgspec.Raw(b"[%b]" % b",".join(page)), next_after

    def take_change(self) -> Change:
        """The change since the last call, which begins a new one."""
        came, left = list(self._came.values()), list(self._left.values())
        self._came.clear()
        self._left.clear()
        named = came[:MOST_NAMED], left[:MOST_NAMED]
        return Change(len(self._online), *named, len(came) + len(left) - sum(map(len, named)))
