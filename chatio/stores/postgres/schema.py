"""The schema of a PostgreSQL database, and what else a database must be like: checked when it is opened."""

import asyncio
from typing import Any, Final

from chatio.stores.errors import StoreUnusable
from chatio.stores.journal import new_epoch
from chatio.stores.migrations import migrations

WITHOUT_TIMEOUTS: Final = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
SCHEMA: Final = migrations("postgres", 0)[-1].version
APPLICATION: Final = f"chatio {SCHEMA}"  # how the database knows the sessions of servers with this schema
# Servers of another schema, of which none may run when the schema changes.
_OTHERS: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'chatio%' AND application_name <> $1"""
OTHERS_END_SECONDS: Final = 15.0
_LOCK_OF_MIGRATIONS: Final = 0x43484154494F  # "CHATIO"


async def prepare(pool: Any) -> None:
    """Check the database, and bring its schema to this release's version; the pool is closed if that fails."""
    try:
        async with pool.acquire() as connection:
            await _require_session(pool, connection)
            async with connection.transaction():
                await connection.execute(WITHOUT_TIMEOUTS)
                await _require_promises(connection)
                await _migrate(connection)
    except BaseException:
        pool.terminate()
        raise


async def _require_session(pool: Any, connection: Any) -> None:
    """Raise `StoreUnusable` behind a pooler that gives each transaction another session, as PgBouncer can.

    Prepared statements, which asyncpg uses, and notifications belong to a session.
    """
    own = await connection.fetchval("SELECT pg_backend_pid()")
    if own == connection.get_server_pid():
        return  # a pooler makes up a pid of its own
    async with pool.acquire() as other, other.transaction():
        if await other.fetchval("SELECT pg_backend_pid()") == own:
            raise StoreUnusable(
                "a pooler in transaction mode is before the database: use its session mode, or the database itself"
            )


async def _require_promises(connection: Any) -> None:
    """Raise `StoreUnusable` for a database that would lose what it acknowledged, or cannot keep every text."""
    if await connection.fetchval("SHOW synchronous_commit") == "off":
        raise StoreUnusable("synchronous_commit is off there, so that a crash would lose messages: set it to on")
    if (encoding := await connection.fetchval("SHOW server_encoding")) != "UTF8":
        raise StoreUnusable(f"the database has the encoding {encoding}: make one with ENCODING 'UTF8'")


async def _migrate(connection: Any) -> None:
    """Bring the schema to this release's version, in one transaction. Raises `StoreUnusable`."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK_OF_MIGRATIONS)
    if await connection.fetchval("SELECT to_regnamespace('chatio') IS NULL"):
        await connection.execute("CREATE SCHEMA chatio")
    if await connection.fetchval("SELECT to_regclass('chatio.schema') IS NULL"):
        await connection.execute("CREATE TABLE chatio.schema (version integer NOT NULL)")
        await connection.execute("INSERT INTO chatio.schema VALUES (0)")
    version = await connection.fetchval("SELECT version FROM chatio.schema")
    lacking = migrations("postgres", version)
    if lacking and version:
        await _await_end_of_others(connection)
    for migration in lacking:
        await connection.execute(migration.script)
    if version == 0:
        await connection.execute("INSERT INTO chatio.log VALUES (true, $1, 0, 0)", new_epoch())
    if lacking:
        await connection.execute("UPDATE chatio.schema SET version = $1", lacking[-1].version)


async def _await_end_of_others(connection: Any) -> None:
    """Return when no server of another schema uses the database any more. Raises `StoreUnusable`."""
    until = asyncio.get_running_loop().time() + OTHERS_END_SECONDS
    while await connection.fetchval(_OTHERS, APPLICATION):
        if asyncio.get_running_loop().time() > until:
            raise StoreUnusable("servers of an earlier release still use the database: stop all of them first")
        await asyncio.sleep(0.2)
        await connection.execute("SELECT pg_stat_clear_snapshot()")
