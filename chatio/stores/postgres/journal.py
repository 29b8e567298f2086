"""The journal in PostgreSQL."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from chatio.errors import MessageDeleted, MessageUnknown, StoreUnavailable
from chatio.stores.base import (
    FORGOTTEN,
    Appended,
    Change,
    Extent,
    Message,
    OutcomeUnknown,
    Record,
    derived_id,
    new_epoch,
    record_of,
)
from chatio.stores.postgres.database import Database
from chatio.stores.postgres.texts import storable

# Of each entry, as `record_of` takes it: its number and, for a change, its time; the message; the newest change.
_ENTRY: Final = """
SELECT e.number, e.at, m.number, m.id, m.content, m.author_id, m.author_name, m."timestamp", m.sent_at,
    n.number, n.content, n.at
FROM ({}) AS e
LEFT JOIN chatio.messages AS m ON m.number = e.target
LEFT JOIN chatio.changes AS n ON n.number = (SELECT max(number) FROM chatio.changes WHERE target = m.number)
ORDER BY e.number"""
_MESSAGES: Final = "SELECT number, number AS target, NULL::text AS at FROM chatio.messages AS of"
_AFTER: Final = _ENTRY.format(
    f"{_MESSAGES} WHERE number > $1 "  # noqa: S608 - of constants
    "UNION ALL SELECT number, target, at FROM chatio.changes WHERE number > $1 ORDER BY number LIMIT $2"
)
_BY_IDS: Final = _ENTRY.format(f"{_MESSAGES} WHERE id = ANY($1)")
_BY_NUMBERS: Final = _ENTRY.format("SELECT number, target, at FROM chatio.changes WHERE number = ANY($1)")
_BY_AUTHOR: Final = _ENTRY.format(
    f"{_MESSAGES} WHERE number > $1 AND number <= $1 + $3::bigint AND author_id = $2 AND NOT EXISTS "
    "(SELECT FROM chatio.changes WHERE target = of.number AND content IS NULL)"
)
_APPEND: Final = "SELECT * FROM chatio.append($1, $2, $3, $4, $5, $6, $7)"
_CHANGE: Final = "SELECT * FROM chatio.change($1, $2, $3, $4)"
_REFUSALS: Final = {None: None, "unknown": MessageUnknown, "deleted": MessageDeleted}


class PostgresJournal:
    """A `Journal`. Event loop only."""

    is_durable = True

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, batch: Sequence[Message]) -> "asyncio.Future[list[Appended]]":
        return asyncio.ensure_future(self._append([_storable(message) for message in batch]))

    def change(self, batch: Sequence[Change]) -> "asyncio.Future[list[Appended]]":
        return asyncio.ensure_future(self._change(batch))

    async def read(self, after: int, *, limit: int) -> list[Record]:
        return await self._read(_AFTER, after, limit)

    async def find(self, message_id: str) -> Record | None:
        return next(iter(await self._read(_BY_IDS, [message_id])), None)

    async def by_author(self, author_id: str, after: int, *, limit: int) -> list[Record]:
        return await self._read(_BY_AUTHOR, after, storable(author_id), limit)

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
        known = await self._now(_BY_IDS, [row["id"] for row in rows if not row["is_new"]])
        first = {record.message.id: record for record in known}
        return [
            Appended(_new(row, message), is_new=True)
            if row["is_new"]
            else Appended(first[row["id"]], is_new=False)
            for row, message in zip(rows, batch, strict=True)
        ]

    async def _change(self, batch: Sequence[Change]) -> list[Appended]:
        columns = [
            [change.key for change in batch],
            [change.message_id for change in batch],
            [None if change.content is None else storable(change.content) for change in batch],
            [change.at for change in batch],
        ]
        rows = await self._database.run(lambda connection: connection.fetch(_CHANGE, *columns))
        now = await self._now(_BY_NUMBERS, [number for number, *_ in rows])
        entries = {0: Record(0, FORGOTTEN), **{record.number: record for record in now}}
        return [Appended(entries[number], is_new, _REFUSALS[refusal]) for number, is_new, refusal in rows]

    async def _now(self, query: str, keys: list[Any]) -> list[Record]:
        """What was found or made by a batch that is in the journal. Raises `OutcomeUnknown`."""
        try:
            return await self._read(query, keys) if keys else []
        except StoreUnavailable:
            raise OutcomeUnknown from None

    async def _read(self, query: str, *values: object) -> list[Record]:
        rows = await self._database.read(lambda connection: connection.fetch(query, *values))
        return [record_of(row) for row in rows]


def _new(row: Any, message: Message) -> Record:
    if row["id"] != message.id:
        message = msgspec.structs.replace(message, id=row["id"])
    return Record(row["number"], message)


def _storable(message: Message) -> Message:
    texts = {name: getattr(message, name) for name in message.__struct_fields__}
    changed = {name: storable(text) for name, text in texts.items() if isinstance(text, str) and "\0" in text}
    return msgspec.structs.replace(message, **changed) if changed else message
