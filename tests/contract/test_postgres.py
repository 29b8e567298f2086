"""The stores in PostgreSQL keep the contracts, and go on after a restart where they were."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from tornado.ioloop import IOLoop

from chatio.errors import MessageDeleted
from chatio.stores.accounts import UserStore
from chatio.stores.errors import OutcomeUnknown, StoreUnusable
from chatio.stores.journal import Journal
from chatio.stores.opening import Stores, open_stores
from chatio.stores.postgres import database
from chatio.stores.postgres.journal import AFTER
from tests.conftest import ExpectedLogs
from tests.contract.changes import ChangesContract, deletion
from tests.contract.journal import JournalContract, contents, message
from tests.contract.moderation import ModerationContract
from tests.contract.reopening import Reopen, ReopeningContract
from tests.contract.user_store import UserStoreContract
from tests.postgres import PostgresServer, postgres
from tests.system.nginx import SERVERS


@pytest.fixture
def url() -> str:
    return postgres().new_database()


class _InTurn:
    """Each call goes to the same part of the next server, as those of a client do that changes servers."""

    def __init__(self, *parts: object) -> None:
        self._parts = itertools.cycle(parts)

    def __getattr__(self, name: str) -> Any:
        return getattr(next(self._parts), name)


@pytest.fixture
def stores(io_loop: IOLoop, url: str) -> Iterator[Stores]:
    """The stores of one server, or of several in turn (`make test-many`)."""
    opened = [io_loop.run_sync(lambda: open_stores(url, folder=Path())) for _ in range(SERVERS)]
    users, journal = (_InTurn(*(getattr(each, part) for each in opened)) for part in ("users", "journal"))
    yield opened[0] if SERVERS == 1 else replace(opened[0], users=cast(Any, users), journal=cast(Any, journal))
    for each in opened:
        io_loop.run_sync(each.close)


class TestPostgresUserStore(UserStoreContract):
    @pytest.fixture
    def store(self, stores: Stores) -> UserStore:
        return stores.users


class TestPostgresJournal(JournalContract, ChangesContract):
    @pytest.fixture
    def journal(self, stores: Stores) -> Journal:
        return stores.journal


class TestPostgresModeration(ModerationContract):
    @pytest.fixture
    def stores(self, stores: Stores) -> Stores:
        return stores


class TestReopenedPostgres(ReopeningContract):
    @pytest.fixture
    def reopen(self, url: str) -> Reopen:
        return lambda: open_stores(url, folder=Path())


async def test_servers_that_start_at_once_migrate_once_and_append_in_one_order(url: str) -> None:
    servers = await asyncio.gather(*(open_stores(url, folder=Path()) for _ in range(4)))
    batches = [[message(f"{server} {batch}") for _ in range(1)] for server in range(4) for batch in range(25)]
    appending = (servers[number % 4].journal.append(batch) for number, batch in enumerate(batches))
    results = await asyncio.gather(*appending)
    assert sorted(result.record.number for (result,) in results) == list(range(1, 101))
    assert len({(await server.journal.extent()).epoch for server in servers}) == 1
    assert len(await contents(servers[0].journal)) == 100
    for server in servers:
        await server.close()


async def test_of_changes_at_once_on_two_servers_one_is_made(url: str) -> None:
    servers = await asyncio.gather(*(open_stores(url, folder=Path()) for _ in range(2)))
    await servers[0].journal.append([message(f"m{number}") for number in range(20)])
    changing = (
        server.journal.change([deletion(f"{number} {index}", f"m{number}")])
        for number in range(20)
        for index, server in enumerate(servers)
    )
    results = [result for (result,) in await asyncio.gather(*changing)]
    pairs = [sorted([one.is_new, other.is_new]) for one, other in zip(results[::2], results[1::2], strict=True)]
    assert pairs == [[False, True]] * 20
    assert {result.refusal for result in results} == {None, MessageDeleted}
    assert (await servers[0].journal.extent()).head == 40
    for server in servers:
        await server.close()


async def test_a_page_is_read_without_reading_all_messages(url: str, stores: Stores) -> None:
    name = url.rpartition("/")[2]
    many = "SELECT n, n::text, 'x', '7', 'Ann', '', '' FROM generate_series(1, 20000) AS n"
    filled = f"INSERT INTO chatio.messages {many}; UPDATE chatio.log SET head = 20000; ANALYZE"  # noqa: S608
    postgres().sql(name, filled)
    plan = postgres().sql(name, f"EXPLAIN {AFTER.replace('$1', '500').replace('$2', '1000')}")
    assert "Index" in plan
    assert "Seq Scan on messages" not in plan
    assert [record.number for record in await stores.journal.read(500, limit=2)] == [501, 502]


async def test_a_nul_in_a_text_is_replaced(stores: Stores) -> None:
    await stores.journal.append([message("a", author_id="7\0", content="x\0y")])
    (record,) = await stores.journal.read(0, limit=1)
    assert (record.message.author_id, record.message.content) == ("7\ufffd", "x\ufffdy")
    assert await stores.users.get("\0") is None


async def test_of_several_hosts_in_a_url_the_one_that_answers_is_used(url: str) -> None:
    stores = await open_stores(url.replace("@127.0.0.1", "@127.0.0.1:1,127.0.0.1"), folder=Path())
    assert (await stores.journal.extent()).head == 0
    await stores.close()


async def test_of_several_hosts_the_one_that_can_be_written_to_is_used(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    standby = PostgresServer("-c", "fsync=off", "-c", "default_transaction_read_only=on")
    standby.start()
    try:
        with monkeypatch.context() as patch:
            patch.setenv("PGOPTIONS", "-c default_transaction_read_only=off")
            standby.sql("postgres", f"CREATE DATABASE {url.rpartition('/')[2]}")
        host = f"127.0.0.1:{standby.port}"
        stores = await open_stores(url.replace("@127.0.0.1", f"@{host},127.0.0.1"), folder=Path())
        await stores.journal.append([message("a")])
        await stores.close()
        with pytest.raises(StoreUnusable, match="cannot be written to"):
            await open_stores(f"postgresql://chatio@{host}/postgres", folder=Path())
    finally:
        standby.stop()


@pytest.mark.parametrize(
    ("options", "settings", "problem"),
    [
        (
            "ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
            "work_mem = '4MB'",
            "encoding LATIN1",
        ),
        ("", "synchronous_commit = off", "synchronous_commit is off"),
    ],
)
async def test_a_database_that_cannot_keep_the_promises_is_refused(
    url: str, options: str, settings: str, problem: str
) -> None:
    name = f"{url.rpartition('/')[2]}_other"
    postgres().sql("postgres", f"CREATE DATABASE {name} {options}")
    postgres().sql("postgres", f"ALTER DATABASE {name} SET {settings}")
    with pytest.raises(StoreUnusable, match=problem):
        await open_stores(f"{url}_other", folder=Path())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("127.0.0.1:", "127.0.0.1:9"), "has a port that is no number from 0 to 65535"),
        (("127.0.0.1:", "127.0.0.1:x"), "has a port that is no number from 0 to 65535"),
        (("chatio@", "stranger@"), "the database refuses: role"),
        (("/test", "/none"), "the database refuses: database"),
        (("127.0.0.1", "no-such-host.invalid"), "no connection to the database"),
        (("chatio@127.0.0.1", "chatio:hunter2@127.0.0.1:1,127.0.0.2"), "no connection to the database"),
    ],
)
async def test_a_database_that_cannot_be_used_is_told_in_a_sentence(
    url: str, change: tuple[str, str], problem: str
) -> None:
    with pytest.raises(StoreUnusable, match=problem) as caught:
        await open_stores(url.replace(*change), folder=Path())
    assert "hunter2" not in str(caught.value)


async def test_a_call_that_is_never_woken_fails_in_a_bounded_time(
    url: str, monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    """As one whose future was done, and whose callback was lost: no timeout of its own wakes it."""
    logs.expect("^The database refused: TimeoutError$")

    async def lost(_: object) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    async def one(_: object) -> int:
        return 1

    opened = await database.open_database(url)
    monkeypatch.setattr(database, "CALL_SECONDS", 0.5)
    for _ in range(database.MAX_CONNECTIONS):  # none of them keeps its connection
        with pytest.raises(OutcomeUnknown):
            await opened.run(lost)
    assert await opened.run(one) == 1
    await opened.close()
