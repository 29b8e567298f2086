"""Backup and restore of a SQLite database."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from chatio.stores.errors import StoreUnusable
from chatio.stores.journal import new_epoch
from chatio.stores.sqlite.file import BUSY_SECONDS, check_existing, give_to_owner, locked, migrated, reason_of

_SUFFIXES: Final = ("", "-wal", "-shm")


def back_up(path: Path, target: Path) -> int:
    """Write a sound copy of the database at `path` to `target`, beside a server that uses it; the copy's bytes.

    Raises `StoreUnusable`; then there is no `target`, or the one that was there before.
    """
    check_existing(path)
    if os.path.realpath(target) in {f"{path}{suffix}" for suffix in (*_SUFFIXES, ".lock", ".sock")}:
        raise StoreUnusable(f"{target.name}: this is the database itself; a backup needs a file of its own")
    if os.path.exists(target) and not os.path.isfile(target):  # root would put a file in the place of /dev/null
        raise StoreUnusable(f"{target.name}: it is no file, and a backup needs one")
    new = target.with_name(f"{target.name}.new")
    try:
        _copy(path, new)
        os.replace(new, target)
        return target.stat().st_size
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusable(f"{target.name}: {reason_of(error)}") from None
    finally:
        new.unlink(missing_ok=True)


def restore(path: Path, source: Path) -> Path | None:
    """Put a copy of `source` in the place of the database at `path`, which no server may use meanwhile.

    The restored journal has a new epoch: its next messages have the numbers of messages that clients have seen
    already. Returns where the database is now that was there before. Raises `StoreUnusable`; then nothing changed.
    """
    check_existing(source)
    new, before = path.with_name(f"{path.name}.new"), path.with_name(f"{path.name}.before-restore")
    with locked(path):
        try:
            _copy(source, new)
            with contextlib.closing(migrated(new)) as connection:
                ((old,),) = connection.execute("SELECT epoch FROM log")
                connection.execute("UPDATE log SET epoch = ?", (new_epoch(old),))
            give_to_owner(new)
            had_one = path.exists()
            for suffix in _SUFFIXES:
                Path(f"{before}{suffix}").unlink(missing_ok=True)  # a WAL belongs to one file
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{path}{suffix}", f"{before}{suffix}")
            os.replace(new, path)
        except (OSError, sqlite3.Error) as error:
            raise StoreUnusable(f"{source.name}: {reason_of(error)}") from None
        finally:
            for suffix in _SUFFIXES:
                Path(f"{new}{suffix}").unlink(missing_ok=True)
    return before if had_one else None


def _copy(source: Path, target: Path) -> None:
    """Raises sqlite3.Error, also for a copy that is not sound."""
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
    with (
        contextlib.closing(sqlite3.connect(source)) as reading,
        contextlib.closing(sqlite3.connect(target)) as writing,
    ):
        reading.execute("PRAGMA query_only = ON")
        reading.backup(writing, progress=_giving_up_after(BUSY_SECONDS))
        ((verdict,),) = writing.execute("PRAGMA integrity_check(1)")
        if verdict != "ok":
            raise sqlite3.DatabaseError("the database is damaged")
    descriptor = os.open(target, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _giving_up_after(seconds: float) -> Callable[[int, int, int], None]:
    """For `backup`, which tries again for ever while another program has locked the database.

    What is returned raises sqlite3.OperationalError.
    """
    until = time.monotonic() + seconds

    def progress(status: int, _remaining: int, _total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > until:
            raise sqlite3.OperationalError("another program has locked the database")

    return progress
