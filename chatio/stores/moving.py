"""Moving everything from a SQLite file to a PostgreSQL database."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any, Final

from chatio.stores.accounts import Ended, LoginCount, User
from chatio.stores.errors import StoreUnusable
from chatio.stores.moderation import Act
from chatio.stores.sqlite.file import check_existing, locked, migrated, reason_of
from chatio.stores.url import PostgresUrl, parse_store_url

_TABLES: Final = {
    "messages": ("number", "id", "content", "author_id", "author_name", "timestamp", "sent_at"),
    "changes": ("number", "key", "target", "content", "at"),
    "users": User.__struct_fields__,
    "revocations": Ended.__struct_fields__,
    "acts": ("number", *Act.__struct_fields__),
    "login_counts": LoginCount._fields,
    "sanctions": ("account", "banned_until", "muted_until"),
}
_AT_ONCE: Final = 5000


async def move(file: Path, url: str) -> str:
    """Copy the SQLite database `file`, which no server may use, to the empty PostgreSQL database at `url`.

    All of it or nothing. Numbers, ids and the epoch stay, so that clients go on where they are. Returns what was
    copied, in words. Raises `StoreUnusable`.
    """
    try:
        target = parse_store_url(url)
    except ValueError:
        target = None
    if not isinstance(target, PostgresUrl):
        raise StoreUnusable("the URL to migrate to must begin with postgresql://")
    from chatio.stores.postgres.database import filling  # imported only where it is used

    check_existing(file)
    try:
        with locked(file), contextlib.closing(migrated(file)) as source:
            async with filling(target.text) as connection:
                counts = {table: await _copy(source, connection, table) for table in _TABLES}
                log = source.execute("SELECT epoch, tail, head FROM log").fetchone()
                await connection.execute("UPDATE chatio.log SET epoch = $1, tail = $2, head = $3", *log)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusable(f"{file.name}: {reason_of(error)}") from None
    return ", ".join(f"{count:,} {table}" for table, count in counts.items())


async def _copy(source: sqlite3.Connection, connection: Any, table: str) -> int:
    """Copy a table; how many rows it has."""
    from chatio.stores.postgres.texts import storable

    columns = _TABLES[table]
    count = 0
    rows = source.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY rowid")  # noqa: S608 - of constants
    while piece := rows.fetchmany(_AT_ONCE):
        records = [tuple(storable(each) if isinstance(each, str) else each for each in row) for row in piece]
        await connection.copy_records_to_table(table, schema_name="chatio", columns=columns, records=records)
        count += len(records)
    return count
