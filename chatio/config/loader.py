"""Load the settings from mappings of texts, and report all problems at once.

This module reads neither the environment nor a file: the caller passes their contents.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

import msgspec

from chatio.config.key_files import Place, ReadFile, key_at, problems_between
from chatio.config.settings import ANY_ORIGIN, Settings, listed, table
from chatio.throttling.client_ip import parse_networks
from chatio.throttling.origins import read_origin


class InvalidSettings(Exception):
    """Settings that break their rules. `problems` has one sentence for each, and no secret in any of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def load(*sources: Mapping[str, str | None], read_file: ReadFile | None = None) -> Settings:
    """The settings in `sources`, of which the first that has a name wins; an empty text counts as not set.

    `read_file` returns the text at a path, or raises OSError or ValueError; without it no key file is read.
    Raises `InvalidSettings` with every problem.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in msgspec.structs.fields(Settings):
        name = field.name.upper()
        text = next((source[name] for source in sources if source.get(name)), None)
        if text is None:
            continue
        try:
            text.encode()
            values[field.name] = msgspec.convert(text.strip(), field.type, strict=False)
        except UnicodeEncodeError:
            problems.append(f"{name}: is not UTF-8")
        except msgspec.ValidationError as error:
            # Of msgspec's errors only the one for a choice quotes the value, which may be a misplaced secret.
            kind = get_args(field.type)[0]
            choices = get_args(kind) if get_origin(kind) is Literal else ()
            problems.append(f"{name}: must be one of {', '.join(choices)}" if choices else f"{name}: {error}")
    settings = Settings(**values)
    settings, key_problems = _with_keys(settings, read_file)
    problems += key_problems + _problems(settings)
    if problems:
        raise InvalidSettings(problems)
    return settings


def unknown_names(names: Iterable[str]) -> list[str]:
    """A sentence for each of `names` that is no setting, with the most similar name of one."""
    known = [setting.name for setting in table()]
    sentences = []
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            sentences.append("a line is not NAME=value")  # may be a misplaced secret
        elif name not in known:
            close = difflib.get_close_matches(name.removeprefix("CHATIO_"), known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            sentences.append(f"{name} is not a setting{hint}")
    return sentences


def _with_keys(settings: Settings, read_file: ReadFile | None) -> tuple[Settings, list[str]]:
    """`settings` with the keys that are in files, and a sentence for each problem of a key."""
    current = Place("JWT_SECRET_KEY", settings.jwt_secret_key, settings.jwt_secret_key_file)
    earlier = Place(
        "JWT_SECRET_KEY_PREVIOUS",
        settings.jwt_secret_key_previous,
        settings.jwt_secret_key_previous_file,
        may_be_empty=True,
    )
    key, problems = key_at(current, read_file)
    previous, previous_problems = key_at(earlier, read_file)
    problems += previous_problems
    if not problems:
        problems = problems_between(current, key, previous)
    return msgspec.structs.replace(settings, jwt_secret_key=key, jwt_secret_key_previous=previous), problems


def _problems(settings: Settings) -> list[str]:
    """A sentence for each problem that the type of a single setting cannot find."""
    problems = []
    origins = listed(settings.client_url)
    if not origins:
        problems.append("CLIENT_URL: must name an origin, such as http://localhost:5173")
    elif origins != [ANY_ORIGIN]:
        problems.extend(filter(None, map(_origin_problem, origins)))
    for proxy in listed(settings.trusted_proxies):
        try:
            parse_networks([proxy])
        except ValueError:
            problems.append(f"TRUSTED_PROXIES: {proxy!r} is neither an address nor a network")
    return problems


def _origin_problem(text: str) -> str | None:
    try:
        read_origin(text)
    except ValueError as reason:
        # A password before the host is not told.
        return (
            f"CLIENT_URL: {text.rpartition('@')[2]!r} is not an origin such as https://chat.example "
            f"or http://localhost:5173: {reason}"
        )
    return None
