"""Cluster: beats, silent servers, deafness, and what signals bring, with a bus of the tests' own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from chatio.chat.messages import Author
from chatio.cluster import cluster as module
from chatio.cluster import people as shared_people
from chatio.cluster.cluster import Cluster
from chatio.errors import StoreUnavailable
from chatio.log.shared_log import SharedLog, open_log
from chatio.stores.accounts import Ended
from chatio.stores.bus import MOST_TYPING_BYTES, Person, Revoked, ServerSeen, Signal
from chatio.stores.journal import Extent
from chatio.stores.memory.journal import MemoryJournal
from chatio.stores.records import Record
from tests.client.wire import until
from tests.conftest import ExpectedLogs
from tests.contract.journal import message

ANN, BOB = Author("7", "Ann"), Author("8", "Bob")


class FakeBus:
    """A bus that says what a test gives it, and keeps what it is told."""

    id = "me"

    def __init__(self) -> None:
        self.others: list[ServerSeen] = []
        self.people: dict[str, tuple[int, list[Person]]] = {}
        self.revoked: list[Revoked] = []
        self.told: list[tuple[int, list[Person], bool]] = []
        self.typed: list[str] = []
        self.asked: list[tuple[str, int]] = []
        self.version = 0
        self.heard: Callable[[Signal, str], None] = lambda signal, text: None
        self.is_listening = False
        self.hears_beats = True
        self.is_gone = False
        self.anew = 0

    async def listen(self, heard: Callable[[Signal, str], None]) -> None:
        self.heard, self.is_listening = heard, True
        heard(Signal.LISTENING, "")
        await asyncio.Event().wait()

    def entries(self, text: str, *, are_taken: bool) -> tuple[int, list[Record]]:
        """The text of a signal: the number, and a message that it brings or none."""
        number, _, id_ = text.partition(" ")
        return int(number), [Record(int(number), message(id_))] if id_ and are_taken else []

    def listen_anew(self) -> None:
        self.anew += 1
        self.hears_beats = True

    async def beat(self, name: str) -> list[ServerSeen]:
        if self.is_gone:
            raise StoreUnavailable(retry_after_seconds=2)
        if self.hears_beats:
            asyncio.get_running_loop().call_soon(self.heard, Signal.BEAT, "")
        return [ServerSeen(self.id, name, 0.0, self.version), *self.others]

    async def leave(self) -> None:
        self.others = []

    async def last_revocation(self) -> int:
        return 0

    async def revoked_after(self, sequence: int) -> list[Revoked]:
        return [each for each in self.revoked if each.sequence > sequence]

    async def tell_people(self, version: int, changed: Sequence[Person], *, is_all: bool) -> None:
        if self.is_gone:
            raise StoreUnavailable(retry_after_seconds=2)
        self.told.append((version, list(changed), is_all))
        self.version = version

    async def people_of(self, server: str, after: int) -> tuple[int, list[Person]]:
        self.asked.append((server, after))
        return self.people[server]

    async def tell_typing(self, text: str) -> None:
        self.typed.append(text)


class Site:
    """A server of a cluster."""

    def __init__(self, bus: FakeBus, log: SharedLog, cluster: Cluster) -> None:
        self.bus, self.log, self.cluster = bus, log, cluster
        self.online: list[str] = []
        self.typing: list[str] = []
        self.ended: list[tuple[str, str]] = []
        cluster.revocations.on_revoked = self._revoked
        self.people = cluster.share_people(
            came=lambda author: self.online.append(author.name),
            left=lambda author: self.online.remove(author.name),
            typing=lambda author: self.typing.append(author.name),
        )

    async def _revoked(self, ended: Ended, reason: str) -> None:
        self.ended.append((ended.subject, reason))


@asynccontextmanager
async def running(*others: ServerSeen) -> AsyncIterator[Site]:
    bus, log = FakeBus(), await open_log(MemoryJournal())
    bus.others = list(others)
    site = Site(bus, log, Cluster(bus, "1", log.follower, revoked=0))
    await site.cluster.start()
    try:
        yield site
    finally:
        await site.cluster.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(module, "ASK_SECONDS", 0.001)
    monkeypatch.setattr(shared_people, "TYPING_SECONDS", 0.001)


def seen(id_: str, name: str = "2", *, silent: float = 0.0, people: int = 0) -> ServerSeen:
    return ServerSeen(id_, name, silent, people)


async def test_servers_that_beat_are_there_and_those_that_are_silent_are_gone_with_their_users() -> None:
    async with running() as site:
        assert site.cluster.others == {}
        site.bus.people["b"] = (1, [Person("7", "Ann", is_online=True)])
        site.bus.others = [seen("b", people=1)]
        await until(lambda: site.online == ["Ann"])
        assert site.cluster.others == {"b": "2"}
        site.bus.others = [seen("b", silent=module.SILENT_SECONDS + 1, people=1)]
        site.cluster._seen_at["b"] -= module.SILENT_SECONDS + 1
        await until(lambda: site.online == [])
        assert site.cluster.others == {}


async def test_after_the_database_was_away_no_server_is_taken_for_gone() -> None:
    async with running(seen("b")) as site:
        site.bus.others = []  # which the database forgot, and which beats again a moment later
        site.cluster._beat_at -= module.SILENT_SECONDS
        site.cluster._seen_at["b"] -= 2 * module.SILENT_SECONDS
        await site.cluster._beat()
        assert site.cluster.others == {"b": "2"}


async def test_a_server_that_does_not_hear_its_beats_says_so_asks_the_journal_and_listens_anew(
    logs: ExpectedLogs,
) -> None:
    logs.expect("Deaf")
    async with running(seen("b")) as site:
        await until(lambda: site.bus.is_listening)
        assert not site.cluster.is_deaf
        site.bus.listen_anew, listen_anew = (lambda: None), site.bus.listen_anew  # type: ignore[method-assign]
        site.bus.hears_beats = False
        await until(lambda: site.cluster.is_deaf)
        journal = site.log._journal
        journal.append([message("unheard")])
        await until(lambda: site.log.window.head == 1)
        site.bus.listen_anew = listen_anew  # type: ignore[method-assign]
        await until(lambda: not site.cluster.is_deaf)
        assert site.bus.anew > 0


async def test_a_server_alone_is_never_called_deaf() -> None:
    async with running() as site:
        site.bus.is_listening = False
        assert not site.cluster.is_deaf


async def test_signals_bring_messages_typing_and_revocations_each_once() -> None:
    async with running(seen("b")) as site:
        await until(lambda: site.bus.is_listening)
        site.log._journal.append([message("x")])
        site.bus.heard(Signal.HEAD, "1")
        await until(lambda: site.log.window.head == 1)
        site.bus.heard(Signal.TYPING, '["b", [{"id": "7", "name": "Ann"}]]')
        site.bus.heard(Signal.TYPING, '["me", [{"id": "8", "name": "Bob"}]]')
        assert site.typing == ["Ann"]
        site.bus.revoked = [Revoked(5, Ended("7", "", 1.0, 2.0), "signed_out")]
        site.bus.heard(Signal.REVOKED, "5")
        await until(lambda: len(site.ended) == 1)
        site.bus.revoked.append(Revoked(4, Ended("8", "", 1.0, 2.0), ""))  # began earlier, and was committed later
        site.bus.heard(Signal.REVOKED, "4")
        await until(lambda: len(site.ended) == 2)
        assert site.ended == [("7", "signed_out"), ("8", "")]
        site.bus.heard(Signal.LISTENING, "")
        site.bus.revoked.append(Revoked(6, Ended("9", "", 1.0, 2.0), ""))  # unheard
        await until(lambda: len(site.ended) == 3)


async def test_messages_that_a_signal_brings_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(seen("b")) as site:
        await until(lambda: site.bus.is_listening)
        await site.log.follower.check()
        await asyncio.sleep(0)
        monkeypatch.setattr(site.log._journal, "read", None)
        site.bus.heard(Signal.HEAD, "1 x")
        site.bus.heard(Signal.HEAD, "1 x")
        assert [entry.message.id for entry in site.log.window.read(0)] == ["x"]


async def test_messages_of_signals_are_not_taken_before_the_journal_is_known_to_be_the_one_of_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(seen("b")) as site:
        await until(lambda: site.bus.is_listening)
        extent, may_answer = site.log._journal.extent, asyncio.Event()

        async def slow() -> Extent:
            await may_answer.wait()
            return await extent()

        monkeypatch.setattr(site.log._journal, "extent", slow)
        site.bus.heard(Signal.LISTENING, "")
        site.bus.heard(Signal.HEAD, "1 y")
        await asyncio.sleep(0)
        assert site.log.window.head == 0
        site.log._journal.append([message("x")])
        may_answer.set()
        await until(lambda: site.log.window.head == 1)
        site.bus.heard(Signal.HEAD, "2 z")
        assert [entry.message.id for entry in site.log.window.read(0)] == ["x", "z"]


async def test_typing_is_told_to_others_together_and_only_if_there_are_any() -> None:
    async with running() as site:
        site.cluster.typing(ANN)
        await asyncio.sleep(0)
        assert site.cluster._typing._untold == {}
        site.bus.others = [seen("b")]
        await until(lambda: bool(site.cluster.others))
        for author in (ANN, BOB, ANN):
            site.cluster.typing(author)
        await until(lambda: bool(site.bus.typed))
        assert site.bus.typed == ['["me",[{"id":"7","name":"Ann"},{"id":"8","name":"Bob"}]]']


async def test_many_who_type_at_once_are_told_as_far_as_a_signal_goes() -> None:
    async with running(seen("b")) as site:
        for number in range(1000):
            site.cluster.typing(Author(str(number), "x" * 64))
        await until(lambda: bool(site.bus.typed))
        assert MOST_TYPING_BYTES / 4 < len(site.bus.typed[0]) <= MOST_TYPING_BYTES


async def test_users_of_this_server_are_told_as_they_come_and_leave_and_anew_after_a_failure() -> None:
    async with running(seen("b")) as site:
        for author in (ANN, ANN, BOB):
            site.people.connected(author)
        await until(lambda: len(site.bus.told) == 1)
        site.people.disconnected(ANN)
        site.people.disconnected(BOB)
        await until(lambda: len(site.bus.told) == 2)
        assert [(changed, is_all) for _, changed, is_all in site.bus.told] == [
            ([Person("7", "Ann", is_online=True), Person("8", "Bob", is_online=True)], False),
            ([Person("8", "Bob", is_online=False)], False),
        ]
        site.bus.version = 0  # the database has forgotten this server
        await until(lambda: len(site.bus.told) == 3)
        version, changed, is_all = site.bus.told[2]
        assert (changed, is_all) == ([Person("7", "Ann", is_online=True)], True)
        assert version > site.bus.told[1][0] + 60
        site.bus.is_gone = True
        site.people.connected(BOB)
        with pytest.raises(StoreUnavailable):
            await site.people.tell(version)
        site.bus.is_gone = False
        await until(lambda: len(site.bus.told) == 4)
        assert [person.name for person in site.bus.told[3][1]] == ["Ann", "Bob"]


async def test_users_of_another_server_are_read_as_changes_and_in_full_after_a_jump() -> None:
    async with running(seen("b")) as site:
        ann, bob = Person("7", "Ann", is_online=True), Person("8", "Bob", is_online=True)
        site.bus.people["b"] = (1, [ann, bob])
        await until(lambda: site.bus.is_listening)
        site.bus.heard(Signal.PEOPLE, "b 1")
        site.bus.others = [seen("b", people=1)]
        await until(lambda: site.online == ["Ann", "Bob"])
        site.bus.people["b"] = (2, [ann._replace(is_online=False)])
        site.bus.others = [seen("b", people=2)]
        await until(lambda: site.online == ["Bob"])
        site.bus.people["b"] = (99, [ann])
        site.bus.others = [seen("b", people=99)]
        await until(lambda: site.online == ["Ann"])
        assert site.bus.asked == [("b", 0), ("b", 1), ("b", 0)]
