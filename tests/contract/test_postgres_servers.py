"""Several servers on one PostgreSQL: the fence before an append, the bus, and the rule for two releases."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import msgspec
import pytest
from tornado.ioloop import IOLoop

from chatio.stores.accounts import Ended
from chatio.stores.bus import Bus, Person, Signal
from chatio.stores.errors import SchemaChanged, StoreUnusable, WentBack
from chatio.stores.journal import Journal
from chatio.stores.moderation import sanction_key
from chatio.stores.opening import Stores, open_stores
from chatio.stores.postgres import schema
from chatio.stores.records import Change
from tests.client.wire import PATIENCE_SECONDS, until
from tests.conftest import ExpectedLogs
from tests.contract.journal import message
from tests.contract.user_store import EVE
from tests.postgres import postgres


@pytest.fixture
def url() -> str:
    return postgres().new_database()


@pytest.fixture
def pair(io_loop: IOLoop, url: str) -> Iterator[tuple[Stores, Stores]]:
    async def opened() -> tuple[Stores, Stores]:
        one, two = [await open_stores(url, folder=Path()) for _ in range(2)]
        for each in (one, two):
            await each.journal.extent()
        return one, two

    stores = io_loop.run_sync(opened)
    yield stores
    for each in stores:
        io_loop.run_sync(each.close)


def sql(url: str, statement: str) -> str:
    return postgres().sql(url.rpartition("/")[2], statement)


def bus_of(stores: Stores) -> Bus:
    assert stores.bus is not None
    return stores.bus


async def ids(journal: Journal) -> list[str]:
    return [record.message.id for record in await journal.read(0, limit=9)]


# The fence


async def refused(journal: Journal) -> bool:
    """Whether nothing is appended to, and read on from, `journal`."""
    answers = await asyncio.gather(
        journal.append([message("new")]), journal.extent(), journal.read(3, limit=9), return_exceptions=True
    )
    return all(isinstance(answer, WentBack) for answer in answers)


async def test_a_journal_that_lost_messages_takes_none_from_a_server_that_knows_them(
    pair: tuple[Stores, Stores], url: str
) -> None:
    one, two = pair[0].journal, pair[1].journal
    await one.append([message(id_) for id_ in "abc"])
    assert len(await two.read(0, limit=1)) == 1
    sql(url, "DELETE FROM chatio.messages WHERE number > 1; UPDATE chatio.log SET head = 1")
    with pytest.raises(WentBack):
        await one.append([message("new")])
    await two.append([message(id_) for id_ in "wxyz"])  # past the number that the first server knows
    assert await refused(one)
    assert await ids(two) == ["a", "w", "x", "y", "z"]


async def test_a_journal_with_a_new_epoch_takes_nothing_from_a_server_of_the_old_one(
    pair: tuple[Stores, Stores],
) -> None:
    one, two = pair[0].journal, pair[1].journal
    await two.renew_epoch((await two.extent()).epoch)
    with pytest.raises(WentBack):
        await one.append([message("a")])
    await two.append([message("b")])
    assert await ids(two) == ["b"]


async def test_messages_that_were_deleted_since_are_no_loss(pair: tuple[Stores, Stores]) -> None:
    one, two = pair[0].journal, pair[1].journal
    await one.append([message("a")])
    await two.forget(1, limit=1)
    (result,) = await one.append([message("b")])
    assert (result.record.number, result.is_new) == (2, True)
    assert (await one.extent()).tail == 1


# Two releases


async def test_a_server_does_not_write_to_a_schema_of_another_release(
    pair: tuple[Stores, Stores], url: str
) -> None:
    journal = pair[0].journal
    sql(url, "UPDATE chatio.schema SET version = version + 1")
    with pytest.raises(SchemaChanged):
        await journal.append([message("a")])
    with pytest.raises(SchemaChanged):
        await journal.extent()
    assert sql(url, "SELECT count(*) FROM chatio.messages") == "0"


async def test_a_schema_is_not_changed_while_a_server_of_an_earlier_release_uses_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await open_stores(url, folder=Path())).close()
    sql(url, "UPDATE chatio.schema SET version = 1")
    earlier = await asyncpg.connect(url, server_settings={"application_name": "chatio"})
    monkeypatch.setattr(schema, "OTHERS_END_SECONDS", 0.0)
    with pytest.raises(StoreUnusable, match="stop all of them first"):
        await open_stores(url, folder=Path())
    monkeypatch.setattr(schema, "OTHERS_END_SECONDS", 60.0)
    opening = asyncio.ensure_future(open_stores(url, folder=Path()))
    done, _ = await asyncio.wait([opening], timeout=0.3)
    assert not done
    await earlier.close()
    with pytest.raises(
        StoreUnusable, match="already exists"
    ):  # it went on to the migrations, which were applied before
        await opening


# The bus


class Heard:
    """What a bus has told, in order."""

    def __init__(self, stores: Stores) -> None:
        self.bus = bus_of(stores)
        self.signals: asyncio.Queue[tuple[Signal, str]] = asyncio.Queue()
        self._listening = asyncio.ensure_future(self.bus.listen(lambda *told: self.signals.put_nowait(told)))

    async def next(self, signal: Signal) -> str:
        """The text of the next `signal`; others before it are skipped."""
        while True:
            kind, text = await asyncio.wait_for(self.signals.get(), 20)
            if kind is signal:
                return text


async def test_servers_see_each_other_and_hear_of_messages_only_then(pair: tuple[Stores, Stores]) -> None:
    one, two = Heard(pair[0]), Heard(pair[1])
    for each in (one, two):
        await each.next(Signal.LISTENING)
    assert [(seen.id, seen.name) for seen in await one.bus.beat("1")] == [(one.bus.id, "1")]
    await one.next(Signal.BEAT)
    await pair[1].journal.append([message("alone")])
    assert {seen.name for seen in await two.bus.beat("2")} == {"1", "2"}
    await pair[1].journal.append([message("a"), message("b")])
    assert one.bus.entries(await one.next(Signal.HEAD), are_taken=False) == (3, [])
    await two.bus.tell_typing("Ann")
    assert await one.next(Signal.TYPING) == "Ann"
    assert all(signal is not Signal.HEAD for signal, _ in two.signals._queue)  # type: ignore[attr-defined]
    await two.bus.leave()
    assert [seen.name for seen in await one.bus.beat("1")] == ["1"]


async def shared(pair: tuple[Stores, Stores]) -> Heard:
    """What the first server hears, once the second one knows of it."""
    heard = Heard(pair[0])
    await heard.next(Signal.LISTENING)
    for each in pair:
        await bus_of(each).beat("")
    return heard


async def test_a_signal_brings_the_messages_as_they_are_in_the_journal(pair: tuple[Stores, Stores]) -> None:
    one = await shared(pair)
    odd = message("b", content='"\\\n\u0007\u2028\N{GRINNING FACE}\0')
    await pair[1].journal.append([message("a"), odd])
    head, entries = one.bus.entries(await one.next(Signal.HEAD), are_taken=True)
    assert (head, entries) == (2, await pair[1].journal.read(0, limit=9))
    await pair[1].journal.append([message("a"), message("c")])
    assert one.bus.entries(await one.next(Signal.HEAD), are_taken=True)[1] == await pair[1].journal.read(
        2, limit=9
    )


async def test_nobody_who_may_not_read_the_tables_hears_messages_or_forges_them(
    pair: tuple[Stores, Stores], url: str
) -> None:
    one = await shared(pair)
    sql(url, "DROP ROLE IF EXISTS outsider; CREATE ROLE outsider LOGIN")
    outsider, heard = await asyncpg.connect(url, user="outsider"), asyncio.Queue[str]()
    for channel in ("chatio_head", "chatio_head_"):
        await outsider.add_listener(channel, lambda *told: heard.put_nowait(told[-1]))
        await outsider.execute(f"NOTIFY {channel}, '9'")
    await pair[1].journal.append([message("a")])
    assert one.bus.entries(await one.next(Signal.HEAD), are_taken=True)[0] == 1
    assert [await heard.get(), await heard.get(), heard.empty()] == ["9", "9", True]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await outsider.fetchval("SELECT head_channel FROM chatio.log")
    await outsider.close()


async def test_a_signal_of_what_is_too_long_for_one_and_of_a_change_is_the_number(
    pair: tuple[Stores, Stores],
) -> None:
    one, journal = await shared(pair), pair[1].journal
    await journal.append([message("long", content="\N{GRINNING FACE}" * 2000)])
    await journal.append([message(str(number)) for number in range(60)])
    await journal.change([Change("k", "long", None, "2031-05-09T12:05:00.000Z")])
    heard = [one.bus.entries(await one.next(Signal.HEAD), are_taken=True) for _ in range(3)]
    assert heard == [(1, []), (61, []), (62, [])]


async def test_messages_that_a_signal_brought_are_known_to_the_fence(
    pair: tuple[Stores, Stores], url: str
) -> None:
    one = await shared(pair)
    await pair[1].journal.append([message("a")])
    one.bus.entries(await one.next(Signal.HEAD), are_taken=False)
    await pair[1].journal.append([message("b")])
    one.bus.entries(await one.next(Signal.HEAD), are_taken=True)
    sql(url, "DELETE FROM chatio.messages WHERE number > 1; UPDATE chatio.log SET head = 1")
    with pytest.raises(WentBack):
        await pair[0].journal.append([message("new")])


async def test_a_loss_is_noticed_also_where_a_signal_was_ahead_of_what_is_read(
    pair: tuple[Stores, Stores], url: str
) -> None:
    one = await shared(pair)
    for id_ in "abc":
        await pair[1].journal.append([message(id_)])
        text = await one.next(Signal.HEAD)
        assert one.bus.entries(text, are_taken=id_ != "b")[0]
    sql(url, "UPDATE chatio.messages SET id = 'other' WHERE number = 1")
    with pytest.raises(WentBack):
        await pair[0].journal.read(1, limit=9)


async def test_a_silent_server_is_forgotten_with_its_users(pair: tuple[Stores, Stores], url: str) -> None:
    one, two = bus_of(pair[0]), bus_of(pair[1])
    for each in (one, two):
        await each.beat("")
    await two.tell_people(1, [Person("7", "Ann", is_online=True)], is_all=False)
    assert await one.people_of(two.id, 0) == (1, [Person("7", "Ann", is_online=True)])
    sql(url, f"UPDATE chatio.servers SET seen_at = seen_at - interval '9 s' WHERE id = '{two.id}'")  # noqa: S608
    assert [seen.id for seen in await one.beat("")] == [one.id]
    assert await one.people_of(two.id, 0) == (0, [])
    assert next(seen.people for seen in await two.beat("") if seen.id == two.id) == 0


async def test_users_are_told_as_changes_and_in_full(pair: tuple[Stores, Stores]) -> None:
    one, two = bus_of(pair[0]), bus_of(pair[1])
    await two.beat("")
    ann, bob = Person("7", "Ann\0", is_online=True), Person("8", "Bob", is_online=True)
    await two.tell_people(1, [ann, bob], is_all=False)
    await two.tell_people(2, [bob._replace(is_online=False)], is_all=False)
    assert await one.people_of(two.id, 1) == (2, [Person("8", "Bob", is_online=False)])
    assert await one.people_of(two.id, 0) == (1, [Person("7", "Ann\ufffd", is_online=True)])
    await two.tell_people(99, [bob], is_all=True)
    assert await one.people_of(two.id, 0) == (99, [bob])
    assert [seen.people for seen in await one.beat("") if seen.id == two.id] == [99]


async def test_revocations_are_heard_and_can_be_read_again(pair: tuple[Stores, Stores]) -> None:
    one, ends = Heard(pair[0]), time.time() + 60
    await one.next(Signal.LISTENING)
    before = await one.bus.last_revocation()
    ended = Ended("7", "", 5.0, ends)
    await pair[1].revocations.add(ended, "signed_out")
    sequence = int(await one.next(Signal.REVOKED))
    assert [tuple(each) for each in await one.bus.revoked_after(before)] == [(sequence, ended, "signed_out")]
    assert await one.bus.last_revocation() == sequence


async def test_a_connection_that_ends_is_replaced(pair: tuple[Stores, Stores], url: str) -> None:
    one = Heard(pair[0])
    await one.next(Signal.LISTENING)
    assert one.bus.is_listening
    sql(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    await one.next(Signal.LISTENING)
    one.bus.listen_anew()
    await one.next(Signal.LISTENING)
    await one.bus.beat("")
    await one.next(Signal.BEAT)


async def test_an_exception_of_a_hearer_does_not_end_the_listening(
    pair: tuple[Stores, Stores], logs: ExpectedLogs
) -> None:
    logs.expect("^listening to other servers failed: MemoryError ")
    times = []

    def hear(_signal: Signal, _text: str) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            raise MemoryError

    listening = asyncio.ensure_future(bus_of(pair[0]).listen(hear))
    await until(lambda: len(times) == 2)
    assert bus_of(pair[0]).is_listening
    listening.cancel()


async def test_a_new_account_has_the_mute_of_one_whose_removal_is_not_over(url: str) -> None:
    """It was muted, deleted and registered again at once, and no longer muted."""
    stores = await open_stores(url, folder=Path())
    other = await asyncpg.connect(url)
    await stores.users.add(msgspec.structs.replace(EVE, muted_until=200.0))
    holding_up = other.transaction()
    await holding_up.start()
    await other.execute("INSERT INTO chatio.sanctions VALUES ($1, 0, 0)", sanction_key(EVE.email_key))
    removing = asyncio.create_task(stores.users.remove(EVE.id, password_hash=EVE.password_hash, now=100.0))
    await _waiting_for_locks(url, 1)
    adding = asyncio.create_task(stores.users.add(msgspec.structs.replace(EVE, id="again")))
    await _waiting_for_locks(url, 2)
    await holding_up.rollback()
    assert await removing
    assert (await adding).muted_until == 200.0
    found = await stores.users.get("again")
    assert found is not None
    assert found.muted_until == 200.0
    await other.close()
    await stores.close()


async def _waiting_for_locks(url: str, count: int) -> None:
    """Return when so many statements wait for others."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    connection = await asyncpg.connect(url)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await connection.fetchval(query) != count:  # noqa: ASYNC110 - what is waited for has no event to wait on
            await asyncio.sleep(0.005)
    await connection.close()
