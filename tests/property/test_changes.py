"""Every client has the same view, in whatever order messages are sent, edited, deleted, missed and recovered."""

import asyncio
import itertools
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatio.chat.changes import MessageChanges
from chatio.chat.messages import Author, stamp, time_text
from chatio.chat.voices import Voices
from chatio.errors import MessageRejected
from chatio.log.message_log import MessageLog
from chatio.log.recovery import resume_point
from chatio.log.shared_log import SharedLog, open_log
from chatio.realtime.broadcast.cursor import EncodedLog
from chatio.realtime.engineio.packets import EncodedPacket
from chatio.stores.journal import Journal
from chatio.stores.memory.journal import MemoryJournal
from chatio.stores.records import Change, Kind, Message
from chatio.stores.sqlite.database import open_database
from chatio.stores.sqlite.journal import SqliteJournal
from handlers.chat.namespace import event_of
from tests.contract.journal import message

ANN = Author("7", "Ann")
HISTORY = 3
CLIENTS = 3

# What happens, and to which message or client: the newest is 0.
STEPS = st.tuples(
    st.sampled_from(["post", "post", "edit", "edit", "delete", "cut", "come back", "join", "restart", "forget"]),
    st.integers(0, 5),
)


class DurableJournal(MemoryJournal):
    """Outlives the servers of a test, as a database does."""

    is_durable = True


@dataclass
class Client:
    """Keeps what the official client keeps, and shows messages as a page does."""

    pid: str | None = None
    offset: str | None = None
    position: int | None = None  # in the log; None: cut
    since: int = 0  # the sequence after which it was sent every entry
    view: dict[str, str] = field(default_factory=dict)

    def connect(self, log: MessageLog, history: int) -> None:
        start = resume_point(log, self.pid, self.offset, history=history)
        if not start.recovered:
            self.view, self.since, self.offset = {}, start.after, None
        self.pid, self.position = start.pid, start.after

    def take(self, packet: str) -> None:
        if packet == "6":
            return
        name, data, self.offset = json.loads(packet)
        if name == "receive-message":
            self.view[data["id"]] = data["content"]
        elif name == "message-deleted":
            self.view.pop(data["id"], None)
        elif data["id"] in self.view:
            self.view[data["id"]] = data["content"]


class World:
    def __init__(self, journal: MemoryJournal, window: int) -> None:
        self.journal, self.window = journal, window
        self.clients = [Client() for _ in range(CLIENTS)]
        self.truth: dict[str, tuple[int, str]] = {}  # the sequence and the text of each message
        self.gone: list[str] = []  # texts
        self.texts = iter(range(10_000))
        self.now = datetime(2031, 5, 9, tzinfo=UTC)
        self.forgotten = 0  # up to this sequence

    async def start(self) -> None:
        self.log: SharedLog = await open_log(self.journal, max_messages=self.window)
        self.changes = MessageChanges(
            self.log, edit_seconds=900, max_chars=100, voices=Voices(), clock=lambda: self.now
        )
        self.encoded = EncodedLog(self.log.window, event_of, lambda event: EncodedPacket(json.dumps(event), b""))
        self.log.follower.on_new = self.encode  # a broadcast has taken all before
        for client in self.clients:
            client.position = None

    def encode(self) -> None:
        self.encoded.encode_new(self.encoded.head)

    def text(self) -> str:
        return f"<text {next(self.texts)}>"

    async def step(self, kind: str, which: int) -> None:
        self.now += timedelta(seconds=1)
        client = self.clients[which % CLIENTS]
        ids = list(self.truth)
        if kind == "post":
            text = self.text()
            entry = await self.log.accept(stamp({"content": text}, ANN, max_chars=100, now=self.now))
            self.truth[entry.message.id] = entry.sequence, text
        elif kind in ("edit", "delete") and which < len(ids):
            await self.change(ids[-1 - which], None if kind == "delete" else self.text())
        elif kind == "cut":
            client.position = None
        elif kind == "come back" and client.position is None:
            client.connect(self.log.window, HISTORY)
        elif kind == "join":
            self.clients[which % CLIENTS] = Client()
            self.clients[which % CLIENTS].connect(self.log.window, HISTORY)
        elif kind == "restart" and self.journal.is_durable:
            await self.start()
        elif kind == "forget" and self.journal.is_durable:
            await self.log.forget_before(time_text(self.now - timedelta(seconds=3 * which)))
            self.forgotten = (await self.journal.extent()).tail

    async def change(self, id_: str, text: str | None) -> None:
        raw = {"id": id_, "content": text}
        changing = self.changes.delete(raw, by="7") if text is None else self.changes.edit(raw, by="7")
        try:
            entry = await (await changing)
        except MessageRejected:
            return
        assert entry.message.id == id_
        sequence, before = self.truth[id_]
        self.gone.append(before)
        if text is None:
            del self.truth[id_]
        else:
            self.truth[id_] = sequence, text

    def deliver(self) -> None:
        for client in self.clients:
            while client.position is not None and client.position < self.encoded.head:
                if client.position < self.log.window.tail:
                    client.position = None  # too slow: it is disconnected
                    break
                for sequence, packet in self.encoded.read(client.position):
                    client.position = sequence
                    client.take(str(packet.encoded))

    async def check(self) -> None:
        for client in self.clients:
            if client.position is not None:
                least = max(client.since, self.forgotten)
                expected = [(id_, text) for id_, (number, text) in self.truth.items() if number > least]
                forgotten = {id_ for id_, (number, _) in self.truth.items() if number <= self.forgotten}
                assert [each for each in client.view.items() if each[0] not in forgotten] == expected
        entries = self.log.window.read(0)
        for index, entry in enumerate(entries):
            voids = itertools.takewhile(lambda each: each.kind is Kind.VOID, entries[index:])
            last = max((each.sequence for each in voids), default=entry.sequence)
            assert self.log.window.void_until(entry.sequence) == last
        kept = f"{entries} {self.encoded.recent} {await self.journal.read(0, limit=999)}"
        assert not [text for text in self.gone if text in kept]


