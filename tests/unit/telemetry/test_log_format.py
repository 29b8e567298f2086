"""Log formats: a record is one line without control characters, directional marks and secrets."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from chatio.telemetry.log_format import MAX_CHARS, JsonFormatter, TextFormatter, harmless

FORMATTERS = [TextFormatter(), JsonFormatter()]
# C0 with the escapes of terminals, DEL, C1, line separators, marks of direction, half of a pair, byte order mark.
HARMFUL = ["\n", "\r", "\x00", "\x1b[2J", "\t", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\u202e", "\u2066"]
HARMFUL += ["\u200f", "\u061c", "\ud800", "\ufeff"]


def record(message: str, *args: object, name: str = "chatio.test", **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.WARNING, "/home/somebody/x.py", 7, message, args, None)
    vars(made).update(fields)
    return made


def caught() -> Any:
    try:
        int("hunter2")
    except ValueError:
        return sys.exc_info()
    raise AssertionError


def test_text_is_time_level_logger_and_sentence() -> None:
    line = TextFormatter().format(record("to %s", "ann", event="told", address="x"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} WARNING chatio\.test: to ann", line)


def test_json_has_time_level_logger_message_and_the_fields_of_the_record() -> None:
    made = record("to %s", "änn", event="told", count=2, share=0.5, known=True, nobody=None, names=["a", "b"])
    made.created = datetime(2026, 1, 31, 10, 32, 0, 123_456, UTC).timestamp()
    assert json.loads(JsonFormatter().format(made)) == {
        "time": "2026-01-31T10:32:00.123Z",
        "level": "WARNING",
        "logger": "chatio.test",
        "message": "to änn",
        "event": "told",
        "count": 2,
        "share": 0.5,
        "known": True,
        "nobody": None,
        "names": ["a", "b"],
    }


def test_json_is_ascii_and_one_line() -> None:
    line = JsonFormatter().format(record("änn\n"))
    assert line.isascii()
    assert line.isprintable()


def test_no_field_replaces_one_that_every_line_has() -> None:
    line = json.loads(JsonFormatter().format(record("said", time="x", level="x", logger="x")))
    assert (line["level"], line["logger"], line["message"]) == ("WARNING", "chatio.test", "said")
    assert line["time"] != "x"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_have_is_text(value: float) -> None:
    assert json.loads(JsonFormatter().format(record("x", value=value)))["value"] == str(value)


def test_a_value_that_is_no_json_is_written_as_its_type() -> None:
    line = JsonFormatter().format(record("x", value=ValueError("hunter2"), inner={"a": [b"hunter2"]}))
    assert json.loads(line)["value"] == "ValueError"
    assert json.loads(line)["inner"] == {"a": ["bytes"]}
    assert "hunter2" not in line


@pytest.mark.parametrize("harm", HARMFUL)
def test_unprintable_characters_are_escaped_in_every_part(harm: str) -> None:
    made = record("from %s", f"a{harm}b", name=f"chatio.{harm}", field=harm, **{harm: 1}, inner={harm: [harm]})
    for formatter in FORMATTERS:
        assert formatter.format(made).isprintable()
    line = json.loads(JsonFormatter().format(made))
    assert f"from a{harmless(harm)}b" == line["message"]
    assert line["message"].isprintable()
    assert line["field"].isprintable()


def test_printable_characters_are_unchanged() -> None:
    assert harmless("Ænn 安 🦊 \\n") == "Ænn 安 🦊 \\n"
    assert harmless("\x1b\ud800\u202e") == r"\x1b\ud800\u202e"


def test_a_long_text_is_cut() -> None:
    assert len(harmless("x" * 10**6)) == MAX_CHARS + 1


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_an_exception_is_written_as_its_type_and_place(formatter: logging.Formatter) -> None:
    made = record("it failed")
    made.exc_info = caught()
    made.exc_text = "Traceback: hunter2"  # what another handler's formatter leaves
    made.stack_info = "Stack: hunter2"
    line = formatter.format(made)
    assert "it failed: ValueError at tests.unit.telemetry.test_log_format:28 caught" in line
    assert "hunter2" not in line
    assert "Traceback" not in line
    assert "/" not in line


@pytest.mark.parametrize("formatter", FORMATTERS)
@pytest.mark.parametrize("name", ["tornado.application", "asyncio", "somebody", "chatiofake"])
@pytest.mark.parametrize(
    ("message", "args", "words"),
    [
        ("Exception in callback %r", ("hunter2",), "Exception in callback …"),
        ("%d %s %.2fms", (200, "GET /?sid=hunter2", 1.0), "… … …ms"),
        ("error on read: hunter2", (), "error on read"),
        ("Executing <Task hunter2>", (), "Executing"),
        ("Cannot open 'hunter2'", (), "Cannot open"),
        ("Can't do it", (), "Can't do it"),
        ("too few %s %s", ("hunter2",), "too few … …"),
    ],
)
def test_a_librarys_record_is_written_without_its_values(
    formatter: logging.Formatter, name: str, message: str, args: tuple[object, ...], words: str
) -> None:
    line = formatter.format(record(message, *args, name=name, request="hunter2"))
    assert "hunter2" not in line
    assert (json.loads(line)["message"] if line.startswith("{") else line.rpartition(f"{name}: ")[2]) == words


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_a_message_that_does_not_fit_its_values_is_written_without_them(formatter: logging.Formatter) -> None:
    line = formatter.format(record("%d and %s", "hunter2"))
    assert "hunter2" not in line
    assert "WARNING" in line
