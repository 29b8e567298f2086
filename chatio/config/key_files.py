"""The keys of the settings, each from its setting or from a file of its own, and what is wrong with them.

No part of a key stands in a problem: one that is too short may be a password that was pasted in the wrong place.
"""

from collections.abc import Callable
from typing import NamedTuple

from chatio.accounts.tokens import MIN_KEY_BYTES

ReadFile = Callable[[str], str]  # the text at a path; raises OSError, or ValueError for what is no text


class Place(NamedTuple):
    """Where one key may stand: in the setting `name` as `text`, or in the file at `path` of `name`_FILE."""

    name: str
    text: str
    path: str
    may_be_empty: bool = False  # the file is always there, and an empty one means that there is no key


def key_at(place: Place, read_file: ReadFile | None) -> tuple[str, list[str]]:
    """The key, "" for none, and a sentence for each thing that is wrong. Without `read_file` no file is read."""
    name, key, path, may_be_empty = place
    if not path or key or read_file is None:
        problems = [] if not key or _is_long_enough(key) else [f"{name}: must have at least {MIN_KEY_BYTES} bytes"]
        if key and path:
            problems.append(f"{name}_FILE: {name} is set too, and only one of them can be meant")
        return key, problems
    try:
        key = read_file(path).strip()
    except OSError as error:
        return "", [f"{name}_FILE: cannot be read: {error.strerror}"]
    except ValueError:
        return "", [f"{name}_FILE: is no file of UTF-8 text"]
    if _is_long_enough(key) or (may_be_empty and not key):
        return key, []
    return "", [f"{name}_FILE: the key in it must have at least {MIN_KEY_BYTES} bytes"]


def problems_between(current: Place, key: str, previous: str) -> list[str]:
    """What is wrong with two keys that are sound each."""
    if not previous:
        return []
    if not key and not current.path:
        return [f"{current.name}_PREVIOUS: is nothing without {current.name}"]
    return [f"{current.name}_PREVIOUS: is the same as {current.name}"] if previous == key else []


def _is_long_enough(key: str) -> bool:
    return len(key.encode()) >= MIN_KEY_BYTES