async def play(journal: MemoryJournal, window: int, steps: Sequence[tuple[str, int]], pace: int) -> None:
    world = World(journal, window)
    await world.start()
    for number, (kind, which) in enumerate(steps):
        await world.step(kind, which)
        if number % pace == 0:  # else several steps are delivered at once
            world.deliver()
            await world.check()
    for client in world.clients:
        if client.position is None:
            client.connect(world.log.window, HISTORY)
    world.deliver()
    await world.check()


@settings(database=None, deadline=None, max_examples=200)
@example(
    steps=[("post", 0), ("edit", 0), ("post", 0), ("post", 0), ("post", 0), ("edit", 3)],
    window=4,
    pace=1,
    is_durable=False,
)
@given(st.lists(STEPS, max_size=60), st.sampled_from([4, 12, 1000]), st.integers(1, 4), st.booleans())
def test_every_client_has_the_same_view(
    steps: list[tuple[str, int]], window: int, pace: int, is_durable: bool
) -> None:
    journal = DurableJournal() if is_durable else MemoryJournal(max_messages=window)
    asyncio.run(play(journal, window, steps, pace))


# The journal in SQLite does what the one in memory does

JOURNAL_STEPS = st.lists(
    st.one_of(
        st.lists(
            st.builds(message, st.sampled_from("abc"), st.sampled_from("78"), st.text(max_size=3)), max_size=3
        ),
        st.lists(
            st.builds(
                Change,
                st.sampled_from("uvwxyz"),
                st.sampled_from("abc"),
                st.none() | st.sampled_from(["", "one", "other " * 50]),
                st.sampled_from(["2031-05-09T12:05:00.000Z", "2031-05-09T12:06:00.000Z"]),
            ),
            min_size=1,
            max_size=3,
        ),
        st.integers(0, 12),
    ),
    max_size=12,
)


async def steps_on(journal: Journal, steps: list[list[Message] | list[Change] | int]) -> list[object]:
    """What a journal answers to messages, to changes, and to being told to forget; and what it has after each."""
    answers: list[object] = []
    for step in steps:
        if isinstance(step, int):
            answers.append(await journal.forget(step, limit=2))
        elif step and isinstance(step[0], Change):
            results = await journal.change([each for each in step if isinstance(each, Change)])
            answers += [(result.is_new, result.refusal, result.refusal or result.record) for result in results]
        else:
            answers += await journal.append([each for each in step if isinstance(each, Message)])
        answers.append((await journal.extent())[1:])
        answers.append(await journal.read(0, limit=99))
        answers += [await journal.find("a"), await journal.by_author("7", 1, limit=2)]
    return answers


@settings(database=None, deadline=None, max_examples=30)
@given(JOURNAL_STEPS)
def test_the_journal_in_sqlite_does_what_the_one_in_memory_does(
    steps: list[list[Message] | list[Change] | int],
) -> None:
    async def both(file: Path) -> tuple[list[object], list[object]]:
        database = open_database(file)
        try:
            return await steps_on(SqliteJournal(database), steps), await steps_on(MemoryJournal(), steps)
        finally:
            await database.close()

    with tempfile.TemporaryDirectory() as folder:
        in_sqlite, in_memory = asyncio.run(both(Path(folder) / "chat.db"))
    assert in_sqlite == in_memory
