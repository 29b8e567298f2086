"""The journal in PostgreSQL."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from chatio.errors import MessageDeleted, MessageUnknown, StoreUnavailable
from chatio.stores.errors import OutcomeUnknown, SchemaChanged, WentBack
from chatio.stores.journal import OF_AUTHOR_AT_ONCE, Appended, Extent, new_epoch
from chatio.stores.postgres.database import MAX_CONNECTIONS, Database
from chatio.stores.postgres.schema import SCHEMA
from chatio.stores.postgres.texts import storable
from chatio.stores.records import FORGOTTEN, Change, Kind, Message, Record, derived_id, record_of

# Of each entry, as `record_of` takes it: its number and, for a change, its time; the message; the newest change.
# Each LIMIT makes PostgreSQL look up the few rows by their indexes, whatever it knows of the tables: without them
# it sorted all messages for each page.
_ENTRY: Final = """
SELECT e.number, e.at, m.number, m.id, m.content, m.author_id, m.author_name, m."timestamp", m.sent_at,
    n.number, n.content, n.at
FROM ({}) AS e
LEFT JOIN LATERAL (SELECT * FROM chatio.messages WHERE number = e.target LIMIT 1) AS m ON true
LEFT JOIN LATERAL (
    SELECT * FROM chatio.changes WHERE target = m.number ORDER BY target DESC, number DESC LIMIT 1
) AS n ON true
ORDER BY e.number"""
_MESSAGES: Final = "SELECT number, number AS target, NULL::text AS at FROM chatio.messages AS of"
AFTER: Final = _ENTRY.format(
    f"({_MESSAGES} WHERE number > $1 ORDER BY number LIMIT $2) UNION ALL "  # noqa: S608 - of constants
    "(SELECT number, target, at FROM chatio.changes WHERE number > $1 ORDER BY number LIMIT $2) "
    "ORDER BY number LIMIT $2"
)
_BY_IDS: Final = _ENTRY.format(f"{_MESSAGES} WHERE id = ANY($1)")
_BY_NUMBERS: Final = _ENTRY.format("SELECT number, target, at FROM chatio.changes WHERE number = ANY($1)")
_BY_AUTHOR: Final = _ENTRY.format(
    f"{_MESSAGES} WHERE number > $1 AND number <= $1 + $3::bigint AND author_id = $2 AND NOT EXISTS "
    "(SELECT FROM chatio.changes WHERE target = of.number AND content IS NULL) "
    f"ORDER BY number LIMIT {OF_AUTHOR_AT_ONCE}"
)
_BETWEEN: Final = _ENTRY.format(
    f"{_MESSAGES} WHERE number > $1 AND number < $2 AND NOT EXISTS "
    "(SELECT FROM chatio.changes WHERE target = of.number AND content IS NULL) ORDER BY number DESC LIMIT $3"
)
_EXTENT: Final = """
SELECT epoch, tail, head, schema.version, (SELECT id FROM chatio.messages WHERE number = $1) AS id
FROM chatio.log, chatio.schema"""
# A journal that has not what this process knows of it is given nothing.
_FENCED: Final = """
SELECT fence.fault, done.* FROM chatio.fence($1, $2, $3, $4, $5) AS fence (fault)
LEFT JOIN LATERAL chatio.{}(CASE WHEN fence.fault IS NULL THEN $6::text[] ELSE '{{}}' END, {}) AS done ON true"""
_APPEND: Final = _FENCED.format("append", "$7, $8, $9, $10, $11, $12")
_CHANGE: Final = _FENCED.format("change", "$7, $8, $9")
# Messages as a signal brings them (`chatio.tell_head`), the number before the fields of each.
_TOLD: Final = msgspec.json.Decoder(int | list[tuple[int, str, str, str, str, str, str]])
RECENT: Final = 2000  # messages whose ids are known
_REFUSALS: Final = {None: None, "unknown": MessageUnknown, "deleted": MessageDeleted}


class PostgresJournal:
    """A `Journal`. Event loop only."""

    is_durable = True

    def __init__(self, database: Database) -> None:
        self._database = database
        self._epoch: str | None = None  # when this process began
        self._head = 0  # the number of the newest entry that this process knows,
        self._newest: tuple[int, str | None] = (0, None)  # and of the newest message, with its id
        self._recent: dict[int, str] = {}  # the ids of the newest messages that it knows, by number
        # The newest sessions that have appended, by the database's process ids.
        self.sessions: deque[int] = deque(maxlen=MAX_CONNECTIONS)

    def append(self, batch: Sequence[Message]) -> "asyncio.Future[list[Appended]]":
        return asyncio.ensure_future(self._append([_storable(message) for message in batch]))

    def change(self, batch: Sequence[Change]) -> "asyncio.Future[list[Appended]]":
        return asyncio.ensure_future(self._change(batch))

    async def read(self, after: int, *, limit: int) -> list[Record]:
        id_ = self._recent.get(after)
        again = id_ is not None  # the message before once more: it must be the same one
        records = await self._read(AFTER, after - 1 if again else after, limit + again)
        if again and records and records[0].number == after and records.pop(0).message.id != id_:
            raise WentBack
        del records[limit:]
        self._know(records)
        return records

    def told(self, text: str, *, are_taken: bool) -> tuple[int, list[Record]]:
        """See `Bus.entries`."""
        told = _TOLD.decode(text)
        if isinstance(told, int):
            return told, []
        records = [Record(number, Message(*fields)) for number, *fields in told] if are_taken else []
        self._know(records)
        return told[-1][0], records

    async def messages(self, after: int, before: int, *, limit: int) -> list[Record]:
        return await self._read(_BETWEEN, after, before, limit)

    async def find(self, message_id: str) -> Record | None:
        return next(iter(await self._read(_BY_IDS, [message_id])), None)

    async def by_author(self, author_id: str, after: int, *, limit: int) -> list[Record]:
        return await self._read(_BY_AUTHOR, after, storable(author_id), limit)

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
        self._head, self._newest, self._recent = 0, (0, None), {}
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
        rows = await self._fenced(_APPEND, columns)
        known = await self._now(_BY_IDS, [row["id"] for row in rows if not row["is_new"]])
        first = {record.message.id: record for record in known}
        appended = [
            Appended(_new(row, message), is_new=True)
            if row["is_new"]
            else Appended(first[row["id"]], is_new=False)
            for row, message in zip(rows, batch, strict=True)
        ]
        self._know([each.record for each in appended])
        return appended

    async def _change(self, batch: Sequence[Change]) -> list[Appended]:
        columns = [
            [change.key for change in batch],
            [change.message_id for change in batch],
            [None if change.content is None else storable(change.content) for change in batch],
            [change.at for change in batch],
        ]
        rows = [row[1:] for row in await self._fenced(_CHANGE, columns)]
        now = await self._now(_BY_NUMBERS, [number for number, *_ in rows])
        self._know(now)
        entries = {0: Record(0, FORGOTTEN), **{record.number: record for record in now}}
        return [Appended(entries[number], is_new, _REFUSALS[refusal]) for number, is_new, refusal in rows]

    async def _fenced(self, query: str, columns: list[Any]) -> Any:
        """The rows of `query`, none of them with a fault. Raises `WentBack` and `SchemaChanged`."""

        def fetch(connection: Any) -> Any:
            if (session := connection.get_server_pid()) not in self.sessions:
                self.sessions.append(session)
            return connection.fetch(query, SCHEMA, self._epoch, self._head, *self._newest, *columns)

        rows = await self._database.run(fetch)
        if (fault := rows[0]["fault"]) is not None:
            raise SchemaChanged if fault == "schema" else WentBack
        return rows

    def _know(self, records: list[Record]) -> None:
        for number, message, kind in records:
            self._head = max(self._head, number)
            if kind is Kind.POSTED and number > self._newest[0] - RECENT:
                if number > self._newest[0]:
                    self._newest = (number, message.id)
                self._recent.setdefault(number, message.id)
                if len(self._recent) > RECENT:
                    del self._recent[next(iter(self._recent))]

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
