"""What becomes of PostgreSQL's sessions: timeouts, TLS, poolers, failovers, changes of the schema."""

import asyncio
import functools
from pathlib import Path
from typing import Any

import pytest

from chatio.errors import StoreUnavailable
from chatio.stores.errors import OutcomeUnknown, StoreUnusable
from chatio.stores.opening import open_stores
from chatio.stores.postgres import database as module
from chatio.stores.postgres import schema
from chatio.stores.postgres.database import Database, open_database
from chatio.stores.postgres.journal import PostgresJournal
from tests.conftest import ExpectedLogs
from tests.contract.journal import contents, message
from tests.postgres import PgBouncer, postgres
from tests.system.nginx import Certificate, certificate
from tests.system.proxy import CuttingProxy
from tests.system.server import await_until

IGNORED = "statement_timeout, idle_in_transaction_session_timeout"


@pytest.fixture
def url() -> str:
    return postgres().new_database()


def through(port: int, url: str) -> str:
    return url.replace(f":{postgres().port}/", f":{port}/")


async def pids(database: Database) -> set[int]:
    """The sessions of five calls at once, which is all of the pool's."""
    query = "SELECT pg_backend_pid() FROM pg_sleep(0.05)"
    return set(await asyncio.gather(*(database.run(lambda session: session.fetchval(query)) for _ in range(5))))


# Timeouts


async def test_sessions_have_timeouts_of_statements_and_of_idle_transactions(url: str) -> None:
    database = await open_database(url)
    for name, value in (("statement_timeout", "4500ms"), ("idle_in_transaction_session_timeout", "10s")):
        shown = await database.run(lambda session, name=name: session.fetchval(f"SHOW {name}"))  # type: ignore[misc]
        assert shown == value
    await database.close()


async def test_a_statement_that_takes_too_long_is_refused_and_changes_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect("The database refused: 57014")
    monkeypatch.setattr(module, "_STATEMENT_TIMEOUT", "100ms")
    database = await open_database(url)
    epoch = (await PostgresJournal(database).extent()).epoch
    with pytest.raises(StoreUnavailable):
        await database.run(lambda session: session.execute("UPDATE chatio.log SET epoch = pg_sleep(60)::text"))
    assert (await PostgresJournal(database).extent()).epoch == epoch
    await database.close()


