"""Commands on the database that `DATABASE_URL` names, while no server runs in this process."""

import asyncio
from pathlib import Path

from chatio.stores.errors import StoreUnusable
from chatio.stores.moving import move
from chatio.stores.opening import sqlite_file
from chatio.stores.sqlite.backup import back_up, restore
from chatio.stores.sqlite.soundness import check


def maintain(command: str, target: str, url: str, *, folder: Path) -> str:
    """Check the database, back it up to the file `target`, restore it from there, or migrate it to a URL.

    Returns what was done, in a sentence. Raises `StoreUnusable`.
    """
    path = sqlite_file(url, folder=folder)
    if path is None:
        raise StoreUnusable(
            "this is for SQLite. For PostgreSQL: pg_dump --format=custom --schema=chatio --file=FILE URL, or "
            "pg_amcheck; docs/operations.md has the way back"
            if url
            else "is not set, so that there is nothing to check, back up, restore or migrate"
        )
    if command == "check":
        return f"{path.name} is sound: {check(path)}"
    if command == "migrate-to":
        return f"Copied {asyncio.run(move(path, target))}. Now set DATABASE_URL, and start the server"
    file = Path(target)
    if command == "backup":
        return f"Wrote {file}: {back_up(path, file):,} bytes"
    before = restore(path, file)
    return f"Restored {path.name}" + ("" if before is None else f"; the database from before is {before.name}")
