"""SharedLog: batches, the answers of senders, and a journal that is slow, full, gone, or loses its answers."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from chatio.errors import IdReused, Overloaded, StoreFull, StoreUnavailable
from chatio.log import batches, following, shared_log, waiting
from chatio.log.message_log import Entry
from chatio.log.shared_log import SharedLog, open_log
from chatio.log.waiting import BATCH_MESSAGES, Unanswered
from chatio.stores.errors import OutcomeUnknown, SchemaChanged, WentBack
from chatio.stores.journal import Appended
from chatio.stores.memory.journal import MemoryJournal, size_bytes
from chatio.stores.records import Change, Message, Record
from tests.client.wire import until
from tests.conftest import ExpectedLogs
from tests.contract.journal import message


class SlowJournal(MemoryJournal):
    """A journal that calls itself durable, and whose appends a test lets succeed or fail, one by one."""

    is_durable = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[list[Message], asyncio.Future[list[Appended]]]] = []

    def append(self, batch: Sequence[Message]) -> "asyncio.Future[list[Appended]]":
        appending: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        self.asked.append((list(batch), appending))
        return appending

    @property
    def batches(self) -> list[list[str]]:
        return [[each.id for each in batch] for batch, _ in self.asked]

    async def take(self) -> None:
        """Let the last append succeed."""
        batch, appending = self.asked[-1]
        appending.set_result(super().append(batch).result())
        await turn()

    async def lose(self) -> None:
        """Let the last append succeed, and lose its answer."""
        super().append(self.asked[-1][0])
        await self.fail(OutcomeUnknown())

    async def fail(self, error: Exception) -> None:
        self.asked[-1][1].set_exception(error)
        await turn()


SENT_AT = "2026-03-01T09:32:07.415Z"


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def opened(journal: MemoryJournal, queue_max: int = 2000) -> SharedLog:
    return await open_log(journal, queue_max=queue_max)


async def shared(queue_max: int = 2000) -> tuple[SlowJournal, SharedLog]:
    journal = SlowJournal()
    return journal, await opened(journal, queue_max)


def ids(log: SharedLog) -> list[str]:
    return [entry.message.id for entry in log.window.read(0)]


def trouble(log: SharedLog) -> str | None:
    return log.trouble


async def failure(accepting: "asyncio.Future[Entry]") -> type[BaseException]:
    (error,) = await asyncio.gather(accepting, return_exceptions=True)
    assert isinstance(error, BaseException)
    return type(error)


async def test_in_memory_a_message_is_an_entry_in_the_same_turn() -> None:
    log = await opened(MemoryJournal())
    woken = []
    log.follower.on_new = lambda: woken.append(log.window.head)
    accepting = log.accept(message("a"))
    assert accepting.done()
    assert (accepting.result(), woken) == (log.window.read(0)[0], [1])


async def test_no_client_sees_a_message_before_the_journal_has_it() -> None:
    journal, log = await shared()
    woken = []
    log.follower.on_new = lambda: woken.append(log.window.head)
    accepting = log.accept(message("a"))
    await turn()
    assert (accepting.done(), ids(log), len(log.batches), woken) == (False, [], 1, [])
    await journal.take()
    assert (accepting.result().message.id, ids(log), len(log.batches), woken) == ("a", ["a"], 0, [1])


async def test_clients_are_told_of_each_entry_of_a_batch_that_the_window_cannot_hold() -> None:
    journal = SlowJournal()
    log = await open_log(journal, max_messages=1)
    told: list[list[str]] = []
    log.follower.on_new = lambda: told.append(ids(log))
    for id_ in "abc":
        log.accept(message(id_))
    await turn()
    await journal.take()
    assert told == [["a"], ["b"], ["c"]]


async def test_clients_are_told_before_the_sender() -> None:
    journal, log = await shared()
    order = []
    log.follower.on_new = lambda: order.append("clients")
    log.accept(message("a")).add_done_callback(lambda _: order.append("sender"))
    await turn()
    await journal.take()
    assert order == ["clients", "sender"]


async def test_messages_of_one_turn_are_a_batch_and_those_that_come_meanwhile_the_next() -> None:
    journal, log = await shared()
    for id_ in "abc":
        log.accept(message(id_))
    await turn()
    for id_ in "de":
        log.accept(message(id_))
    await turn()
    assert journal.batches == [["a", "b", "c"]]
    await journal.take()
    assert journal.batches == [["a", "b", "c"], ["d", "e"]]
    await journal.take()
    assert ids(log) == ["a", "b", "c", "d", "e"]


async def test_messages_and_changes_that_come_by_turns_are_a_batch_of_each() -> None:
    """A batch of one for each gave a server with SQLite to twenty members: acks of others took 10 s."""
    journal, log = await shared()
    log.accept(message("a"))
    await turn()
    await journal.take()
    for id_ in "bcd":
        log.accept(message(id_))
        log.change(Change(id_, "a", f"edit {id_}", SENT_AT))
    await turn()
    await journal.take()
    assert journal.batches == [["a"], ["b", "c", "d"]]
    assert [entry.message.id for entry in log.window.read(1)] == ["b", "c", "d", "a", "a", "a"]


async def test_a_batch_is_bounded_in_messages_and_in_bytes() -> None:
    journal, log = await shared()
    for number in range(BATCH_MESSAGES + 1):
        log.accept(message(f"m{number}"))
    large = "x" * (waiting.BATCH_BYTES // 2)
    for number in range(3):
        log.accept(message(f"large{number}", content=large))
    for _ in range(4):
        await turn()
        await journal.take()
    assert [len(batch) for batch in journal.batches] == [BATCH_MESSAGES, 2, 1, 1]


async def test_a_queue_that_is_full_refuses_and_loses_nothing_that_it_took() -> None:
    journal, log = await shared(queue_max=2)
    log.accept(message("a"))
    await turn()  # under way, and not in the queue any more
    waiting = [log.accept(message(id_)) for id_ in "bc"]
    with pytest.raises(Overloaded) as caught:
        log.accept(message("d"))
    assert caught.value.retry_after_seconds > 0
    await journal.take()
    await journal.take()
    assert [each.result().message.id for each in waiting] == ["b", "c"]
    assert not log.accept(message("d")).done()


async def test_a_queue_is_bounded_in_bytes_too() -> None:
    _, log = await shared()
    large = message("a", content="x" * waiting.QUEUE_BYTES)
    assert size_bytes(large) > waiting.QUEUE_BYTES
    log.accept(large)
    with pytest.raises(Overloaded):
        log.accept(message("b"))


# The same message again


async def test_a_message_that_waits_and_is_sent_again_is_one() -> None:
    journal, log = await shared()
    first = log.accept(message("a"))
    assert log.accept(message("a")) is first
    assert log.find("7", "a", "hello") is first
    with pytest.raises(IdReused):
        log.accept(message("a", content="another"))
    with pytest.raises(IdReused):
        log.find("7", "a", "another")
    await turn()
    await journal.take()
    assert journal.batches == [["a"]]
    assert log.find("7", "a", "hello") == first.result()
    with pytest.raises(IdReused):
        log.find("7", "a", "another")


async def test_a_message_that_only_the_journal_knows_is_found_there() -> None:
    journal = SlowJournal()
    MemoryJournal.append(journal, [message(f"m{number}") for number in range(5)])
    log = await open_log(journal, max_messages=2)
    assert ids(log) == ["m3", "m4"]
    assert log.find("7", "m0", "hello") is None
    same, other = log.accept(message("m0")), log.accept(message("m1", content="another"))
    await turn()
    await journal.take()
    assert same.result().sequence == 1
    assert await failure(other) is IdReused
    assert ids(log) == ["m3", "m4"]


# Reading


async def test_entries_that_the_window_has_dropped_are_read_from_the_journal() -> None:
    journal = SlowJournal()
    MemoryJournal.append(journal, [message(f"m{number}") for number in range(1, 9)])
    await journal.forget(2, limit=9)
    log = await open_log(journal, max_messages=3)
    assert (log.tail, log.window.tail, log.window.head) == (2, 5, 8)
    assert [entry.message.id for entry in await log.messages(2, 9, limit=9)] == [f"m{n}" for n in range(3, 9)]
    assert [entry.message.id for entry in await log.messages(2, 7, limit=3)] == ["m4", "m5", "m6"]
    assert [entry.message.id for entry in await log.messages(3, 5, limit=3)] == ["m4"]
    assert await log.messages(6, 8, limit=1) == log.window.read(6, limit=1)
    assert (await log.messages(3, 5, limit=1))[0].offset == log.window.offset_of(4)


async def test_a_window_is_filled_within_its_bytes() -> None:
    journal = SlowJournal()
    one = size_bytes(message("m1"))
    MemoryJournal.append(journal, [message(f"m{number}") for number in range(1, 9)])
    log = await open_log(journal, max_bytes=3 * one)
    assert ids(log) == ["m6", "m7", "m8"]
    assert log.window.head == 8


# The journal fails


async def test_a_full_disk_refuses_what_is_under_way_and_what_waits_and_then_one_batch_is_tried() -> None:
    journal, log = await shared()
    refused = [log.accept(message("a"))]
    await turn()
    refused.append(log.accept(message("b")))
    await journal.fail(StoreFull(retry_after_seconds=2))
    assert [await failure(each) for each in refused] == [StoreFull, StoreFull]
    assert (trouble(log), len(log.batches)) == ("store_full", 0)
    with pytest.raises(StoreFull):
        log.accept(message("c"))
    await until(lambda: trouble(log) is None)
    again = log.accept(message("a"))
    await turn()
    await journal.take()
    assert again.result().sequence == 1


async def test_a_journal_that_is_gone_refuses_and_readiness_says_so() -> None:
    journal, log = await shared()
    accepting = log.accept(message("a"))
    await turn()
    await journal.fail(StoreUnavailable(retry_after_seconds=2))
    assert await failure(accepting) is StoreUnavailable
    assert trouble(log) == "store"


async def test_a_batch_whose_answer_is_lost_is_appended_again_until_it_is_known_and_arrives_once() -> None:
    journal, log = await shared()
    accepting = log.accept(message("a"))
    await turn()
    queued = log.accept(message("b"))
    await journal.lose()
    assert await failure(queued) is StoreUnavailable  # it was not handed over
    assert trouble(log) == "store"
    with pytest.raises(StoreUnavailable):
        log.accept(message("c"))
    await until(lambda: len(journal.asked) == 2)
    await journal.fail(StoreUnavailable(retry_after_seconds=2))  # which says nothing of the first time
    await until(lambda: len(journal.asked) == 3)
    assert not accepting.done()
    await journal.take()
    assert accepting.result().sequence == 1
    assert (ids(log), trouble(log)) == (["a"], None)
    assert journal.batches == [["a"]] * 3


@pytest.mark.parametrize("what", ["append", "offer", "entry_of"])
async def test_no_exception_ends_the_batches(
    monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs, what: str
) -> None:
    logs.expect("^appending messages failed: MemoryError ")
    monkeypatch.setattr(batches, "REPEAT_SECONDS", [0])
    journal, log = await shared()
    owner: object = {"append": journal, "offer": log.follower, "entry_of": log.window}[what]
    works = getattr(owner, what)

    def fail_once(*_: object) -> None:
        monkeypatch.setattr(owner, what, works)
        raise MemoryError

    first = log.accept(message("a"))
    monkeypatch.setattr(owner, what, fail_once)
    for count in range(1, 2 if what == "append" else 3):
        await until(lambda count=count: len(journal.asked) == count)
        await journal.take()
    assert first.result().message.id == "a"
    second = log.accept(message("b"))
    await turn()
    await journal.take()
    assert (second.result().message.id, ids(log), len(log.batches)) == ("b", ["a", "b"], 0)


async def test_what_an_earlier_batch_left_in_the_journal_is_caught_up_with_in_order() -> None:
    journal, log = await shared()
    MemoryJournal.append(journal, [message("x"), message("y")])  # unheard of
    accepting = log.accept(message("a"))
    await turn()
    await journal.take()
    assert (await accepting).sequence == 3
    assert ids(log) == ["x", "y", "a"]


async def test_a_message_sent_again_hides_no_gap_before_new_ones_of_its_batch() -> None:
    journal, log = await shared()
    MemoryJournal.append(journal, [message("x")])
    log = await open_log(journal)
    MemoryJournal.append(journal, [message("y")])  # unheard of
    new, again = log.accept(message("a")), log.accept(message("x"))
    await turn()
    await journal.take()
    assert [(await new).sequence, (await again).sequence] == [3, 1]
    assert ids(log) == ["x", "y", "a"]


async def test_a_sender_is_told_nothing_if_its_message_stays_unknown_and_may_send_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_log, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "GIVEN_UP_SECONDS", 0.02)
    journal, log = await shared()
    watching = asyncio.ensure_future(log.watch())
    accepting = log.accept(message("a"))
    assert await failure(accepting) is Unanswered
    assert log.find("7", "a", "hello") is None
    monkeypatch.setattr(waiting, "GIVEN_UP_SECONDS", 60)
    again = log.accept(message("a"))
    assert again is not accepting
    await journal.take()
    assert again.result().sequence == 1
    assert journal.batches == [["a"]]
    watching.cancel()


async def test_a_journal_that_answers_late_is_told_as_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    journal, log = await shared()
    log.accept(message("a"))
    assert trouble(log) is None
    monkeypatch.setattr(waiting, "SLOW_SECONDS", -1)
    assert trouble(log) == "store_slow"
    await turn()
    await journal.take()
    assert trouble(log) is None


async def test_a_journal_that_does_not_say_its_extent_is_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_log, "WATCH_SECONDS", 0.01)
    journal, log = await shared()

    async def gone() -> None:
        raise StoreUnavailable(retry_after_seconds=2)

    monkeypatch.setattr(journal, "extent", gone)
    watching = asyncio.ensure_future(log.watch())
    await until(lambda: trouble(log) == "store")
    watching.cancel()


@pytest.fixture
def lost_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_log, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(batches, "LOST_SECONDS", 0.03)
    monkeypatch.setattr(batches, "REPEAT_SECONDS", [0])


async def test_a_batch_that_has_no_answer_at_all_is_appended_again(lost_soon: None) -> None:
    journal, log = await shared()
    watching = asyncio.ensure_future(log.watch())
    accepting = log.accept(message("a"))
    await until(lambda: len(journal.asked) >= 2)
    await journal.take()
    assert accepting.result().sequence == 1
    journal.asked[0][1].set_result(MemoryJournal.append(journal, [message("a")]).result())  # late
    second = log.accept(message("b"))
    await turn()
    assert journal.batches[-1] == ["b"]
    await journal.take()
    assert (second.result().sequence, ids(log), trouble(log)) == (2, ["a", "b"], None)
    watching.cancel()


async def test_a_batch_that_waits_for_ever_for_the_window_is_appended_again(
    monkeypatch: pytest.MonkeyPatch, lost_soon: None
) -> None:
    journal, log = await shared()
    watching = asyncio.ensure_future(log.watch())
    MemoryJournal.append(journal, [message("x")])  # unheard of
    real = log.follower.until

    def lost(number: int) -> "asyncio.Future[None]":
        monkeypatch.setattr(log.follower, "until", real)
        real(number)
        return asyncio.get_running_loop().create_future()

    monkeypatch.setattr(log.follower, "until", lost)
    accepting = log.accept(message("a"))
    await turn()
    await journal.take()
    await until(lambda: len(journal.asked) >= 2)
    await journal.take()
    assert (await accepting).sequence == 2
    watching.cancel()


async def test_a_batch_whose_start_was_lost_is_begun_by_the_watch(
    monkeypatch: pytest.MonkeyPatch, lost_soon: None
) -> None:
    journal, log = await shared()
    loop = asyncio.get_running_loop()
    with monkeypatch.context() as without_memory:
        without_memory.setattr(loop, "call_soon", no_memory)
        with pytest.raises(MemoryError):
            log.accept(message("a"))
    watching = asyncio.ensure_future(log.watch())
    await until(lambda: len(journal.asked) == 1)
    await journal.take()
    assert (ids(log), len(log.batches)) == (["a"], 0)
    watching.cancel()


async def test_what_an_exception_has_left_behind_is_slow_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch, lost_soon: None, logs: ExpectedLogs
) -> None:
    """A MemoryError in the middle of dropping a queue left messages that no batch ever took."""
    monkeypatch.setattr(waiting, "SLOW_SECONDS", -1)
    journal, log = await shared()
    accepting = log.accept(message("a"))
    await turn()
    log.batches.waiting.by_key["7", "b"] = left = waiting.Waiting(("7", "b"), message("b"), 1, 0.0)
    await journal.take()
    assert accepting.done()
    assert trouble(log) == "store_slow"
    watching = asyncio.ensure_future(log.watch())
    await until(lambda: trouble(log) is None)
    assert type(left.done.exception()) is Unanswered
    watching.cancel()


def no_memory(*_: object, **__: object) -> None:
    raise MemoryError


async def test_settling_waits_for_all_that_was_accepted_but_not_for_ever() -> None:
    journal, log = await shared()
    log.accept(message("a"))
    await log.settle(0.01)
    assert len(log.batches) == 1
    settling = asyncio.ensure_future(log.settle(60))
    await turn()
    assert not settling.done()
    await journal.take()
    await settling
    await log.settle(0)


# Retention


def sent_at(id_: str, day: int) -> Message:
    return msgspec.structs.replace(message(id_), sent_at=f"2026-01-{day:02}T00:00:00.000Z")


async def test_only_messages_from_before_a_time_are_deleted_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_log, "FORGOTTEN_AT_ONCE", 3)
    journal = SlowJournal()
    MemoryJournal.append(journal, [sent_at(f"m{day}", day) for day in range(1, 11)])
    log = await open_log(journal, max_messages=5)
    tails = [log.tail]
    while await log.forget_before("2026-01-08T00:00:00.000Z"):
        tails.append(log.tail)
    assert tails == [0, 3, 6, 7]
    assert ids(log) == ["m8", "m9", "m10"]
    assert (await journal.extent())[1:] == (7, 10)
    assert await log.forget_before("2026-02-01T00:00:00.000Z")
    assert ids(log) == []
    assert (log.window.tail, log.window.head, log.find("7", "m10", "hello")) == (10, 10, None)
    accepting = log.accept(message("new"))
    await turn()
    await journal.take()
    assert accepting.result().sequence == 11


async def test_a_message_of_a_clock_that_was_ahead_keeps_none_behind_it() -> None:
    journal = SlowJournal()
    ahead = msgspec.structs.replace(message("ahead"), sent_at="9999-01-01T00:00:00.000Z")
    last = msgspec.structs.replace(message("last"), sent_at="9998-01-01T00:00:00.000Z")
    MemoryJournal.append(journal, [sent_at("m1", 1), ahead, sent_at("m2", 2), sent_at("m9", 9), last])
    log = await open_log(journal)
    now = "2026-02-01T00:00:00.000Z"
    while await log.forget_before("2026-01-08T00:00:00.000Z", now=now):
        pass
    assert ids(log) == ["m9", "last"]
    while await log.forget_before("2026-01-10T00:00:00.000Z", now=now):
        pass
    assert ids(log) == ["last"]


# The journal goes on without this server, or goes back


async def test_messages_of_another_server_are_delivered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_log, "WATCH_SECONDS", 0.01)
    journal, log = await shared()
    woken = []
    log.follower.on_new = lambda: woken.append(log.window.head)
    MemoryJournal.append(journal, [message("x"), message("y")])
    watching = asyncio.ensure_future(log.watch())
    await until(lambda: len(woken) == 2)
    assert (ids(log), woken) == (["x", "y"], [1, 2])
    watching.cancel()


async def test_messages_of_its_own_that_are_read_before_their_answer_are_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_log, "WATCH_SECONDS", 0.01)
    journal, log = await shared()
    MemoryJournal.append(journal, [message("x")])
    read, are_read = journal.read, asyncio.Event()

    async def slow_read(after: int, *, limit: int) -> list[Record]:
        accepting.append(log.accept(message("a")))
        await turn()
        MemoryJournal.append(journal, journal.asked[0][0])  # the commit, whose answer is still under way
        records = await read(after, limit=limit)
        monkeypatch.setattr(journal, "read", read)
        are_read.set()
        return records

    accepting: list[asyncio.Future[Entry]] = []
    monkeypatch.setattr(journal, "read", slow_read)
    watching = asyncio.ensure_future(log.watch())
    await asyncio.wait_for(are_read.wait(), 5)
    await turn()
    record = (await read(1, limit=1))[0]
    journal.asked[0][1].set_result([Appended(record, is_new=True)])
    assert (await asyncio.wait_for(accepting[0], 5)).sequence == 2
    assert (ids(log), log.broken.is_set()) == (["x", "a"], False)
    watching.cancel()


async def lagging() -> tuple[SlowJournal, SharedLog]:
    """A log with three messages, whose journal has been replaced by a copy with one of them."""
    journal, log = await shared()
    for id_ in "abc":
        log.accept(message(id_))
    await turn()
    await journal.take()
    epoch = (await journal.extent()).epoch
    copy = MemoryJournal()
    copy.append([message("a")])
    journal.__dict__.update(copy.__dict__ | {"_epoch": epoch, "asked": []})
    return journal, log


async def test_a_message_that_has_a_number_which_clients_have_seen_is_neither_delivered_nor_acknowledged(
    logs: ExpectedLogs,
) -> None:
    logs.expect("The database has lost messages")
    journal, log = await lagging()
    accepting = log.accept(message("new"))
    await turn()
    await journal.take()
    assert log.broken.is_set()
    assert not accepting.done()
    assert ids(log) == ["a", "b", "c"]
    assert (await journal.extent()).epoch > log.window.epoch


async def test_a_gap_before_a_message_that_no_read_fills_ends_the_process(logs: ExpectedLogs) -> None:
    logs.expect("Messages were deleted before")
    journal, log = await shared()
    MemoryJournal.append(journal, [message("x")])  # unheard of, and deleted
    await journal.forget(1, limit=1)
    accepting = log.accept(message("a"))
    await turn()
    await journal.take()
    await asyncio.wait_for(log.broken.wait(), 5)
    assert (accepting.done(), ids(log)) == (False, [])


async def test_a_journal_that_went_back_is_noticed_without_a_message(
    monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect("The database has lost messages")
    monkeypatch.setattr(shared_log, "WATCH_SECONDS", 0.01)
    journal, log = await lagging()
    watching = asyncio.ensure_future(log.watch())
    await asyncio.wait_for(log.broken.wait(), 5)
    await turn()
    assert (await journal.extent()).epoch > log.window.epoch
    watching.cancel()


# Other servers


async def test_a_signal_brings_the_messages_of_another_server_without_a_look_at_the_extent() -> None:
    journal, log = await shared()
    MemoryJournal.append(journal, [message("x"), message("y")])
    log.follower.heard(2)
    assert (log.follower.head, log.window.head) == (2, 0)
    await asyncio.wait_for(log.follower.until(2), 5)
    assert ids(log) == ["x", "y"]


@pytest.mark.parametrize(("gap_seconds", "turns"), [(0.0, 1), (60.0, 9)])
async def test_messages_before_one_that_came_first_are_awaited_and_not_read(
    gap_seconds: float, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "GAP_SECONDS", gap_seconds)
    journal, log = await shared()
    monkeypatch.setattr(journal, "read", None)
    log.follower.offer([Record(3, message("z")), Record(2, message("y"))])
    for _ in range(turns):
        await asyncio.sleep(0)
    assert ids(log) == []
    log.follower.offer([Record(1, message("x"))])
    await turn()
    assert ids(log) == ["x", "y", "z"]


async def test_what_came_first_is_read_anew_with_what_is_missing() -> None:
    """It may have come from a database that a failover has replaced."""
    journal, log = await shared()
    log.follower.offer([Record(2, message("lost"))])
    MemoryJournal.append(journal, [message("x"), message("y")])
    await asyncio.wait_for(log.follower.until(2), 5)
    assert ids(log) == ["x", "y"]
    log.follower.offer([Record(4, message("lost"))])
    await log.follower.check()
    log.follower.offer([Record(3, message("z"))])
    assert ids(log) == ["x", "y", "z"]


async def test_a_signal_for_what_is_known_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    journal, log = await shared()
    MemoryJournal.append(journal, [message("x")])
    log = await open_log(journal)
    monkeypatch.setattr(journal, "read", None)
    log.follower.heard(1)
    await turn()
    assert ids(log) == ["x"]


async def test_while_the_journal_does_not_answer_a_signal_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PAUSE_SECONDS", 0.001)
    journal, log = await shared()
    MemoryJournal.append(journal, [message("x")])
    read, failures = (
        journal.read,
        [StoreUnavailable(retry_after_seconds=2), StoreUnavailable(retry_after_seconds=2)],
    )

    async def failing_read(after: int, *, limit: int) -> list[Record]:
        if failures:
            raise failures.pop()
        return await read(after, limit=limit)

    monkeypatch.setattr(journal, "read", failing_read)
    log.follower.heard(1)
    await asyncio.wait_for(log.follower.until(1), 5)
    assert (ids(log), failures) == (["x"], [])


async def test_a_client_that_is_ahead_of_this_server_waits_until_the_window_has_what_it_has() -> None:
    journal, log = await shared()
    MemoryJournal.append(journal, [message("x"), message("y")])  # by another server
    await log.catch_up(f"{log.window.offset_of(2)}.pid", None)
    assert ids(log) == ["x", "y"]


@pytest.mark.parametrize("claimed", [None, 7, "", "nonsense", "0" * 14 + "-0000000001", "{epoch}-ffffffffff"])
async def test_what_the_journal_has_not_is_not_waited_for(claimed: object) -> None:
    _, log = await shared()
    if isinstance(claimed, str):
        claimed = claimed.replace("{epoch}", log.window.epoch)
    await asyncio.wait_for(log.catch_up(claimed), 0.5)
    assert ids(log) == []


async def test_a_client_that_is_ahead_is_refused_while_the_journal_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_log, "CATCH_UP_SECONDS", 0.01)
    journal, log = await shared()
    MemoryJournal.append(journal, [message("x")])

    async def gone(*_: object, **__: object) -> list[Record]:
        raise StoreUnavailable(retry_after_seconds=2)

    for method in ("read", "extent"):
        monkeypatch.setattr(journal, method, gone)
        with pytest.raises(StoreUnavailable):
            await log.catch_up(log.window.offset_of(1))


@pytest.mark.parametrize(
    ("error", "text"), [(WentBack(), "has lost messages"), (SchemaChanged(), "another release has changed")]
)
async def test_a_journal_that_is_another_one_takes_nothing_and_ends_the_process(
    error: Exception, text: str, monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect(text)
    journal, log = await shared()
    accepting = log.accept(message("a"))
    await turn()
    await journal.fail(error)
    assert (log.broken.is_set(), accepting.done(), ids(log)) == (True, False, [])
    is_new_epoch = (await journal.extent()).epoch != log.window.epoch
    assert is_new_epoch is isinstance(error, WentBack)
