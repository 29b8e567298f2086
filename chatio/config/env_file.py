"""Env files, read strictly: python-dotenv alone only logs a line that it cannot parse, and goes on.

A quote that is not closed also swallows the lines after it. No setting has more than one line, so a value of
several lines is such a quote, even where a later quote happens to close it.
"""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dotenv.parser import Binding, parse_stream

from chatio.config.loader import InvalidSettings, mistaken_names, unknown_names
from chatio.config.settings import table
from chatio.config.text_files import UnreadableFile, read_text
from chatio.telemetry.log_format import harmless

_NEWLINE = re.compile(r"\r\n|\r|\n")


class EnvFile(NamedTuple):
    """The settings in a file, the last of several lines for one name, and a sentence for each such name."""

    values: dict[str, str | None]
    repeated: list[str]


def read_env_file(path: Path, *, may_be_missing: bool) -> EnvFile:
    """The settings in the file at `path`; none if the file is missing and may be. Raises `InvalidSettings`."""
    name = harmless(path.name or str(path))
    try:
        return parse_env_file(read_text(path), name)
    except UnreadableFile as reason:
        if reason.is_missing and may_be_missing:
            return EnvFile({}, [])
        raise InvalidSettings([f"{name}: {reason}"]) from None


def parse_env_file(text: str, name: str) -> EnvFile:
    """The settings in `text`, that of the file `name`. A value with "${" is taken as it is written.

    Raises `InvalidSettings` with the number of each line that cannot be parsed, and none of its text.
    """
    values: dict[str, str | None] = {}
    lines: dict[str, list[int]] = {setting.name: [] for setting in table()}
    problems = []
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            problems.append(f"{name}: line {_line_of(binding)} cannot be read; is a quote not closed?")
        elif binding.key is not None:
            values[binding.key] = binding.value
            if binding.key in lines:  # another one may be a misplaced secret
                lines[binding.key].append(_line_of(binding))
            if binding.value is not None and _NEWLINE.search(binding.original.string.strip()):
                problems.append(f"{name}: line {_line_of(binding)} has a quote that is not closed on that line")
    if problems:
        raise InvalidSettings(problems)
    return EnvFile(values, [_repetition(key, found) for key, found in lines.items() if len(found) > 1])


def _repetition(key: str, lines: list[int]) -> str:
    *others, last = lines
    return f"{key} is set on the lines {', '.join(map(str, others))} and {last}; line {last} counts"


def _line_of(binding: Binding) -> int:
    """The line number of `binding`: dotenv's own is that of the empty lines before it."""
    written = binding.original.string
    before = written[: len(written) - len(written.lstrip())]
    return binding.original.line + len(_NEWLINE.findall(before))


def doubtful_names(environ: Mapping[str, str], from_file: EnvFile, file_name: str) -> list[str]:
    """A sentence for each name that is valid to set, and is probably not what the operator means."""
    in_file = [f"{file_name}: {sentence}" for sentence in (*unknown_names(from_file.values), *from_file.repeated)]
    return in_file + [f"the environment: {sentence}" for sentence in mistaken_names(environ)]
