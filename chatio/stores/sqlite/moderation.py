"""The audit trail, and the standing of users, in SQLite."""

import sqlite3
from typing import Final

import msgspec

from chatio.stores.accounts import User
from chatio.stores.moderation import STANDING, Act, RecordedAct, recorded, standing
from chatio.stores.sqlite.accounts import known
from chatio.stores.sqlite.database import Database

_ACT: Final = Act.__struct_fields__
_ADD: Final = f"INSERT INTO acts ({', '.join(_ACT)}) VALUES ({', '.join('?' * len(_ACT))}) RETURNING number"  # noqa: S608
_ACTS: Final = f"SELECT number, {', '.join(_ACT)} FROM acts WHERE number > ? ORDER BY number LIMIT ?"  # noqa: S608
_CHANGE: Final = (
    f"UPDATE users SET {', '.join(f'{name} = ?' for name in STANDING)} "  # noqa: S608 - of constants
    f"WHERE id = ? AND {' AND '.join(f'{name} = ?' for name in STANDING)}"
)


class _Overtaken(Exception):
    """A user is no longer as the caller has seen them."""


class SqliteModerationStore:
    """A `ModerationStore`. Event loop only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self, act: Act, *, by: User | None = None, change: tuple[User, User] | None = None
    ) -> int | None:
        def add(connection: sqlite3.Connection) -> int:
            if by is not None:
                role = connection.execute("SELECT role FROM users WHERE id = ?", (by.id,)).fetchone()
                if role != (by.role,):
                    raise _Overtaken
            if change is not None:
                old, new = change
                values = (*standing(new), old.id, *standing(old))
                if connection.execute(_CHANGE, values).rowcount != 1:
                    raise _Overtaken
            ((number,),) = connection.execute(_ADD, msgspec.structs.astuple(act)).fetchall()
            return int(number)

        try:
            return await known(self._database.write(add))
        except _Overtaken:
            return None

    async def acts(self, after: int, *, limit: int) -> list[RecordedAct]:
        rows = await self._database.read(lambda connection: connection.execute(_ACTS, (after, limit)).fetchall())
        return recorded(rows)

    async def last_number(self) -> int:
        query = "SELECT coalesce(max(number), 0) FROM acts"
        ((number,),) = await self._database.read(lambda connection: connection.execute(query).fetchall())
        return int(number)
