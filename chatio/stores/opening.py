"""Opening the stores that an operator has named."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from chatio.stores.accounts import LoginStore, RevocationStore, UserStore
from chatio.stores.bus import Bus
from chatio.stores.errors import StoreUnusable
from chatio.stores.journal import Journal
from chatio.stores.memory.accounts import MemoryLoginStore, MemoryRevocationStore, MemoryUserStore
from chatio.stores.memory.journal import MemoryJournal
from chatio.stores.memory.moderation import MemoryModerationStore
from chatio.stores.moderation import ModerationStore
from chatio.stores.sqlite.accounts import SqliteLoginStore, SqliteRevocationStore, SqliteUserStore
from chatio.stores.sqlite.database import open_database
from chatio.stores.sqlite.file import check_file, check_folder
from chatio.stores.sqlite.journal import SqliteJournal
from chatio.stores.sqlite.moderation import SqliteModerationStore
from chatio.stores.url import PostgresUrl, SqliteUrl, parse_store_url


async def _nothing() -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Stores:
    """The stores of one back end."""

    users: UserStore
    journal: Journal
    revocations: RevocationStore
    moderation: ModerationStore
    logins: LoginStore
    bus: Bus | None = None  # None: only one server can use these stores
    broken: asyncio.Event = field(default_factory=asyncio.Event)  # the process must end, and start anew
    close: Callable[[], Awaitable[None]] = _nothing


def in_memory(*, max_messages: int, max_bytes: int) -> Stores:
    """Stores that end with the process, with messages as far as the bounds go."""
    users = MemoryUserStore()
    return Stores(
        users=users,
        journal=MemoryJournal(max_messages=max_messages, max_bytes=max_bytes),
        revocations=MemoryRevocationStore(),
        moderation=MemoryModerationStore(users),
        logins=MemoryLoginStore(),
    )


def check_stores(url: str, *, folder: Path) -> None:
    """Raise `StoreUnusable` for a database that this release cannot use, as far as its file tells."""
    if (file := sqlite_file(url, folder=folder)) is not None:
        check_folder(file)
        check_file(file)


def sqlite_file(url: str, *, folder: Path) -> Path | None:
    """The file of the database at `url`, whatever links lead to it; None if that is none of SQLite's.

    Raises `StoreUnusable`.
    """
    parsed = _parsed(url)
    return Path(os.path.realpath(folder / parsed.path)) if isinstance(parsed, SqliteUrl) else None


async def open_stores(url: str, *, folder: Path) -> Stores:
    """The durable stores at `url`, made or brought to this release's schema. A relative path is below `folder`.

    Raises `StoreUnusable`.
    """
    if isinstance(parsed := _parsed(url), PostgresUrl):
        return await _postgres(parsed.text)
    file = sqlite_file(url, folder=folder)
    if file is None:
        raise StoreUnusable("names no database")
    database = open_database(file)
    return Stores(
        users=SqliteUserStore(database),
        journal=SqliteJournal(database),
        revocations=SqliteRevocationStore(database),
        moderation=SqliteModerationStore(database),
        logins=SqliteLoginStore(database),
        broken=database.broken,
        close=database.close,
    )


def _parsed(url: str) -> SqliteUrl | PostgresUrl | None:
    try:
        return parse_store_url(url)
    except ValueError as error:
        raise StoreUnusable(str(error)) from None


async def _postgres(url: str) -> Stores:
    # Imported only where it is used: asyncpg takes 6 MB.
    from chatio.stores.postgres.accounts import PostgresLoginStore, PostgresRevocationStore, PostgresUserStore
    from chatio.stores.postgres.bus import PostgresBus
    from chatio.stores.postgres.database import open_database
    from chatio.stores.postgres.journal import PostgresJournal
    from chatio.stores.postgres.moderation import PostgresModerationStore

    database = await open_database(url)
    journal = PostgresJournal(database)
    return Stores(
        users=PostgresUserStore(database),
        journal=journal,
        revocations=PostgresRevocationStore(database),
        moderation=PostgresModerationStore(database),
        bus=PostgresBus(database, url, journal),
        logins=PostgresLoginStore(database),
        close=database.close,
    )
