"""The journal in PostgreSQL."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from chatio.stores.base import Appended, Extent, Message, Record, derived_id, new_epoch
from chatio.stores.postgres.database import Database
from chatio.stores.postgres.texts import storable

_COLUMNS: Final = 'number, id, content, author_id, author_name, "timestamp", sent_at'
_AFTER: Final = f"SELECT {_COLUMNS} FROM chatio.messages WHERE number > $1 ORDER BY number LIMIT $2"  # noqa: S608
_APPEND: Final = "SELECT * FROM chatio.append($1, $2, $3, $4, $5, $6, $7)"


class PostgresJournal:
    """A `Journal`. Event loop only."""

    is_durable = True

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, batch: Sequence[Message]) -> "asyncio.Future[list[Appended]]":
        return asyncio.ensure_future(self._append([_storable(message) for message in batch]))

    async def read(self, after: int, *, limit: int) -> list[Record]:
        rows = await self._database.read(lambda connection: connection.fetch(_AFTER, after, limit))
        return [_record(row) for row in rows]

    async def extent(self) -> Extent:
        query = "SELECT epoch, tail, head FROM chatio.log"
        return Extent(*await self._database.read(lambda connection: connection.fetchrow(query)))

    async def forget(self, up_to: int, *, limit: int) -> int:
        query = "SELECT chatio.forget($1, $2)"
        count: int = await self._database.read(lambda connection: connection.fetchval(query, up_to, limit))
        return count

    async def renew_epoch(self, old: str) -> str:
        query = "UPDATE chatio.log SET epoch = $1 WHERE epoch = $2"
        await self._database.read(lambda connection: connection.execute(query, new_epoch(old), old))
        return (await self.extent()).epoch

    async def _append(self, batch: list[Message]) -> list[Appended]:
        if not batch:
            return []
        columns = [
            [message.id for message in batch],
            [message.content for message in batch],
            [message.author_id for message in batch],
            [message.author_name for message in batch],
            [message.timestamp for message in batch],
            [message.sent_at for message in batch],
            [derived_id(message.author_id, message.id) for message in batch],
        ]
        rows = await self._database.run(lambda connection: connection.fetch(_APPEND, *columns))
        return [_appended(row, message) for row, message in zip(rows, batch, strict=True)]


def _appended(row: Any, message: Message) -> Appended:
    if not row["is_new"]:
        return Appended(_record(row), is_new=False)
    if row["id"] != message.id:
        message = msgspec.structs.replace(message, id=row["id"])
    return Appended(Record(row["number"], message), is_new=True)


def _record(row: Any) -> Record:
    message = Message(
        row["id"], row["content"], row["author_id"], row["author_name"], row["timestamp"], row["sent_at"]
    )
    return Record(row["number"], message)


def _storable(message: Message) -> Message:
    texts = {name: getattr(message, name) for name in message.__struct_fields__}
    changed = {name: storable(text) for name, text in texts.items() if storable(text) is not text}
    return msgspec.structs.replace(message, **changed) if changed else message
