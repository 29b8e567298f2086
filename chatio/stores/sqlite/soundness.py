"""Whether a SQLite database is sound, beside a server that uses it."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

from chatio.stores.errors import StoreUnusable
from chatio.stores.sqlite.file import check_existing, connect, reason_of

_PROBLEMS_SHOWN: Final = 3


def check(path: Path) -> str:
    """How much the database at `path` has, in words. It only reads, all of it: a million messages take seconds.

    Raises `StoreUnusable` if SQLite finds damage in it, or messages and the log's row contradict each other.
    """
    check_existing(path)
    try:
        with contextlib.closing(connect(path, "ro")) as connection:
            connection.execute("BEGIN")  # one state of it, whatever a server writes meanwhile
            return _checked(connection)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusable(f"{path.name}: {reason_of(error)}") from None
    except ValueError as error:
        raise StoreUnusable(f"{path.name} is damaged: {error}; restore a backup") from None


def _checked(connection: sqlite3.Connection) -> str:
    """Raises ValueError with what is wrong."""
    verdicts = [text for (text,) in connection.execute(f"PRAGMA integrity_check({_PROBLEMS_SHOWN})")]
    if verdicts != ["ok"]:
        raise ValueError("; ".join(verdicts).replace("\n", " "))
    logs = connection.execute("SELECT tail, head FROM log").fetchall()
    count, least, most = connection.execute("SELECT count(*), min(number), max(number) FROM messages").fetchone()
    ((users,),) = connection.execute("SELECT count(*) FROM users")
    if len(logs) != 1:
        raise ValueError(f"the log has {len(logs)} rows")
    ((tail, head),) = logs
    if tail > head or (count and not tail < least <= most <= head):
        raise ValueError(f"the log says {tail} to {head}, and the messages are {least} to {most}")
    return f"{count:,} messages, {users:,} users"
