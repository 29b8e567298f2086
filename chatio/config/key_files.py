"""Keys: each is read from its setting or from a file, and checked.

No problem quotes any part of a key: a text that is too short for one may be a password in the wrong place.
"""

from collections.abc import Callable
from typing import NamedTuple

from chatio.accounts.tokens import fault_of_key
from chatio.config.text_files import UnreadableFile

ReadFile = Callable[[str], str]  # the text of the file at a path; raises UnreadableFile


class Place(NamedTuple):
    """The two places of a key: the setting `name` has `text`, and the setting `name`_FILE has a file's `path`."""

    name: str
    text: str
    path: str
    may_be_empty: bool = False  # an empty file means that there is no key


def key_at(place: Place, read_file: ReadFile | None) -> tuple[str, list[str]]:
    """The key, "" for none, and a sentence for each problem. Without `read_file` no file is read."""
    key, problems = secret_at(place, read_file)
    fault = fault_of_key(key)
    if problems or not fault:
        return key, problems
    if not place.path or read_file is None:
        return key, [f"{place.name} {fault}"] if key else []
    if place.may_be_empty and not key:
        return key, []
    return "", [f"{place.name}_FILE: the key in it {fault}"]


def secret_at(place: Place, read_file: ReadFile | None) -> tuple[str, list[str]]:
    """The text at `place`, "" for none, and a sentence for each problem. Without `read_file` no file is read."""
    name, text, path, _ = place
    if not path or text or read_file is None:
        return text, [f"{name}_FILE: {name} is set too; set only one of them"] if text and path else []
    try:
        return read_file(path).strip(), []
    except UnreadableFile as reason:
        return "", [f"{name}_FILE: {reason}"]


def problems_between(current: Place, key: str, previous: str) -> list[str]:
    """A sentence for each problem of two keys that have none of their own."""
    if not previous:
        return []
    if not key and not current.path:
        return [f"{current.name}_PREVIOUS: needs {current.name} to be set"]
    return [f"{current.name}_PREVIOUS: is the same as {current.name}"] if previous == key else []
