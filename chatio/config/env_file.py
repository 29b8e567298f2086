"""Env files, read strictly: python-dotenv alone only logs a line that it cannot parse, and goes on.

A quote that is not closed also swallows the lines after it. No setting has more than one line, so a value of
several lines is such a quote, even where a later quote happens to close it.
"""

import re
from pathlib import Path
from typing import TextIO

from dotenv.parser import Binding, parse_stream

from chatio.config.loader import InvalidSettings

_NEWLINE = re.compile(r"\r\n|\r|\n")


def read_env_file(path: Path, *, may_be_missing: bool) -> dict[str, str | None]:
    """The settings in the file at `path`; none if the file is missing and may be. Raises `InvalidSettings`."""
    if not path.exists():
        if may_be_missing:
            return {}
        raise InvalidSettings([f"{path.name}: there is no such file"])
    try:
        with path.open(encoding="utf-8-sig") as stream:
            return env_file_values(stream, path.name)
    except UnicodeDecodeError:
        raise InvalidSettings([f"{path.name}: is not UTF-8"]) from None
    except OSError as error:
        raise InvalidSettings([f"{path.name}: {error.strerror}"]) from None


def env_file_values(stream: TextIO, name: str) -> dict[str, str | None]:
    """The settings in `stream`, the file `name`; the last of several lines for one name. "${" is no special text.

    Raises `InvalidSettings` with the number of each line that cannot be parsed, and none of its text.
    """
    values: dict[str, str | None] = {}
    problems = []
    for binding in parse_stream(stream):
        if binding.error:
            problems.append(f"{name}: line {_line_of(binding)} cannot be read; is a quote not closed?")
        elif binding.key is not None:
            values[binding.key] = binding.value
            if binding.value is not None and _NEWLINE.search(binding.original.string.strip()):
                problems.append(f"{name}: line {_line_of(binding)} has a quote that is not closed on that line")
    if problems:
        raise InvalidSettings(problems)
    return values


def _line_of(binding: Binding) -> int:
    """The line number of `binding`: dotenv's own is that of the empty lines before it."""
    written = binding.original.string
    before = written[: len(written) - len(written.lstrip())]
    return binding.original.line + len(_NEWLINE.findall(before))
