"""Databases for the benchmarks: empty, but for the accounts of the load tool's users.

The load tool signs tokens of its own, and with a database the server refuses a token whose user has no account.
"""

import asyncio
import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from benchmarks.load.wire import user_id, user_name
from benchmarks.plan import POSTGRES, SQLITE
from chatio.stores.accounts import User
from chatio.stores.opening import open_stores
from tests.postgres import PostgresServer

ACCOUNTS = 10_000


@contextmanager
def database(server: str, **environ: str) -> Iterator[str]:
    """The DATABASE_URL of a new database for the variant `server`; "" for one that keeps everything in memory.

    `environ`: more variables of PostgreSQL's environment.
    """
    if server == SQLITE:
        with tempfile.TemporaryDirectory(prefix="chatio-benchmark-") as folder:
            path = Path(folder) / "chat.db"
            asyncio.run(_make(f"sqlite:///{path}"))
            fill_sqlite(path, "users", User.__struct_fields__, _accounts())
            yield f"sqlite:///{path}"
    elif server == POSTGRES:
        postgres = PostgresServer(**environ)
        postgres.start()
        try:
            url = postgres.new_database()
            make_accounts(url)
            yield url
        finally:
            postgres.stop()
    else:
        yield ""


def make_accounts(url: str) -> None:
    """Make the tables and the accounts in the empty PostgreSQL database at `url`."""
    asyncio.run(_make(url))
    asyncio.run(fill_postgres(url, "users", User.__struct_fields__, _accounts()))


def fill_sqlite(path: Path, table: str, columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
    """Add `rows` to a table of the database, which no server uses."""
    marks = ", ".join("?" * len(columns))
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608


async def fill_postgres(url: str, table: str, columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
    """Add `rows` to a table of the database."""
    connection = await asyncpg.connect(url)
    await connection.copy_records_to_table(table, schema_name="chatio", columns=columns, records=rows)
    await connection.close()


async def _make(url: str) -> None:
    await (await open_stores(url, folder=Path("/"))).close()


def _accounts() -> Iterator[tuple[Any, ...]]:
    for number in range(ACCOUNTS):
        name, email = user_name(number), f"user{number}@chat.test"
        yield msgspec.structs.astuple(User(user_id(number), name, name, name, email, email, "no password"))
