"""The users, the revoked tokens and the counts of logins in SQLite."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from chatio.errors import EmailAlreadyUsed, NameTaken, StoreUnavailable
from chatio.stores.accounts import Ended, LoginCount, User
from chatio.stores.errors import OutcomeUnknown
from chatio.stores.moderation import sanction_key, with_sanctions
from chatio.stores.sqlite.database import Database

T = TypeVar("T")

_USER: Final = ", ".join(field.name for field in msgspec.structs.fields(User))
_ADD_USER: Final = f"INSERT INTO users ({_USER}) VALUES ({', '.join('?' * len(User.__struct_fields__))})"  # noqa: S608
_GET_USER: Final = f"SELECT {_USER} FROM users WHERE id = ?"  # noqa: S608 - of constants
_GET_BY_EMAIL_KEY: Final = f"SELECT {_USER} FROM users WHERE email_key = ?"  # noqa: S608
_FIND: Final = f"SELECT {_USER} FROM users WHERE instr(name_key, ?) AND name_key > ? ORDER BY name_key LIMIT ?"  # noqa: S608
_MUTED: Final = f"SELECT {_USER} FROM users WHERE muted_until > 0 AND muted_until > ?"  # noqa: S608
_FORGET_SANCTIONS: Final = "DELETE FROM sanctions WHERE max(banned_until, muted_until) <= ?"
_TAKE_SANCTIONS: Final = "DELETE FROM sanctions WHERE account = ? RETURNING banned_until, muted_until"
_KEEP_SANCTIONS: Final = "INSERT INTO sanctions (account, banned_until, muted_until) VALUES (?, ?, ?)"
_REMOVE: Final = """
DELETE FROM users WHERE id = ? AND password_hash = ? RETURNING email_key, banned_until, muted_until"""
_FORGET: Final = """
DELETE FROM revocations WHERE until <= :now AND (
    token_id <> '' OR before < (SELECT max(before) FROM revocations WHERE until <= :now AND token_id = '')
)"""


class SqliteUserStore:
    """A `UserStore`. Event loop only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user: User) -> User:
        def add(connection: sqlite3.Connection) -> User:
            if connection.execute("SELECT 1 FROM users WHERE email_key = ?", (user.email_key,)).fetchone():
                raise EmailAlreadyUsed
            names = (user.name_key, user.name_look)
            if connection.execute("SELECT 1 FROM users WHERE name_key = ? OR name_look = ?", names).fetchone():
                raise NameTaken
            ends = connection.execute(_TAKE_SANCTIONS, (sanction_key(user.email_key),)).fetchall()
            added = with_sanctions(user, *ends[0]) if ends else user
            connection.execute(_ADD_USER, msgspec.structs.astuple(added))
            return added

        return await self._change(add)

    async def get(self, user_id: str) -> User | None:
        return await self._find(_GET_USER, user_id)

    async def get_by_email_key(self, email_key: str) -> User | None:
        return await self._find(_GET_BY_EMAIL_KEY, email_key)

    async def replace_password_hash(self, user_id: str, *, old: str, new: str) -> bool:
        statement = "UPDATE users SET password_hash = ?, reset_hash = '' WHERE id = ? AND password_hash = ?"
        return await self._change(
            lambda connection: connection.execute(statement, (new, user_id, old)).rowcount == 1
        )

    async def remove(self, user_id: str, *, password_hash: str, now: float = 0.0) -> bool:
        def remove(connection: sqlite3.Connection) -> bool:
            removed = connection.execute(_REMOVE, (user_id, password_hash)).fetchall()
            for email_key, *ends in removed:
                if max(ends) > now:
                    connection.execute(_KEEP_SANCTIONS, (sanction_key(email_key), *ends))
            return bool(removed)

        return await self._change(remove)

    async def find(self, name_key: str, after: str, *, limit: int) -> list[User]:
        return await self._all(_FIND, name_key, after, limit)

    async def muted(self, now: float) -> list[User]:
        def take(connection: sqlite3.Connection) -> list[User]:
            connection.execute(_FORGET_SANCTIONS, (now,))
            return [User(*row) for row in connection.execute(_MUTED, (now,))]

        return await self._change(take)

    async def _find(self, query: str, key: str) -> User | None:
        return next(iter(await self._all(query, key)), None)

    async def _all(self, query: str, *values: object) -> list[User]:
        rows = await self._database.read(lambda connection: connection.execute(query, values).fetchall())
        return [User(*row) for row in rows]

    async def _change(self, change: Callable[[sqlite3.Connection], T]) -> T:
        return await known(self._database.write(change))


class SqliteRevocationStore:
    """A `RevocationStore`. Event loop only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, ended: Ended, reason: str = "") -> None:
        statement = "INSERT INTO revocations (subject, token_id, before, until) VALUES (?, ?, ?, ?)"
        row = msgspec.structs.astuple(ended)
        await known(self._database.write(lambda connection: connection.execute(statement, row).rowcount))

    async def all(self, now: float) -> list[Ended]:
        def take(connection: sqlite3.Connection) -> list[Ended]:
            connection.execute(_FORGET, {"now": now})
            rows = connection.execute("SELECT subject, token_id, before, until FROM revocations ORDER BY sequence")
            return [Ended(*row) for row in rows]

        return await known(self._database.write(take))


class SqliteLoginStore:
    """A `LoginStore`. Event loop only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, counts: Sequence[LoginCount], *, gone: Sequence[tuple[str, str]]) -> None:
        def save(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM login_counts WHERE kind = ? AND key = ?", gone)
            connection.executemany("INSERT OR REPLACE INTO login_counts VALUES (?, ?, ?, ?)", counts)

        await known(self._database.write(save))

    async def all(self, now: float) -> list[LoginCount]:
        def take(connection: sqlite3.Connection) -> list[LoginCount]:
            connection.execute("DELETE FROM login_counts WHERE until <= ?", (now,))
            rows = connection.execute("SELECT kind, key, value, until FROM login_counts ORDER BY until")
            return [LoginCount(*row) for row in rows]

        return await known(self._database.write(take))


async def known(writing: "asyncio.Future[T]") -> T:
    """The result of `writing`. An unknown outcome is told as a failure: a client that tries again learns it."""
    try:
        return await writing
    except OutcomeUnknown:
        raise StoreUnavailable from None
