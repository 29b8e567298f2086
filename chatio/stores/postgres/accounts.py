"""The users, the revoked tokens and the counts of logins in PostgreSQL."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from chatio.errors import EmailAlreadyUsed, NameTaken
from chatio.stores.accounts import Ended, LoginCount, User
from chatio.stores.moderation import sanction_key, with_sanctions
from chatio.stores.postgres.database import Database
from chatio.stores.postgres.texts import storable

_FIELDS: Final = User.__struct_fields__
_USER: Final = ", ".join(_FIELDS)
_ADD_USER: Final = (
    f"INSERT INTO chatio.users ({_USER}) VALUES ({', '.join(f'${n + 1}' for n in range(len(_FIELDS)))}) "  # noqa: S608
    "ON CONFLICT DO NOTHING RETURNING id"
)
_TAKE_SANCTIONS: Final = "DELETE FROM chatio.sanctions WHERE account = $1 RETURNING banned_until, muted_until"
_SANCTION: Final = "UPDATE chatio.users SET banned_until = $2, muted_until = $3 WHERE id = $1"
_REMOVE: Final = """
WITH removed AS (
    DELETE FROM chatio.users WHERE id = $1 AND password_hash = $2 RETURNING email_key, banned_until, muted_until
), kept AS (
    INSERT INTO chatio.sanctions (account, banned_until, muted_until)
    SELECT encode(sha256(convert_to(email_key, 'UTF8')), 'hex'), banned_until, muted_until FROM removed
    WHERE greatest(banned_until, muted_until) > $3
    ON CONFLICT (account) DO UPDATE SET banned_until = excluded.banned_until, muted_until = excluded.muted_until
)
SELECT count(*) FROM removed"""
_GET_USER: Final = f"SELECT {_USER} FROM chatio.users WHERE id = $1"  # noqa: S608 - of constants
_GET_BY_EMAIL_KEY: Final = f"SELECT {_USER} FROM chatio.users WHERE email_key = $1"  # noqa: S608
_FIND: Final = (
    f"SELECT {_USER} FROM chatio.users WHERE strpos(name_key, $1) > 0 AND name_key > $2 "  # noqa: S608
    "ORDER BY name_key LIMIT $3"
)
_MUTED: Final = f"SELECT {_USER} FROM chatio.users WHERE muted_until > 0 AND muted_until > $1"  # noqa: S608
_FORGET: Final = """
DELETE FROM chatio.revocations WHERE until <= $1 AND (
    token_id <> '' OR before < (SELECT max(before) FROM chatio.revocations WHERE until <= $1 AND token_id = '')
)"""

_SAVE_COUNTS: Final = """
INSERT INTO chatio.login_counts SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[])
ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, until = excluded.until"""
_FORGET_COUNTS: Final = """
DELETE FROM chatio.login_counts WHERE (kind, key) IN (SELECT * FROM unnest($1::text[], $2::text[]))"""


class PostgresUserStore:
    """A `UserStore`. Event loop only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user: User) -> User:
        row = [storable(each) if isinstance(each, str) else each for each in msgspec.structs.astuple(user)]

        async def add(connection: Any) -> User | None:
            transaction = connection.transaction()
            await transaction.start()
            if await connection.fetchval(_ADD_USER, *row) is None:
                await transaction.rollback()
                return None
            added = user
            # A statement of its own: it sees what a removal has left for which the first one waited.
            if (
                ends := await connection.fetchrow(_TAKE_SANCTIONS, sanction_key(storable(user.email_key)))
            ) is not None:
                added = with_sanctions(user, *ends)
                await connection.execute(_SANCTION, row[0], added.banned_until, added.muted_until)
            await transaction.commit()
            return added

        if (added := await self._database.read(add)) is not None:
            return added
        # Whoever has the key keeps it: one that goes away meanwhile was there when this user came.
        raise EmailAlreadyUsed if await self.get_by_email_key(user.email_key) else NameTaken

    async def get(self, user_id: str) -> User | None:
        return await self._find(_GET_USER, user_id)

    async def get_by_email_key(self, email_key: str) -> User | None:
        return await self._find(_GET_BY_EMAIL_KEY, email_key)

    async def replace_password_hash(self, user_id: str, *, old: str, new: str) -> bool:
        statement = (
            "UPDATE chatio.users SET password_hash = $3, reset_hash = '' WHERE id = $1 AND password_hash = $2"
        )
        return await self._changes(statement, storable(user_id), old, new)

    async def remove(self, user_id: str, *, password_hash: str, now: float = 0.0) -> bool:
        arguments = storable(user_id), password_hash, now
        count: int = await self._database.read(lambda connection: connection.fetchval(_REMOVE, *arguments))
        return count == 1

    async def find(self, name_key: str, after: str, *, limit: int) -> list[User]:
        return await self._all(_FIND, storable(name_key), storable(after), limit)

    async def muted(self, now: float) -> list[User]:
        forget = "DELETE FROM chatio.sanctions WHERE greatest(banned_until, muted_until) <= $1"
        await self._database.read(lambda connection: connection.execute(forget, now))
        return await self._all(_MUTED, now)

    async def _find(self, query: str, key: str) -> User | None:
        return next(iter(await self._all(query, storable(key))), None)

    async def _all(self, query: str, *values: object) -> list[User]:
        rows = await self._database.read(lambda connection: connection.fetch(query, *values))
        return [User(*row) for row in rows]

    async def _changes(self, statement: str, *arguments: object) -> bool:
        """Whether `statement` changed a row."""
        status: str = await self._database.read(lambda connection: connection.execute(statement, *arguments))
        return status.rpartition(" ")[2] == "1"


class PostgresRevocationStore:
    """A `RevocationStore`. Event loop only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, ended: Ended, reason: str = "") -> None:
        columns = "subject, token_id, before, until, reason"
        statement = f"INSERT INTO chatio.revocations ({columns}) VALUES ($1, $2, $3, $4, $5)"  # noqa: S608
        texts = storable(ended.subject), storable(ended.token_id)
        row: tuple[Any, ...] = (*texts, ended.before, ended.until, reason)
        await self._database.read(lambda connection: connection.execute(statement, *row))

    async def all(self, now: float) -> list[Ended]:
        await self._database.read(lambda connection: connection.execute(_FORGET, now))
        query = "SELECT subject, token_id, before, until FROM chatio.revocations ORDER BY sequence"
        rows = await self._database.read(lambda connection: connection.fetch(query))
        return [Ended(*row) for row in rows]


class PostgresLoginStore:
    """A `LoginStore`. Event loop only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, counts: Sequence[LoginCount], *, gone: Sequence[tuple[str, str]]) -> None:
        for statement, rows in ((_FORGET_COUNTS, gone), (_SAVE_COUNTS, counts)):
            if rows:
                await self._run(statement, *zip(*rows, strict=True))

    async def all(self, now: float) -> list[LoginCount]:
        await self._run("DELETE FROM chatio.login_counts WHERE until <= $1", now)
        query = "SELECT kind, key, value, until FROM chatio.login_counts ORDER BY until"
        rows = await self._database.read(lambda connection: connection.fetch(query))
        return [LoginCount(*row) for row in rows]

    async def _run(self, statement: str, *arguments: object) -> None:
        await self._database.read(lambda connection: connection.execute(statement, *arguments))
