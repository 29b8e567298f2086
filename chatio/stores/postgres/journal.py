"""The journal in PostgreSQL."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from chatio.stores.base import Appended, Extent, Message, Record, SchemaChanged, WentBack, derived_id, new_epoch
from chatio.stores.postgres.database import MAX_CONNECTIONS, SCHEMA, Database
from chatio.stores.postgres.texts import storable

_COLUMNS: Final = 'number, id, content, author_id, author_name, "timestamp", sent_at'
_AFTER: Final = f"SELECT {_COLUMNS} FROM chatio.messages WHERE number > $1 ORDER BY number LIMIT $2"  # noqa: S608
# A journal that has not the newest message which this process knows is given nothing.
_EXTENT: Final = """
SELECT epoch, tail, head, schema.version, (SELECT id FROM chatio.messages WHERE number = $1) AS id
FROM chatio.log, chatio.schema"""
_APPEND: Final = """
SELECT fence.fault, appended.*
FROM chatio.fence($8, $9, $10, $11) AS fence (fault)
LEFT JOIN LATERAL
    chatio.append(CASE WHEN fence.fault IS NULL THEN $1::text[] ELSE '{}' END, $2, $3, $4, $5, $6, $7)
AS appended ON true"""


class PostgresJournal:
    """A `Journal`. Event loop only."""

    is_durable = True

    def __init__(self, database: Database) -> None:
        self._database = database
        self._epoch: str | None = None  # when this process began
        self._newest: tuple[int, str | None] = (
            0,
            None,
        )  # the number and the id of the newest message that it knows
        # The newest sessions that have appended, by the database's process ids.
        self.sessions: deque[int] = deque(maxlen=MAX_CONNECTIONS)

    def append(self, batch: Sequence[Message]) -> "asyncio.Future[list[Appended]]":
        return asyncio.ensure_future(self._append([_storable(message) for message in batch]))

    async def read(self, after: int, *, limit: int) -> list[Record]:
        number, id_ = self._newest
        again = after == number and id_ is not None  # the newest message once more: it must be the same one
        first = after - 1 if again else after
        rows = await self._database.read(lambda connection: connection.fetch(_AFTER, first, limit + again))
        records = [_record(row) for row in rows]
        if again and records and records[0].number == number and records.pop(0).message.id != id_:
            raise WentBack
        del records[limit:]
        self._know(records)
        return records

    async def extent(self) -> Extent:
        number, id_ = self._newest
        row = await self._database.read(lambda connection: connection.fetchrow(_EXTENT, number))
        if id_ is not None and row["id"] not in (id_, None):
            raise WentBack
        if row["version"] != SCHEMA:
            raise SchemaChanged
        self._epoch = self._epoch or row["epoch"]
        return Extent(row["epoch"], row["tail"], row["head"])

    async def forget(self, up_to: int, *, limit: int) -> int:
        query = "SELECT chatio.forget($1, $2)"
        count: int = await self._database.read(lambda connection: connection.fetchval(query, up_to, limit))
        return count

    async def renew_epoch(self, old: str) -> str:
        query = "UPDATE chatio.log SET epoch = $1 WHERE epoch = $2"
        await self._database.read(lambda connection: connection.execute(query, new_epoch(old), old))
        self._epoch = None
        self._newest = (0, None)
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
        fence = (SCHEMA, self._epoch, *self._newest)
        rows = await self._database.run(lambda connection: self._fetch(connection, *columns, *fence))
        if (fault := rows[0]["fault"]) is not None:
            raise SchemaChanged if fault == "schema" else WentBack
        appended = [_appended(row, message) for row, message in zip(rows, batch, strict=True)]
        self._know([each.record for each in appended])
        return appended

    def _fetch(self, connection: Any, *arguments: Any) -> Any:
        if (session := connection.get_server_pid()) not in self.sessions:
            self.sessions.append(session)
        return connection.fetch(_APPEND, *arguments)

    def _know(self, records: list[Record]) -> None:
        for number, message in records:
            if number > self._newest[0]:
                self._newest = (number, message.id)


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