async def test_a_migration_may_take_longer_than_a_statement(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(session: Any) -> None:
        await session.execute("SELECT pg_sleep(0.3)")

    monkeypatch.setattr(module, "_STATEMENT_TIMEOUT", "100ms")
    monkeypatch.setattr(schema, "_migrate", slow)
    await (await open_database(url)).close()


# Sessions that end, or lose their state


async def test_a_session_that_does_not_answer_takes_all_others_with_it(
    url: str, monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    """As after a failover: else each of the five would cost a call five seconds."""
    with CuttingProxy(postgres().port) as proxy:
        database = await open_database(through(proxy.port, url))
        before = await pids(database)
        proxy.swallow()
        logs.expect("The database refused: TimeoutError")
        monkeypatch.setattr(module, "ANSWER_SECONDS", 0.1)
        with pytest.raises(OutcomeUnknown):
            await database.run(lambda session: session.execute("SELECT 1"))
        monkeypatch.undo()
        proxy.mend()
        assert not before & await pids(database)
        await database.close()


async def test_sessions_that_the_database_ends_cost_one_call(url: str) -> None:
    database = await open_database(url)
    before = await pids(database)
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    name = url.rpartition("/")[2]
    postgres().sql(name, f"SELECT pg_terminate_backend(pid) {others}")
    await_until(lambda: postgres().sql(name, f"SELECT count(*) {others}") == "0", "the sessions have ended")
    outcomes = [await _outcome(database) for _ in range(6)]
    assert outcomes[1:] == ["ok"] * 5
    assert not before & await pids(database)
    await database.close()


async def test_sessions_that_can_only_read_any_more_cost_one_call(url: str, logs: ExpectedLogs) -> None:
    database = await open_database(url)
    before = await pids(database)
    logs.expect("The database refused: 25006")
    with postgres().switched_on("default_transaction_read_only"), pytest.raises(StoreUnavailable):
        await PostgresJournal(database).append([message("a")])
    assert (await PostgresJournal(database).append([message("a")]))[0].is_new
    assert not before & await pids(database)
    await database.close()


async def test_prepared_statements_that_are_gone_cost_one_call(url: str, logs: ExpectedLogs) -> None:
    database = await open_database(url)
    journal = PostgresJournal(database)
    await journal.append([message("a")])
    await database.run(lambda session: session.execute("DISCARD ALL"))
    logs.expect("The database refused: 26000")
    with pytest.raises(StoreUnavailable):
        await journal.append([message("b")])
    assert (await journal.append([message("b")]))[0].is_new
    assert [text for _, text in await contents(journal)] == ["hello", "hello"]
    await database.close()


async def test_statements_are_prepared_anew_after_a_change_of_the_schema(url: str) -> None:
    database = await open_database(url)
    journal = PostgresJournal(database)
    await journal.append([message("a")])
    for change in (
        "ALTER TABLE chatio.messages ADD COLUMN extra text",
        "ALTER TABLE chatio.messages ALTER COLUMN sent_at TYPE varchar(40)",
        "ALTER TABLE chatio.log ALTER COLUMN epoch TYPE varchar(20)",
        "DROP INDEX IF EXISTS chatio.none; ANALYZE chatio.messages",
    ):
        await contents(journal)
        await journal.extent()
        postgres().sql(url.rpartition("/")[2], change)
        assert [text for _, text in await contents(journal)] == ["hello"], change
        assert (await journal.extent()).head == 1, change
    await database.close()


async def _outcome(database: Database) -> str:
    try:
        await database.run(lambda session: session.execute("SELECT 1"))
    except (OutcomeUnknown, StoreUnavailable) as error:
        return type(error).__name__
    return "ok"


# TLS


@functools.cache
def another_certificate() -> Certificate:
    return Certificate()


async def test_a_database_is_used_whose_certificate_is_trusted(url: str) -> None:
    files = certificate().path, certificate().key_path
    trusted = f"{url}?sslmode=verify-full&sslrootcert={certificate().path}"
    with postgres().tls(*files):
        database = await open_database(trusted)
        query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert await database.run(lambda session: session.fetchval(query)) is True
        await database.close()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("sslmode=verify-full&sslrootcert={other}", "the database's certificate is not trusted: self-signed"),
        ("sslmode=verify-ca&sslrootcert={other}", "the database's certificate is not trusted: self-signed"),
        ("sslmode=verify-full&sslrootcert=/no/such/file", "no connection to the database: No such file"),
        ("sslmode=verify-full&sslrootcert={text}", "no connection with TLS to the database: NO_CERT"),
        ("sslmode=whatever", "the URL has a part that cannot be used"),
    ],
)
async def test_a_database_whose_certificate_is_not_trusted_is_refused_in_a_sentence(
    url: str, tmp_path: Path, options: str, problem: str
) -> None:
    other, text = another_certificate(), tmp_path / "text"
    text.write_text("no certificate")
    with postgres().tls(certificate().path, certificate().key_path):
        address = url.replace("chatio@", "chatio:hunter2@")
        with pytest.raises(StoreUnusable, match=problem) as caught:
            await open_database(f"{address}?{options.format(other=other.path, text=text)}")
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_database_without_tls_is_refused_where_tls_is_required(url: str) -> None:
    with pytest.raises(StoreUnusable, match="none with TLS"):
        await open_database(f"{url}?sslmode=require")


# Poolers


async def test_a_pooler_in_transaction_mode_is_refused_in_a_sentence(url: str) -> None:
    pooler = PgBouncer(postgres(), "transaction", ignore_startup_parameters=IGNORED)
    with pooler, pytest.raises(StoreUnusable, match="a pooler in transaction mode"):
        await open_database(through(pooler.port, url))


async def test_a_pooler_that_knows_no_timeouts_is_refused_in_a_sentence(url: str) -> None:
    pooler = PgBouncer(postgres(), "session")
    with pooler, pytest.raises(StoreUnusable, match="ignore_startup_parameters"):
        await open_database(through(pooler.port, url))


async def test_a_pooler_in_session_mode_is_like_the_database(url: str) -> None:
    with PgBouncer(postgres(), "session", ignore_startup_parameters=IGNORED) as pooler:
        for _ in range(2):  # the second time with sessions that were used before
            stores = await open_stores(through(pooler.port, url), folder=Path())
            results = await asyncio.gather(*(stores.journal.append([message(f"m{n}")]) for n in range(20)))
            assert sorted(result.record.number for (result,) in results) == list(range(1, 21))
            assert len(await contents(stores.journal)) == 20
            await stores.close()
