"""Cluster: this server among the servers of one database.

    beat      each second: this server is there; which others are, and what they have that this one does not know
    signals   in between: new messages, revoked tokens, users who come, leave or type
    deaf      a server that does not hear its own beats listens anew, and meanwhile asks the tables

Signals may be lost. What they tell of is in tables that the beat looks at, but for typing.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from chatio.chat.messages import Author
from chatio.cluster.people import SharedPeople, SharedTyping
from chatio.cluster.revocations import SharedRevocations
from chatio.errors import Temporary
from chatio.log.following import Follower
from chatio.stores.bus import Bus, ServerSeen, Signal
from chatio.telemetry.error_report import report
from chatio.telemetry.schedule import repeat

logger = logging.getLogger("chatio.cluster")

BEAT_SECONDS: Final = 1.0
DEAF_BEATS: Final = 2  # not heard, one after the other
ASK_SECONDS: Final = 0.25  # between two looks at the journal while this server is deaf
LEAVE_SECONDS: Final = 1.0  # of the time for shutting down
SILENT_SECONDS: Final = 5.0  # a server without a beat for so long is gone


class Cluster:
    """Event loop only."""

    def __init__(self, bus: Bus, name: str, follower: Follower, *, revoked: int) -> None:
        """`name` is what operators call this server. `revoked`: the sequence of the newest revocation it knows."""
        self.name = name
        self.revocations = SharedRevocations(bus, revoked)
        self.others: dict[str, str] = {}  # the names of the other servers, by id
        self._people: SharedPeople | None = None  # None: presence is off
        self._on_typing: Callable[[Author], object] = lambda author: None
        self._bus = bus
        self._follower = follower
        self._seen_at: dict[str, float] = {}  # the last beat of each other server, by this server's clock
        self._beat_at = 0.0
        self._unheard = 0  # own beats
        self._listening = 0  # how often the bus has begun to listen,
        self._checked = 0  # and which time it was when the journal was last known to be the one of before
        self._told = 0  # the version of this server's users that the database knows
        self._versions: dict[str, int] = {}  # of the users of other servers
        self._typing = SharedTyping(bus)
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_deaf(self) -> bool:
        """Whether there are other servers, and this one may not hear them."""
        return bool(self.others) and (not self._bus.is_listening or self._unheard >= DEAF_BEATS)

    def share_people(
        self,
        *,
        came: Callable[[Author], None],
        left: Callable[[Author], None],
        typing: Callable[[Author], object],
    ) -> SharedPeople:
        """From `start` on, call these for users at other servers; what is returned takes the users of this one."""
        self._people = SharedPeople(self._bus, came=came, left=left)
        self._on_typing = typing
        return self._people

    async def start(self) -> None:
        """Beat for the first time, and go on until `stop`. Raises `StoreUnavailable`."""
        await self._beat()
        for each in (self._bus.listen(self._heard), self._watch(), self._read_news(), self._ask_while_deaf()):
            self._spawn(each)

    async def stop(self) -> None:
        """This server ends: the others forget it at once, if the database answers."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(Temporary, TimeoutError):  # it is silent from now on
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._bus.leave()

    def typing(self, author: Author) -> None:
        """Tell the other servers that `author` types at this one."""
        if self.others and self._typing.add(author):
            self._spawn(self._typing.tell())

    # Beats

    async def _watch(self) -> None:
        await repeat(logger, "beat", BEAT_SECONDS, self._beat_and_tell)

    async def _beat_and_tell(self) -> None:
        await self._beat()
        self._news.set()
        if self._checked != self._listening:
            self._spawn(self._look())
        if self._people is not None:
            await self._people.tell(self._told)

    async def _beat(self) -> None:
        servers = await self._bus.beat(self.name)
        now = asyncio.get_running_loop().time()
        if now - self._beat_at > SILENT_SECONDS / 2:  # the database was away, for the others too
            self._seen_at = dict.fromkeys(self._seen_at, now)
        self._beat_at = now
        self._take(servers, now)
        self._unheard += 1
        if self._unheard > DEAF_BEATS and self._bus.is_listening:
            logger.warning("Deaf: signals of other servers do not come; listening anew", extra={"event": "deaf"})
            self._bus.listen_anew()

    def _take(self, servers: list[ServerSeen], now: float) -> None:
        for server in servers:
            if server.id == self._bus.id:
                self._told = server.people
            else:
                self._seen_at[server.id] = max(now - server.silent_seconds, self._seen_at.get(server.id, 0.0))
                self._versions[server.id] = server.people
        names = {server.id: server.name for server in servers}
        others = {
            each: names.get(each) or self.others.get(each, "")
            for each, seen_at in self._seen_at.items()
            if now - seen_at < SILENT_SECONDS
        }
        for gone in self._seen_at.keys() - others.keys():
            del self._seen_at[gone]
            self._versions.pop(gone, None)
            if self._people is not None:
                self._people.forget(gone)
        if others != self.others:
            self.others = others
            self._say_who_is_there()

    def _say_who_is_there(self) -> None:
        names = sorted(name or each for each, name in self.others.items())
        logger.info(
            "Servers of this database: %s and %s",
            self.name or "this one",
            f"{len(names)} more ({', '.join(names)})" if names else "no other",
            extra={"event": "servers", "servers": len(names) + 1},
        )

    async def _ask_while_deaf(self) -> None:
        async def ask() -> None:
            if self.is_deaf:
                await self._look()

        await repeat(logger, "asking the journal", ASK_SECONDS, ask)

    async def _look(self) -> None:
        listening = self._listening
        try:
            await self._follower.check()
            self._checked = listening
        except Temporary:
            pass
        except Exception as error:
            report(logger, "asking the journal", error)

    # Signals

    def _heard(self, signal: Signal, text: str) -> None:
        if signal is Signal.HEAD:
            self._hear_of_entries(text)
        elif signal is Signal.TYPING:
            for author in self._typing.take(text):
                self._on_typing(author)
        elif signal is Signal.BEAT:
            self._unheard = 0
        elif signal is Signal.PEOPLE:
            server, _, version = text.partition(" ")
            self._versions[server] = int(version)
            self._news.set()
        elif signal is Signal.REVOKED:
            self.revocations.heard(int(text))
            self._news.set()
        else:
            self._unheard = 0
            self._listening += 1
            self.revocations.unheard()
            self._spawn(self._look())
            self._news.set()

    def _hear_of_entries(self, text: str) -> None:
        """Another database tells them after a failover, maybe one that lost messages: not before the check."""
        is_checked = self._checked == self._listening
        head, entries = self._bus.entries(text, are_taken=is_checked)
        self._follower.offer(entries)
        self._follower.heard(head)

    async def _read_news(self) -> None:
        while True:
            try:
                await self._news.wait()
                self._news.clear()
                await self.revocations.follow()
                await self._follow_people()
            except Temporary:
                pass  # the next beat asks again
            except Exception as error:
                report(logger, "news of other servers", error)

    async def _follow_people(self) -> None:
        if self._people is not None:
            for server in list(self.others):
                await self._people.follow(server, self._versions.get(server, 0))

    def _spawn(self, coroutine: "Awaitable[None]") -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
