"""The journal in SQLite."""

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from chatio.stores.base import Appended, Extent, Message, Record, derived_id, new_epoch
from chatio.stores.sqlite.database import Database

_COLUMNS: Final = "id, content, author_id, author_name, timestamp, sent_at"
_INSERT: Final = (
    f"INSERT INTO messages (number, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"  # noqa: S608 - of constants
)
_BY_ID: Final = f"SELECT number, {_COLUMNS} FROM messages WHERE id = ?"  # noqa: S608
_AFTER: Final = f"SELECT number, {_COLUMNS} FROM messages WHERE number > ? ORDER BY number LIMIT ?"  # noqa: S608


class SqliteJournal:
    """A `Journal`. Event loop only."""

    is_durable = True

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, batch: Sequence[Message]) -> "asyncio.Future[list[Appended]]":
        return self._database.write(lambda connection: _append(connection, batch))

    async def read(self, after: int, *, limit: int) -> list[Record]:
        return await self._database.read(
            lambda connection: [_record(row) for row in connection.execute(_AFTER, (after, limit))]
        )

    async def extent(self) -> Extent:
        return await self._database.read(_extent)

    async def forget(self, up_to: int, *, limit: int) -> int:
        return await self._database.write(lambda connection: _forget(connection, up_to, limit))

    async def renew_epoch(self, old: str) -> str:
        return await self._database.write(lambda connection: _renew_epoch(connection, old))


def _append(connection: sqlite3.Connection, batch: Sequence[Message]) -> list[Appended]:
    before = head = _extent(connection).head
    results = []
    for message in batch:
        appended = _append_one(connection, head + 1, message)
        head += appended.is_new
        results.append(appended)
    if head > before:
        connection.execute("UPDATE log SET head = ?", (head,))
    return results


def _append_one(connection: sqlite3.Connection, number: int, message: Message) -> Appended:
    """Append `message` under its own id, or, if that is another author's, under the one that is made of both."""
    if _insert(connection, number, message):
        return Appended(Record(number, message), is_new=True)
    first = _with_id(connection, message.id)
    if first.message.author_id == message.author_id:
        return Appended(first, is_new=False)
    message = msgspec.structs.replace(message, id=derived_id(message.author_id, message.id))
    if _insert(connection, number, message):
        return Appended(Record(number, message), is_new=True)
    return Appended(_with_id(connection, message.id), is_new=False)


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


def _with_id(connection: sqlite3.Connection, id_: str) -> Record:
    return _record(connection.execute(_BY_ID, (id_,)).fetchone())


def _extent(connection: sqlite3.Connection) -> Extent:
    return Extent(*connection.execute("SELECT epoch, tail, head FROM log").fetchone())


def _forget(connection: sqlite3.Connection, up_to: int, limit: int) -> int:
    _, tail, head = _extent(connection)
    until = min(up_to, tail + limit, head)
    if until <= tail:
        return 0
    connection.execute("DELETE FROM messages WHERE number <= ?", (until,))
    connection.execute("UPDATE log SET tail = ?", (until,))
    return until - tail


def _renew_epoch(connection: sqlite3.Connection, old: str) -> str:
    connection.execute("UPDATE log SET epoch = ? WHERE epoch = ?", (new_epoch(old), old))
    return _extent(connection).epoch


def _record(row: tuple[int, str, str, str, str, str, str]) -> Record:
    number, id_, content, author_id, author_name, timestamp, sent_at = row
    return Record(number, Message(id_, content, author_id, author_name, timestamp, sent_at))
