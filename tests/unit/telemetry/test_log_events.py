"""docs/logging.md has a row for each event that the code logs, with its level and fields, and no other row."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.paths import ROOT


class Event(NamedTuple):
    name: str
    level: str
    fields: frozenset[str]


def logged() -> Iterator[tuple[str, Event]]:
    """Each call of a logger with an event: where, and which."""
    for path in [ROOT / "main.py", *ROOT.glob("chatio/**/*.py"), *ROOT.glob("handlers/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            for keyword in node.keywords:
                if keyword.arg == "extra":
                    yield f"{path.name}:{node.lineno}", _event(node.func.attr, keyword.value)


def _event(level: str, extra: ast.expr) -> Event:
    assert isinstance(extra, ast.Dict), "extra is written as a dictionary in the call"
    names = [key.value for key in extra.keys if isinstance(key, ast.Constant)]
    (event,) = [value for key, value in zip(names, extra.values, strict=True) if key == "event"]
    assert isinstance(event, ast.Constant), "an event is named in the call"
    return Event(str(event.value), level.upper(), frozenset(map(str, names)) - {"event"})


def documented() -> list[Event]:
    rows = re.findall(
        r"^\| `(\w+)` \| ([A-Z]+) \|([^|]*)\|", (ROOT / "docs" / "logging.md").read_text("utf-8"), re.MULTILINE
    )
    return [Event(name, level, frozenset(re.findall(r"`(\w+)`", fields))) for name, level, fields in rows]


def test_every_event_of_the_code_has_its_row_and_every_row_its_event() -> None:
    places = {event: place for place, event in logged()}
    rows = documented()
    assert len({row.name for row in rows}) == len(rows)
    assert {event: place for event, place in places.items() if event not in rows} == {}
    assert [row for row in rows if row not in places] == []


def test_every_line_from_info_on_is_an_event() -> None:
    """An operator who searches for events would not find it otherwise."""
    bare = []
    for path in [ROOT / "main.py", *ROOT.glob("chatio/**/*.py"), *ROOT.glob("handlers/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Name(id="logger"), attr="info" | "warning" | "error" | "critical" | "exception"
                    ),
                    keywords=keywords,
                ) if "extra" not in [keyword.arg for keyword in keywords]:
                    bare.append(f"{path.name}:{node.lineno}")
    assert bare == []
