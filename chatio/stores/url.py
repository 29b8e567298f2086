"""DATABASE_URL: which back end keeps everything, and where."""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit


class SqliteUrl(NamedTuple):
    """A file; a relative path is relative to the folder of main.py."""

    path: Path


class PostgresUrl(NamedTuple):
    """Everything that libpq's URL can say, a password included."""

    text: str


def parse_store_url(text: str) -> SqliteUrl | PostgresUrl | None:
    """The back end of a DATABASE_URL; None for "", which means memory.

    Raises ValueError with a sentence, in which nothing of `text` is quoted but its scheme.
    """
    if not text:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme == "sqlite":
        path = unquote(parts.path)[1:]
        is_path = path and not path.endswith("/") and "\0" not in path
        if not text.startswith("sqlite:///") or not is_path or parts.query or parts.fragment:
            raise ValueError(
                "must be like sqlite:///chat.db (beside main.py) or sqlite:////var/lib/chatio/chat.db"
            )
        return SqliteUrl(Path(path))
    if parts.scheme in ("postgresql", "postgres"):
        if "@" in parts.path or "@" in parts.fragment:  # else a part of it would be the name of the database
            raise ValueError("has an @ behind its host: percent-encode the special characters of its password")
        return PostgresUrl(text)
    raise ValueError("must begin with sqlite:/// or postgresql://")
