"""A SQLite file: how it is locked, opened, checked, and brought to this release's schema."""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from chatio.stores.errors import StoreUnusable
from chatio.stores.journal import new_epoch
from chatio.stores.migrations import migrations

# For another program that writes, such as the sqlite3 shell.
BUSY_SECONDS: Final = 2.0
SYNCHRONOUS = "FULL"  # the test of power cuts shows that it finds what NORMAL loses
APPLICATION_ID: Final = 0x43484154  # "CHAT"; `file` shows it
_WAL_LIMIT_BYTES: Final = 64 * 2**20


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock on the database at `path`, which also ends with the process. Raises `StoreUnusable`."""
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        give_to_owner(Path(f"{path}.lock"))
    except OSError as error:
        raise StoreUnusable(f"{path.name}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreUnusable(f"{path.name}: another server uses this database") from None
        yield
    finally:
        os.close(lock)


def migrated(path: Path) -> sqlite3.Connection:
    """A connection that writes to the database at `path`, with the newest schema.

    Raises `StoreUnusable`, OSError and sqlite3.Error.
    """
    writer = connect(path, "rw")
    try:
        writer.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        _migrate(writer)
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that the file's own head tells its schema
        writer.execute("PRAGMA foreign_keys = ON")
        writer.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
        writer.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
    except BaseException:
        writer.close()
        raise
    return writer


def check_file(path: Path) -> None:
    """Raise `StoreUnusable` if the file at `path` is there, and cannot be a database of this release.

    Reads the head of the file only, and so is no danger for a server that uses it.
    """
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise StoreUnusable(f"{path.name}: it is a pipe, a socket or a device, and no file")
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreUnusable(f"{path.name}: {error.strerror}") from None
    if head and (not head.startswith(b"SQLite format 3\0") or int.from_bytes(head[68:72]) != APPLICATION_ID):
        raise StoreUnusable(f"{path.name}: this is no database of this server")
    migrations("sqlite", int.from_bytes(head[60:64]))


def check_folder(path: Path) -> None:
    """Raise `StoreUnusable` if no database can be made at `path`. `locked` makes its folder, and none above."""
    folder = path.parent if os.path.exists(path.parent) else path.parent.parent
    if not os.path.isdir(folder):
        raise StoreUnusable(f"{path.name}: there is no folder {path.parent.name} for it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreUnusable(f"{path.name}: this user may not write to its folder")


def check_existing(path: Path) -> None:
    """As `check_file`, and raise `StoreUnusable` too if there is no file at `path`."""
    check_file(path)
    if not path.exists():
        raise StoreUnusable(f"{path.name}: there is no such file")


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection to the file at `path`; `mode` is "ro" or "rw". Raises sqlite3.Error."""
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}",
        uri=True,
        isolation_level=None,  # transactions begin where the code says so
        check_same_thread=False,  # opened here, and then used in its own thread
        timeout=BUSY_SECONDS,
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema to this release's version, all in one transaction. Raises `StoreUnusable`."""
    ((version,),) = connection.execute("PRAGMA user_version")
    ((application,),) = connection.execute("PRAGMA application_id")
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_schema")
    if application != APPLICATION_ID and tables:
        raise StoreUnusable("the file of this database belongs to another program")
    lacking = migrations("sqlite", version)
    if not lacking:
        return
    scripts = "\n".join(migration.script for migration in lacking)
    first_row = f"INSERT INTO log VALUES (1, '{new_epoch()}', 0, 0);" if version == 0 else ""  # noqa: S608 - ours
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE; {scripts}\n{first_row} PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {lacking[-1].version}; COMMIT"
        )
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def reason_of(error: OSError | sqlite3.Error) -> str:
    """Why a database cannot be used, for the operator."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHMSIZE:  # of the file NAME-shm
        return "the disk is full"
    return str(error)


def give_to_owner(path: Path) -> None:
    """Root makes no file that the server cannot open: it gets the owner of its folder. Raises OSError."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        with contextlib.suppress(PermissionError):  # root of a container without that right
            os.chown(path, folder.st_uid, folder.st_gid)
