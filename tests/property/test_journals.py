"""Journals against a model: whatever is appended, wherever the process is killed, and what comes after that.

A process that is killed leaves its files as they are at that moment: the test copies them, and opens the copy.
Power cuts, after which also a part of the writes is gone, are simulated by `tests.system.power_cuts`.
"""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from chatio.stores.journal import Appended, Journal
from chatio.stores.memory.journal import MemoryJournal
from chatio.stores.records import Message, Record, derived_id
from chatio.stores.sqlite.database import Database, open_database
from chatio.stores.sqlite.journal import SqliteJournal
from tests.contract.journal import message

T = TypeVar("T")

# Few ids and authors, so that most batches have something that was there before.
MESSAGES = st.builds(
    lambda id_, author: message(id_, author, f"{author} {id_}"), st.sampled_from("abcdef"), st.sampled_from("78")
)
BATCHES = st.lists(MESSAGES, max_size=4)


class Killed(BaseException):
    """The process ends here."""


class Moment(NamedTuple):
    """When a process is killed in a transaction: before or after its so-manieth statement."""

    statement: int
    is_after: bool


class Doomed:
    """A connection whose process is killed at `moment`; afterwards it does nothing at all."""

    def __init__(self, connection: Any, moment: Moment) -> None:
        self._connection = connection
        self._moment = moment
        self._count = 0
        self.has_committed = False
        self.in_transaction = False  # for the undoing, which a process that was killed does not do

    def execute(self, statement: str, *arguments: Any) -> Any:
        self._count += 1
        if self._count > self._moment.statement or (
            self._count == self._moment.statement and not self._moment.is_after
        ):
            raise Killed
        result = self._connection.execute(statement, *arguments)
        self.has_committed |= statement == "COMMIT"
        if self._count == self._moment.statement:
            raise Killed
        return result


class Model:
    """What a journal is to do."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.head = self.tail = 0

    def append(self, batch: list[Message]) -> list[Appended]:
        return [self._append(each) for each in batch]

    def forget(self, up_to: int) -> None:
        self.tail = max(self.tail, min(up_to, self.head))
        self.records = [record for record in self.records if record.number > self.tail]

    def _append(self, new: Message) -> Appended:
        first = self._find(new.id)
        if first is not None and first.message.author_id != new.author_id:
            new = msgspec.structs.replace(new, id=derived_id(new.author_id, new.id))
            first = self._find(new.id)
        if first is not None:
            return Appended(first, is_new=False)
        self.head += 1
        self.records.append(Record(self.head, new))
        return Appended(self.records[-1], is_new=True)

    def _find(self, id_: str) -> Record | None:
        return next((record for record in self.records if record.message.id == id_), None)


class JournalMachine(RuleBasedStateMachine):
    """A journal that is compared with its model after each step. A back end says what a kill leaves."""

    journal: Journal

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.model = Model()
        self.run(self.start())
        self.epoch = self.run(self.journal.extent()).epoch

    def run(self, awaited: Awaitable[T]) -> T:
        async def result() -> T:
            return await awaited

        return self.loop.run_until_complete(result())

    async def start(self) -> None:
        raise NotImplementedError

    async def append(self, batch: list[Message]) -> list[Appended]:
        return await self.journal.append(batch)

    @rule(batch=BATCHES)
    def append_batch(self, batch: list[Message]) -> None:
        assert self.run(self.append(batch)) == self.model.append(batch)

    @rule(up_to=st.integers(-1, 12), limit=st.integers(0, 4))
    def forget(self, up_to: int, limit: int) -> None:
        before = self.model.tail
        self.model.forget(min(up_to, before + limit))
        assert self.run(self.journal.forget(up_to, limit=limit)) == self.model.tail - before

    @rule()
    def renew_epoch(self) -> None:
        before, self.epoch = self.epoch, self.run(self.journal.renew_epoch(self.epoch))
        assert self.epoch > before

    @invariant()
    def is_as_the_model(self) -> None:
        async def state() -> tuple[Any, list[Record]]:
            return await self.journal.extent(), await self.journal.read(0, limit=1000)

        assert self.run(state()) == ((self.epoch, self.model.tail, self.model.head), self.model.records)


class MemoryMachine(JournalMachine):
    async def start(self) -> None:
        self.journal = MemoryJournal()

    @rule()
    def kill(self) -> None:
        """What was in memory is gone, and an old offset is known by its epoch."""
        before = self.epoch
        self.model = Model()
        self.run(self.start())
        self.epoch = self.run(self.journal.extent()).epoch
        assert self.epoch != before

    def teardown(self) -> None:
        self.loop.close()


class SqliteMachine(JournalMachine):
    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.numbers = itertools.count()
        self.path = Path(self.folder.name) / "0" / "chat.db"
        self.path.parent.mkdir()
        super().__init__()

    async def start(self) -> None:
        self.database: Database = open_database(self.path)
        self.journal = SqliteJournal(self.database)

    @rule()
    def kill(self) -> None:
        self.kill_and_start()

    @rule(batch=BATCHES, moment=st.builds(Moment, st.integers(1, 14), st.booleans()))
    @precondition(lambda self: len(self.model.records) < 100)
    def kill_while_appending(self, batch: list[Message], moment: Moment) -> None:
        """All of the batch is there, or nothing; its senders send it again."""
        connection = self.database._writer
        doomed = Doomed(connection, moment)
        self.database._writer = doomed  # type: ignore[assignment]
        try:
            results = self.run(self.journal.append(batch))
        except Killed:
            if doomed.has_committed:
                self.model.append(batch)
        else:
            assert results == self.model.append(batch)  # acknowledged
        self.database._writer = connection
        self.kill_and_start(in_transaction=connection.in_transaction)
        self.is_as_the_model()
        assert self.run(self.journal.append(batch)) == self.model.append(batch)

    def kill_and_start(self, *, in_transaction: bool = False) -> None:
        left = self.path
        self.path = Path(self.folder.name) / str(next(self.numbers) + 1) / "chat.db"
        self.path.parent.mkdir()
        for suffix in ("", "-wal"):
            if (file := left.with_name(left.name + suffix)).exists():
                shutil.copy(file, self.path.with_name(self.path.name + suffix))
        if in_transaction:
            self.database._writer.execute("ROLLBACK")
        self.run(self.database.close())
        shutil.rmtree(left.parent)
        self.run(self.start())

    def teardown(self) -> None:
        self.run(self.database.close())
        self.loop.close()
        self.folder.cleanup()


def test_a_journal_in_memory_does_what_its_model_does() -> None:
    run_state_machine_as_test(MemoryMachine, settings=settings(max_examples=25, stateful_step_count=20))


def test_sqlite_does_what_its_model_does_wherever_it_is_killed() -> None:
    run_state_machine_as_test(SqliteMachine, settings=settings(max_examples=15, stateful_step_count=20))
