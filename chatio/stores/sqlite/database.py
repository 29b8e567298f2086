"""A SQLite file, opened by one process: how it is written, read and watched.

- One connection in one thread writes and checkpoints, and one reads in another: two that write or checkpoint could
  lose commits (sqlite.org/wal.html#walresetbug, in every SQLite before 3.51.3). A lock on the file NAME.lock keeps
  another server away.
- WAL with `synchronous=FULL`: a commit returns after its fsync. Simulated power cuts lost 0 of 23,795 commits so,
  and 6,995 of 30,530 with NORMAL.
- A failed write is undone, and the next one is tried. After an I/O error, of which it is unknown what reached the
  disk, the process must end: a failed fsync must not be tried again on the same pages, and the next start replays
  the WAL.
- A file that was removed takes commits all the same, into nothing: each write compares the file at the path with
  the one that was opened. So it does with the WAL, which cannot be put back: the process ends, and its last
  checkpoint takes what the WAL has into the file.
"""

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from chatio.errors import StoreFull, StoreUnavailable
from chatio.stores.answers import within
from chatio.stores.errors import OutcomeUnknown, StoreStuck, StoreUnusable
from chatio.stores.sqlite.file import BUSY_SECONDS, connect, give_to_owner, locked, migrated, reason_of

logger = logging.getLogger("chatio.store")

T = TypeVar("T")
File = tuple[int, int]  # device and inode, which no other file has

ANSWER_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 1.0  # of the time for shutting down
ERASING_WAITS_MS: Final = 50  # for the reader to end a query
ERASING_AGAIN_SECONDS: Final = 1.0
_UNKNOWN_STATE: Final = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_OURS_TO_TELL: Final = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
)


