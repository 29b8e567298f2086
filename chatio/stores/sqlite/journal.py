"""The journal in SQLite.

A text that must go is overwritten in its place by as many spaces, and a new one goes to the end of a table: so no
row grows. Rows that grow push others to new pages, and SQLite's `secure_delete` leaves copies of those behind:
of 700 texts that were deleted among 400 that grew, two could still be read in the file.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from chatio.errors import MessageDeleted, MessageUnknown
from chatio.stores.journal import OF_AUTHOR_AT_ONCE, Appended, Extent, new_epoch
from chatio.stores.records import FORGOTTEN, Change, Message, Record, derived_id, record_of
from chatio.stores.sqlite.database import Database

T = TypeVar("T")

_COLUMNS: Final = "id, content, author_id, author_name, timestamp, sent_at"
_INSERT: Final = (
    f"INSERT INTO messages (number, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"  # noqa: S608 - of constants
)
# Of each entry, as `record_of` takes it: its number and, for a change, its time; the message; the newest change.
_ENTRY: Final = """
SELECT e.number, e.at, m.number, m.id, m.content, m.author_id, m.author_name, m.timestamp, m.sent_at,
    n.number, n.content, n.at
FROM ({}) AS e
LEFT JOIN messages AS m ON m.number = e.target
LEFT JOIN changes AS n ON n.number = (SELECT max(number) FROM changes WHERE target = m.number)
ORDER BY e.number"""
_AFTER: Final = _ENTRY.format(
    "SELECT number, number AS target, NULL AS at FROM messages WHERE number > ?1 "
    "UNION ALL SELECT number, target, at FROM changes WHERE number > ?1 ORDER BY number LIMIT ?2"
)
_BY_ID: Final = _ENTRY.format("SELECT number, number AS target, NULL AS at FROM messages WHERE id = ?")
_BY_KEY: Final = _ENTRY.format("SELECT number, target, at FROM changes WHERE key = ?")
_BY_NUMBER: Final = _ENTRY.format("SELECT number, target, at FROM changes WHERE number = ?")
_BY_AUTHOR: Final = _ENTRY.format(
    "SELECT number, number AS target, NULL AS at FROM messages WHERE number > ?1 AND number <= ?1 + ?3 "  # noqa: S608 - of constants
    "AND author_id = ?2 AND NOT EXISTS "
    "(SELECT 1 FROM changes WHERE target = messages.number AND content IS NULL) "
    f"ORDER BY number LIMIT {OF_AUTHOR_AT_ONCE}"
)
_BETWEEN: Final = _ENTRY.format(
    "SELECT number, number AS target, NULL AS at FROM messages WHERE number > ?1 AND number < ?2 AND NOT EXISTS "
    "(SELECT 1 FROM changes WHERE target = messages.number AND content IS NULL) ORDER BY number DESC LIMIT ?3"
)
_SPACES: Final = "content = printf('%*s', length(CAST(content AS BLOB)), '')"
_ERASE_MESSAGE: Final = f"UPDATE messages SET {_SPACES} WHERE number = ?"  # noqa: S608
_ERASE_CHANGE: Final = f"UPDATE changes SET {_SPACES} WHERE number = ?"  # noqa: S608
_ERASE_CHANGES_OF: Final = f"UPDATE changes SET {_SPACES} WHERE target > ? AND target <= ? AND content IS NOT NULL"  # noqa: S608


class SqliteJournal:
    """A `Journal`. Event loop only."""

    is_durable = True

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, batch: Sequence[Message]) -> "asyncio.Future[list[Appended]]":
        return self._database.write(lambda connection: _add(connection, batch, _append_one))

    def change(self, batch: Sequence[Change]) -> "asyncio.Future[list[Appended]]":
        return self._database.write(lambda connection: _add(connection, batch, _change_one), erases=True)

    async def read(self, after: int, *, limit: int) -> list[Record]:
        return await self._read(_AFTER, after, limit)

    async def messages(self, after: int, before: int, *, limit: int) -> list[Record]:
        return await self._read(_BETWEEN, after, before, limit)

    async def find(self, message_id: str) -> Record | None:
        return next(iter(await self._read(_BY_ID, message_id)), None)

    async def by_author(self, author_id: str, after: int, *, limit: int) -> list[Record]:
        return await self._read(_BY_AUTHOR, after, author_id, limit)

    async def extent(self) -> Extent:
        return await self._database.read(_extent)

    async def forget(self, up_to: int, *, limit: int) -> int:
        return await self._database.write(lambda connection: _forget(connection, up_to, limit))

    async def renew_epoch(self, old: str) -> str:
        return await self._database.write(lambda connection: _renew_epoch(connection, old))

    async def _read(self, query: str, *values: object) -> list[Record]:
        return await self._database.read(
            lambda connection: [record_of(row) for row in connection.execute(query, values)]
        )


def _add(
    connection: sqlite3.Connection,
    batch: Sequence[T],
    add_one: Callable[[sqlite3.Connection, int, T], Appended],
) -> list[Appended]:
    before = head = _extent(connection).head
    results = []
    for each in batch:
        appended = add_one(connection, head + 1, each)
        head += appended.is_new
        results.append(appended)
    if head > before:
        connection.execute("UPDATE log SET head = ?", (head,))
    return results


def _append_one(connection: sqlite3.Connection, number: int, message: Message) -> Appended:
    """Append `message` under its own id, or, if that is another author's, under the one that is made of both."""
    if _insert(connection, number, message):
        return Appended(Record(number, message), is_new=True)
    first = _one(connection, _BY_ID, message.id)
    if first.message.author_id == message.author_id:
        return Appended(first, is_new=False)
    message = msgspec.structs.replace(message, id=derived_id(message.author_id, message.id))
    if _insert(connection, number, message):
        return Appended(Record(number, message), is_new=True)
    return Appended(_one(connection, _BY_ID, message.id), is_new=False)


