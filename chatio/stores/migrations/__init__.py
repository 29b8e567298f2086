"""The schema as numbered SQL files, `0001.sqlite.sql` and so on: each takes a database one version further.

A back end applies those that a database lacks when it opens it, each in one transaction.
"""

from importlib.resources import files
from typing import NamedTuple

from chatio.stores.base import StoreUnusable


class Migration(NamedTuple):
    version: int
    script: str


def migrations(kind: str, version: int) -> list[Migration]:
    """What a database of the kind "sqlite" or "postgres" lacks that has the schema of `version`, 0 for none.

    Raises `StoreUnusable` if its schema is newer than this release.
    """
    scripts = sorted(file.name for file in files(__package__).iterdir() if file.name.endswith(f".{kind}.sql"))
    numbered = {int(name.partition(".")[0]): name for name in scripts}
    if version > (newest := max(numbered)):
        raise StoreUnusable(
            f"the database has schema {version}, and this release knows schemas up to {newest}: "
            "run the newer release, or restore a backup that this one made"
        )
    return [
        Migration(number, (files(__package__) / name).read_text("utf-8"))
        for number, name in numbered.items()
        if number > version
    ]
