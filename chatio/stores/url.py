"""DATABASE_URL: which back end keeps everything, and where."""

from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


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
    if any(char in text for char in "\r\n\t"):  # which `urlsplit` leaves out
        raise ValueError("has more than one line")
    if parts.scheme == "sqlite":
        path = unquote(parts.path)[1:]
        if path == ":memory:":
            raise ValueError("is not set where everything is to be in memory: leave it out")
        if path.startswith("~"):
            raise ValueError("has a ~, which is no folder here: write its whole path")
        is_path = path and not path.endswith("/") and "\0" not in path
        if not text.startswith("sqlite:///") or not is_path or parts.query or parts.fragment:
            raise ValueError(
                "must be like sqlite:///chat.db (beside main.py) or sqlite:////var/lib/chatio/chat.db"
            )
        return SqliteUrl(Path(path))
    if parts.scheme in ("postgresql", "postgres"):
        if "@" in parts.path or "@" in parts.fragment:  # else a part of it would be the name of the database
            raise ValueError("has an @ behind its host: percent-encode the special characters of its password")
        _check_postgres(parts)
        return PostgresUrl(text)
    raise ValueError("must begin with sqlite:/// or postgresql://")


def _check_postgres(parts: SplitResult) -> None:
    """Raises ValueError for what is wrong whichever database it is, of one host; libpq's URL may have several."""
    try:
        _ = "," in parts.netloc or parts.port
    except ValueError:
        raise ValueError("has a port that is no number from 0 to 65535") from None
    if not set(parse_qs(parts.query).get("sslmode", ())) <= set(SSL_MODES):
        raise ValueError(f"has an sslmode that is none of {', '.join(SSL_MODES)}")
