"""Simulated power cuts of SQLite: what was acknowledged is there, though every write after the last sync is gone.

    python -m tests.system.power_cuts CUTS [SYNCHRONOUS]

A process appends messages, and prints the id of each one that is in the journal. It is killed, and its files are
put back to what they were at their last sync (`power_cut.c`). With NORMAL for SYNCHRONOUS it must find losses.
"""

import asyncio
import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from chatio.stores.opening import open_stores
from chatio.stores.records import Message
from chatio.stores.sqlite import file
from tests.paths import ROOT

SECONDS = (0.3, 1.2)  # of appending before a cut
_FILES = ("chat.db", "chat.db-wal", "chat.db-journal")


class Outcome(NamedTuple):
    """The last two must be 0, and True."""

    cuts: int
    acknowledged: int
    lost: int
    is_sound: bool  # no gap in the numbers, and SQLite's own check is content


def play(cuts: int, chance: random.Random, synchronous: str = "FULL") -> Outcome:
    acknowledged: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        shim = Path(folder) / "shim.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-o", shim, Path(__file__).with_name("power_cut.c"), "-ldl"], check=True
        )
        data = Path(folder) / "data"
        data.mkdir()
        for _ in range(cuts):
            acknowledged |= _append_until_cut(data, shim, chance.uniform(*SECONDS), synchronous)
            _cut(data)
            kept, is_sound = _look_into(data / "chat.db")
            if not is_sound or acknowledged - kept:
                break
    return Outcome(cuts, len(acknowledged), len(acknowledged - kept), is_sound)


def _append_until_cut(data: Path, shim: Path, seconds: float, synchronous: str) -> set[str]:
    environ = {"PATH": os.environ["PATH"], "LD_PRELOAD": str(shim), "POWER_CUT_FOLDER": str(data)}
    command = [sys.executable, "-m", "tests.system.power_cuts", "append", str(data / "chat.db"), synchronous]
    appending = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)
    assert appending.stdout is not None
    with appending.stdout as output:
        assert output.readline() == "open\n"
        time.sleep(seconds)
        appending.kill()
        lines = output.read().splitlines()
    appending.wait()
    return {line for line in lines if len(line) == 36}


def _cut(data: Path) -> None:
    """Put every file back to its last sync."""
    for path in [data / name for name in _FILES if (data / name).exists()]:
        synced = path.with_name(f"{path.name}.synced")
        if synced.exists():
            shutil.copy(synced, path)
        else:
            os.truncate(path, 0)
    (data / "chat.db-shm").unlink(missing_ok=True)


def _look_into(path: Path) -> tuple[set[str], bool]:
    """The ids in the journal, and whether it is sound. Afterwards the file alone is the state that is synced."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        rows = connection.execute("SELECT number, id FROM messages ORDER BY number").fetchall()
        ((head,),) = connection.execute("SELECT head FROM log")
        ((verdict,),) = connection.execute("PRAGMA integrity_check(1)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for synced in path.parent.glob("*.synced"):
        synced.unlink()
    shutil.copy(path, f"{path}.synced")
    is_sound = verdict == "ok" and [number for number, _ in rows] == list(range(1, head + 1))
    return {id_ for _, id_ in rows}, is_sound


async def append(path: Path, synchronous: str) -> None:
    """Append batches until killed; print the ids of each one that is in the journal."""
    if synchronous != "FULL":
        file.SYNCHRONOUS = synchronous
    stores = await open_stores(f"sqlite:///{path}", folder=Path("/"))
    sys.stdout.write("open\n")
    while True:
        batch = [
            Message(str(uuid.uuid4()), "x" * 500, "7", "Ann", "10:00", "2026-01-01T00:00:00.000Z")
            for _ in range(5)
        ]
        for result in await stores.journal.append(batch):
            sys.stdout.write(f"{result.record.message.id}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] == "append":
        asyncio.run(append(Path(sys.argv[2]), sys.argv[3]))
    sys.stdout.write(f"{play(int(sys.argv[1]), random.Random(7), *sys.argv[2:])}\n")
