"""A file of settings, read strictly: python-dotenv only logs that it understood nothing of a line, and goes on.

A quote that is not closed takes the lines behind it with it. No setting has more than one line, so a value that
goes on over lines is such a quote, even where a later one happens to close it.
"""

import re
from pathlib import Path
from typing import TextIO

from dotenv.parser import Binding, parse_stream

from chatio.config.loader import InvalidSettings

_NEWLINE = re.compile(r"\r\n|\r|\n")


def read_env_file(path: Path, *, may_be_missing: bool) -> dict[str, str | None]:
    """What the file at `path` sets; nothing if it is not there and need not be. Raises `InvalidSettings`."""
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
    """What the file `name` sets; the last of several that set the same. "${" in a value is a part of it.

    Raises `InvalidSettings` with the number of each line that cannot be read, and nothing of what it says.
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
    """dotenv counts from the empty lines before."""
    written = binding.original.string
    before = written[: len(written) - len(written.lstrip())]
    return binding.original.line + len(_NEWLINE.findall(before))