class Database:
    """Event loop only, except where a method says otherwise. `open_database` makes one."""

    def __init__(
        self,
        path: Path,
        lock: contextlib.ExitStack,
        writer: sqlite3.Connection,
        reader: sqlite3.Connection,
        files: tuple[File, File],
    ) -> None:
        """`files`: the database's, and its WAL's."""
        self.broken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._path = path
        self._lock = lock
        self._wal = Path(f"{path}-wal")
        self._files = files
        self._is_there = True
        self._is_broken = False
        self._has_old_texts = False  # the WAL has some that were overwritten
        self._writer = writer
        self._reader = reader
        self._writing = ThreadPoolExecutor(1, "store-writer")
        self._reading = ThreadPoolExecutor(1, "store-reader")

    def write(self, change: Callable[[sqlite3.Connection], T], *, erases: bool = False) -> "asyncio.Future[T]":
        """Call `change` in a transaction of its own, in the writer's thread; its result, when that is on the disk.

        `erases`: what `change` overwrites is to be gone from the WAL too.
        The future raises `StoreFull` or `StoreUnavailable`, and nothing was changed; `OutcomeUnknown`; or whatever
        `change` raises, which undoes it.
        """
        written = self._loop.run_in_executor(self._writing, self._write, change, erases)
        return within(ANSWER_SECONDS, written, lambda: _without_answer(OutcomeUnknown()))

    def read(self, query: Callable[[sqlite3.Connection], T]) -> "asyncio.Future[T]":
        """Call `query` in the reader's thread; its result. The future raises `StoreUnavailable`."""
        found = self._loop.run_in_executor(self._reading, self._read, query)
        return within(ANSWER_SECONDS, found, lambda: _without_answer(StoreUnavailable()))

    async def close(self) -> None:
        """Finish what was asked for, and close the file; the lock is free then.

        Raises `StoreStuck` after `CLOSE_SECONDS`. What was committed is not lost: the next start replays it.
        """
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._loop.run_in_executor(self._reading, self._reader.close)
                await self._loop.run_in_executor(self._writing, self._close_writer)
        except TimeoutError:
            logger.critical(
                "The disk does not answer: the process ends without waiting for it", extra={"event": "store_stuck"}
            )
            raise StoreStuck from None
        for executor in (self._reading, self._writing):
            executor.shutdown()
        self._lock.close()

    # In the threads

    def _write(self, change: Callable[[sqlite3.Connection], T], erases: bool) -> T:
        self._require_file()
        connection = self._writer
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = change(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo()
            raise self._translated(error) from error
        except BaseException:
            self._undo()
            raise
        self._has_old_texts = self._has_old_texts or erases
        if self._has_old_texts:
            self._empty_wal()
        try:
            self._require_file()
        except StoreUnavailable:
            raise OutcomeUnknown from None
        return result

    def _empty_wal(self) -> None:
        """Take the WAL into the file, and empty it: it has the pages as they were before each commit.

        A reader, such as a backup, may keep some of it: the next try is a second later. Raises `OutcomeUnknown`.
        """
        is_busy = True
        self._writer.execute(f"PRAGMA busy_timeout = {ERASING_WAITS_MS}")
        try:
            ((is_busy, *_),) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            if isinstance(translated := self._translated(error), OutcomeUnknown):
                raise translated from error
        finally:
            self._writer.execute(f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000)}")
        self._has_old_texts = bool(is_busy)
        if is_busy:
            self._loop.call_soon_threadsafe(self._loop.call_later, ERASING_AGAIN_SECONDS, self._erase_again)

    def _erase_again(self) -> None:
        with contextlib.suppress(RuntimeError):  # closed, which empties the WAL
            again = self._loop.run_in_executor(self._writing, self._write, lambda _: None, False)
            again.add_done_callback(lambda done: done.cancelled() or done.exception())  # the next write tells

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        self._require_file()
        try:
            return query(self._reader)
        except sqlite3.Error as error:
            translated = self._translated(error)
            raise (StoreUnavailable() if isinstance(translated, OutcomeUnknown) else translated) from error

    def _undo(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # after some errors the transaction is undone already
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")

    def _close_writer(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._writer.close()

    def _require_file(self) -> None:
        file, wal = self._files
        is_there = not self._is_broken and _is_file_at(self._path, file)
        if is_there is not self._is_there and not self._is_broken:
            self._is_there = is_there
            if is_there:
                logger.warning("The database's file is back", extra={"event": "store_back"})
            else:
                logger.critical(
                    "The database's file was removed or replaced: nothing can be saved until the file is back",
                    extra={"event": "store_removed"},
                )
        if is_there and not _is_file_at(self._wal, wal):
            is_there = False
            self._break(f"{self._wal.name} was removed")
        if not is_there:
            raise StoreUnavailable

    def _translated(self, error: sqlite3.Error) -> Exception:
        primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if primary == sqlite3.SQLITE_FULL:
            return StoreFull()
        if primary in _OURS_TO_TELL:
            logger.error("The database refused: %s", error, extra={"event": "store_refused"})
            return StoreUnavailable()
        if primary not in _UNKNOWN_STATE:
            return error
        self._break(str(error))
        return OutcomeUnknown()

    def _break(self, reason: str) -> None:
        if not self._is_broken:
            logger.critical(
                "The database cannot be used any more, the process ends: %s",
                reason,
                extra={"event": "store_broken"},
            )
        self._is_broken = True
        self._loop.call_soon_threadsafe(self.broken.set)


def open_database(path: Path) -> Database:
    """The database at `path`, made if it is missing, with the newest schema. Raises `StoreUnusable`."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(path))
        try:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            writer = migrated(path)
            reader = connect(path, "ro")
            files = _file_at(path), _file_at(Path(f"{path}-wal"))
            for suffix in ("", "-wal", "-shm"):
                give_to_owner(Path(f"{path}{suffix}"))
        except (OSError, sqlite3.Error) as error:
            raise StoreUnusable(f"{path.name}: {reason_of(error)}") from None
        return Database(path, stack.pop_all(), writer, reader, files)


def _without_answer(error: Exception) -> Exception:
    logger.error("The database refused: no answer in %g s", ANSWER_SECONDS, extra={"event": "store_refused"})
    return error


def _file_at(path: Path) -> File:
    """Raises OSError."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _is_file_at(path: Path, file: File) -> bool:
    try:
        return _file_at(path) == file
    except OSError:
        return False
