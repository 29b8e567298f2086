"""The audit trail, and the standing of users, in PostgreSQL."""

from typing import Any, Final

import msgspec

from chatio.stores.accounts import User
from chatio.stores.moderation import STANDING, Act, RecordedAct, recorded, standing
from chatio.stores.postgres.database import Database
from chatio.stores.postgres.texts import storable

_ACT: Final = Act.__struct_fields__
_ADD: Final = (
    f"INSERT INTO chatio.acts SELECT coalesce(max(number), 0) + 1, "  # noqa: S608 - of constants
    f"{', '.join(f'${n + 1}' for n in range(len(_ACT)))} FROM chatio.acts RETURNING number"
)
_ACTS: Final = f"SELECT number, {', '.join(_ACT)} FROM chatio.acts WHERE number > $1 ORDER BY number LIMIT $2"  # noqa: S608
_CHANGE: Final = (
    f"UPDATE chatio.users SET {', '.join(f'{name} = ${n + 2}' for n, name in enumerate(STANDING))} "  # noqa: S608
    f"WHERE id = $1 AND {' AND '.join(f'{name} = ${n + 2 + len(STANDING)}' for n, name in enumerate(STANDING))}"
)
_HAS_ROLE: Final = "SELECT id FROM chatio.users WHERE id = $1 AND role = $2 FOR SHARE"


class PostgresModerationStore:
    """A `ModerationStore`. Event loop only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self, act: Act, *, by: User | None = None, change: tuple[User, User] | None = None
    ) -> int | None:
        row = [storable(each) if isinstance(each, str) else each for each in msgspec.structs.astuple(act)]

        async def add(connection: Any) -> int | None:
            transaction = connection.transaction()
            await transaction.start()
            # One act at a time: their numbers are dense, and in the order of the commits. Readers do not wait.
            await connection.execute("LOCK TABLE chatio.acts IN EXCLUSIVE MODE")
            if (by is None or await connection.fetchval(_HAS_ROLE, by.id, by.role)) and (
                change is None or await _changes(connection, *change)
            ):
                number: int = await connection.fetchval(_ADD, *row)
                await transaction.commit()
                return number
            await transaction.rollback()
            return None

        return await self._database.read(add)

    async def acts(self, after: int, *, limit: int) -> list[RecordedAct]:
        return recorded(await self._database.read(lambda connection: connection.fetch(_ACTS, after, limit)))

    async def last_number(self) -> int:
        query = "SELECT coalesce(max(number), 0) FROM chatio.acts"
        number: int = await self._database.read(lambda connection: connection.fetchval(query))
        return number


async def _changes(connection: Any, old: User, new: User) -> bool:
    status: str = await connection.execute(_CHANGE, old.id, *standing(new), *standing(old))
    return status == "UPDATE 1"
