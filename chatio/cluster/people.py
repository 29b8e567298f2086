"""Shared people: which users are online or type at other servers of the database, each counted once.

A server tells which users came to it or left it, once a second, as a new version of its users. The others read
what changed since the version that they know. A server that is gone has no users any more.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import msgspec

from chatio.chat.messages import Author
from chatio.errors import Temporary
from chatio.stores.bus import KEPT_VERSIONS, MOST_TYPING_BYTES, Bus, Person
from chatio.throttling.concurrency import ConcurrencyLimit

TYPING_SECONDS: Final = 0.1
_JUMP: Final = KEPT_VERSIONS + 1  # versions that no server knows: all users are told, and read, anew


class SharedPeople:
    """The users at this server and at the others. Event loop only."""

    def __init__(self, bus: Bus, *, came: Callable[[Author], None], left: Callable[[Author], None]) -> None:
        """`came` and `left` are called for users at other servers."""
        self._bus = bus
        self._came = came
        self._left = left
        self._connections = ConcurrencyLimit()
        self._here: dict[str, Author] = {}
        self._changed: dict[str, Person] = {}  # and not told yet
        self._version = 0
        self._elsewhere: dict[str, dict[str, Author]] = {}  # by server
        self._known: dict[str, int] = {}  # the version of each server that was read

    def connected(self, author: Author) -> None:
        """`author` has one connection more at this server."""
        self._connections.acquire(author.id)
        if author.id not in self._here:
            self._here[author.id] = author
            self._changed[author.id] = Person(author.id, author.name, is_online=True)

    def disconnected(self, author: Author) -> None:
        """`author` has one connection less at this server."""
        self._connections.release(author.id)
        if author.id not in self._connections:
            del self._here[author.id]
            self._changed[author.id] = Person(author.id, author.name, is_online=False)

    async def tell(self, told: int) -> None:
        """Tell what has changed; or everything, if `told`, the version that the database has, is another one.

        Raises `StoreUnavailable`.
        """
        is_all = told != self._version
        if not self._changed and not is_all:
            return
        self._version = max(told, self._version) + (_JUMP if is_all else 1)
        changed, self._changed = self._changed, {}
        here = [Person(author.id, author.name, is_online=True) for author in self._here.values()]
        await self._bus.tell_people(self._version, here if is_all else list(changed.values()), is_all=is_all)

    async def follow(self, server: str, version: int) -> None:
        """Read what has changed at `server` up to its `version`. Raises `StoreUnavailable`."""
        known = self._known.get(server, 0)
        if version <= known:
            return
        is_all = version - known > KEPT_VERSIONS or not known
        newest, people = await self._bus.people_of(server, 0 if is_all else known)
        self._known[server] = max(version, newest)
        before = self._elsewhere.setdefault(server, {})
        if is_all:
            online = {person.id for person in people}
            people += [
                Person(each.id, each.name, is_online=False) for each in before.values() if each.id not in online
            ]
        for person in people:
            self._apply(before, person)

    def forget(self, server: str) -> None:
        """`server` is not there any more."""
        self._known.pop(server, None)
        for author in self._elsewhere.pop(server, {}).values():
            self._left(author)

    def _apply(self, at_server: dict[str, Author], person: Person) -> None:
        author = Author(person.id, person.name)
        if person.is_online and person.id not in at_server:
            at_server[person.id] = author
            self._came(author)
        elif not person.is_online and person.id in at_server:
            self._left(at_server.pop(person.id))


class SharedTyping:
    """Which users type, told to the other servers in one signal for a tenth of a second. Event loop only."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._untold: dict[str, Author] = {}

    def add(self, author: Author) -> bool:
        """Whether `tell` must be called: `author` is the first of its signal."""
        self._untold[author.id] = author
        return len(self._untold) == 1

    async def tell(self) -> None:
        await asyncio.sleep(TYPING_SECONDS)
        authors, self._untold = list(self._untold.values()), {}
        while len(text := msgspec.json.encode([self._bus.id, authors])) > MOST_TYPING_BYTES:
            authors = authors[: len(authors) // 2]
        with contextlib.suppress(Temporary):  # it may be lost
            await self._bus.tell_typing(text.decode())

    def take(self, text: str) -> list[Author]:
        """The users at other servers that a signal tells of."""
        server, authors = msgspec.json.decode(text, type=tuple[str, list[Author]])
        return [] if server == self._bus.id else authors