def _change_one(connection: sqlite3.Connection, number: int, change: Change) -> Appended:
    """Append `change`, and overwrite the text that was the newest one until now."""
    if (row := connection.execute(_BY_KEY, (change.key,)).fetchone()) is not None:
        return Appended(record_of(row), is_new=False)
    row = connection.execute(_BY_ID, (change.message_id,)).fetchone()
    if row is None:
        return Appended(Record(0, FORGOTTEN), is_new=False, refusal=MessageUnknown)
    _, _, post, *_, newest, content, _ = row
    if newest is not None:
        if content is None:
            return Appended(record_of(row), is_new=False, refusal=MessageDeleted)
        if content == change.content:
            return Appended(_one(connection, _BY_NUMBER, newest), is_new=False)
    connection.execute(
        "INSERT INTO changes (number, key, target, content, at) VALUES (?, ?, ?, ?, ?)",
        (number, change.key, post, change.content, change.at),
    )
    if newest is None:
        connection.execute(_ERASE_MESSAGE, (post,))
    else:
        connection.execute(_ERASE_CHANGE, (newest,))
    return Appended(_one(connection, _BY_NUMBER, number), is_new=True)


def _insert(connection: sqlite3.Connection, number: int, message: Message) -> bool:
    row = (
        number,
        message.id,
        message.content,
        message.author_id,
        message.author_name,
        message.timestamp,
        message.sent_at,
    )
    return connection.execute(_INSERT, row).rowcount == 1


def _one(connection: sqlite3.Connection, query: str, value: object) -> Record:
    return record_of(connection.execute(query, (value,)).fetchone())


def _extent(connection: sqlite3.Connection) -> Extent:
    return Extent(*connection.execute("SELECT epoch, tail, head FROM log").fetchone())


def _forget(connection: sqlite3.Connection, up_to: int, limit: int) -> int:
    _, tail, head = _extent(connection)
    until = min(up_to, tail + limit, head)
    if until <= tail:
        return 0
    connection.execute("DELETE FROM messages WHERE number <= ?", (until,))
    connection.execute("DELETE FROM changes WHERE number <= ?", (until,))
    connection.execute(_ERASE_CHANGES_OF, (tail, until))
    connection.execute("UPDATE log SET tail = ?", (until,))
    return until - tail


def _renew_epoch(connection: sqlite3.Connection, old: str) -> str:
    connection.execute("UPDATE log SET epoch = ? WHERE epoch = ?", (new_epoch(old), old))
    return _extent(connection).epoch
