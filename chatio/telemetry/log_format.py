"""Log formats: each record is one line of text or of JSON, which no input of a client can break, forge or fill.

A record of ours is written whole, with unprintable characters escaped. A library's record is written without its
values (requests, addresses with session ids, `repr`s of tasks): only the words of its source. An exception is
written as its type and place: its text, its traceback and its paths contain secrets sooner or later.

python-json-logger is not used: it writes tracebacks, exceptions' texts and all attributes of a library's records,
so that most of its methods would have to be overridden.
"""

import json
import logging
import math
import re
from datetime import UTC, datetime
from typing import Any, Final

from chatio.telemetry.error_report import place_of

MAX_CHARS: Final = 2000  # of one text; an address has 45, a name 100

# The attributes of every record; the others are the fields of the call that logged it.
_OF_EVERY_RECORD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_CONVERSION: Final = re.compile(r"%(?:\([^)]*\))?[-+ #0]*[\d*]*(?:\.[\d*]+)?[a-zA-Z]")
# Where the words of a formatted message may end, and values begin.
_VALUES_BEGIN: Final = re.compile(r"[:<>({\[\"/\\\r\n]|\s'")


class TextFormatter(logging.Formatter):
    """`2026-01-31 10:32:00,123 INFO chatio: sentence`, in local time, without fields: for people."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{self.formatTime(record)} {record.levelname} {harmless(record.name)}: {sentence_of(record)}"


class JsonFormatter(logging.Formatter):
    """An object with `time` (RFC 3339, UTC, milliseconds), `level`, `logger`, `message`, and the record's fields.

    ASCII only, so that it is JSON in any encoding of the stream (RFC 8259, 8.1). A field never replaces one of the
    four.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": harmless(record.name),
            "message": sentence_of(record),
        }
        if is_ours(record):
            for name, value in vars(record).items():
                if name not in _OF_EVERY_RECORD:
                    line.setdefault(harmless(name), _field(value))
        return json.dumps(line)


def sentence_of(record: logging.LogRecord) -> str:
    """The record's message in one harmless line; of a library's record only the words of its source."""
    try:
        sentence = record.getMessage() if is_ours(record) else words_of(record)
    except Exception:  # the values do not fit the message; logging itself would print both and a traceback
        sentence = words_of(record)
    if record.exc_info and isinstance(error := record.exc_info[1], BaseException):
        sentence += f": {type(error).__name__} at {place_of(error)}"
    return harmless(sentence)


def words_of(record: logging.LogRecord) -> str:
    """The record's message without its values."""
    if record.args:
        return _CONVERSION.sub("…", str(record.msg))
    return _VALUES_BEGIN.split(str(record.msg), maxsplit=1)[0].rstrip()


def is_ours(record: logging.LogRecord) -> bool:
    """Whether the product logged `record`, and not a library."""
    return record.name == "chatio" or record.name.startswith("chatio.")


def harmless(text: str) -> str:
    """The first `MAX_CHARS` characters of `text`, and "…" for the rest; unprintable ones are escaped (`\\x1b`).

    The result is longer than `MAX_CHARS` where characters were escaped. Unprintable are Unicode's categories
    "Other" and "Separator" without the space: control characters, separators of lines and paragraphs, marks of the
    direction of writing, and halves of surrogate pairs.
    """
    if len(text) > MAX_CHARS:
        text = text[:MAX_CHARS] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _field(value: object) -> Any:
    """`value` as JSON, or the name of its type if JSON has no such value."""
    match value:
        case str():
            return harmless(value)
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case dict():
            return {harmless(str(name)): _field(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_field(inner) for inner in value]
    return type(value).__name__
