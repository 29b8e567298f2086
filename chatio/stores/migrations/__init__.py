"""The schema as numbered SQL files, `0001.sqlite.sql` and so on: each takes a database one version further.

A back end applies those that a database lacks when it opens it, each in one transaction.
"""

from importlib.resources import files
from typing import NamedTuple

from chatio.stores.errors import StoreUnusable


class Migration(NamedTuple):
    version: int
    script: str


def migrations(kind: str, version: int) -> list[Migration]:
    """What a database of the kind "sqlite" or "postgres" lacks that has the schema of `version`, 0 for none.

    Raises `StoreUnusable` if its schema is newer than this release.
    """
    scripts = {
        int(file.name[:4]): file for file in files(__package__).iterdir() if file.name.endswith(f".{kind}.sql")
    }
    if version > (newest := max(scripts)):
        raise StoreUnusable(
            f"the database has schema {version}, and this release knows schemas up to {newest}: "
            "run the newer release, or restore a backup that this one made"
        )
    return [
        Migration(number, scripts[number].read_text("utf-8")) for number in sorted(scripts) if number > version
    ]
