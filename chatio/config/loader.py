"""Load the settings from mappings of texts, and report all problems at once.

This module reads neither the environment nor a file: the caller passes their contents.
"""

import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from chatio.config.key_files import Place, ReadFile, key_at, problems_between, secret_at
from chatio.config.rules import broken_rule, quoted
from chatio.config.settings import ANY_ORIGIN, Settings, listed, table
from chatio.stores.url import parse_store_url
from chatio.telemetry.log_format import harmless
from chatio.throttling.client_ip import parse_networks
from chatio.throttling.origins import is_host, read_origin

# Of a wrong name to that of a setting, from 0 to 1 (difflib).
LIKENESS_IN_FILE: Final = 0.6
LIKENESS_IN_ENVIRONMENT: Final = 0.8


class InvalidSettings(Exception):
    """Settings that break their rules. `problems` has one sentence for each, and no secret in any of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def load(*sources: Mapping[str, str | None], read_file: ReadFile | None = None) -> Settings:
    """The settings in `sources`, of which the first that has a name wins; an empty text counts as not set.

    `read_file` returns the text at a path, or raises `UnreadableFile`; without it no key file is read.
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
            problems.append(f"{name} must be UTF-8")
        except msgspec.ValidationError:
            problems.append(broken_rule(name, field.type, text.strip()))
    settings = Settings(**values)
    settings, key_problems = _with_keys(settings, read_file)
    settings, url_problems = _with_database_url(settings, read_file)
    problems += key_problems + url_problems + _problems(settings)
    if problems:
        raise InvalidSettings(problems)
    return settings


def unknown_names(names: Iterable[str]) -> list[str]:
    """A sentence for each of `names`, those in a file, that is no setting, with the most similar name of one."""
    known = [setting.name for setting in table()]
    sentences = []
    for name in names:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            sentences.append("a line is not NAME=value")  # may be a misplaced secret
        elif name not in known:
            close = _most_similar(name, known, LIKENESS_IN_FILE)
            hint = f"; did you mean {close}?" if close else ""
            sentences.append(f"{name} is not a setting{hint}")
    return sentences


def mistaken_names(environ: Iterable[str]) -> list[str]:
    """A sentence for each variable of the environment that looks like a misspelt setting; most are others' own."""
    known = [setting.name for setting in table()]
    sentences = []
    for name in environ:
        if name not in known and (close := _most_similar(name, known, LIKENESS_IN_ENVIRONMENT)):
            sentences.append(f"{harmless(name)} is not a setting; did you mean {close}?")
    return sentences


def _most_similar(name: str, known: Sequence[str], likeness: float) -> str | None:
    plain = re.sub(r"[-. ]", "_", name.upper()).removeprefix("CHATIO_")
    return next(iter(difflib.get_close_matches(plain, known, n=1, cutoff=likeness)), None)


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


def _with_database_url(settings: Settings, read_file: ReadFile | None) -> tuple[Settings, list[str]]:
    """`settings` with the URL that is in a file, and a sentence for each problem of it."""
    place = Place("DATABASE_URL", settings.database_url, settings.database_url_file)
    url, problems = secret_at(place, read_file)
    if place.path and not (url or problems) and read_file is not None:
        problems.append(f"{place.name}_FILE: the file is empty")
    scheme, colon, rest = url.partition(":")
    url = scheme.lower() + colon + rest
    try:
        parse_store_url(url)
    except ValueError as error:
        problems.append(f"{place.name if settings.database_url else place.name + '_FILE'}: {error}")
    return msgspec.structs.replace(settings, database_url=url), problems


def _problems(settings: Settings) -> list[str]:
    """A sentence for each problem that the type of a single setting cannot find."""
    problems = []
    origins = listed(settings.client_url)
    if not origins:
        problems.append("CLIENT_URL: must name an origin, such as http://localhost:5173")
    elif ANY_ORIGIN in origins and len(origins) > 1:
        problems.append("CLIENT_URL: '*' allows every origin: write it alone, or leave it out")
    elif origins != [ANY_ORIGIN]:
        problems.extend(filter(None, map(_origin_problem, origins)))
    for name, host in (("SERVER_HOST", settings.server_host), ("METRICS_HOST", settings.metrics_host)):
        if host not in ("", "*") and not is_host(host):  # "*" is every interface, as in PostgreSQL
            problems.append(f"{name} must be an address or a name, without scheme and port, not {quoted(host)}")
    for proxy in listed(settings.trusted_proxies):
        try:
            parse_networks([proxy])
        except ValueError:
            problems.append(f"TRUSTED_PROXIES: {proxy!r} is neither an address nor a network")
    if settings.server_name and not settings.database_url.startswith("postgres"):
        problems.append("SERVER_NAME is for one of several servers, which need a DATABASE_URL of PostgreSQL")
    if settings.metrics_port and settings.metrics_port == settings.server_port and _hosts_overlap(settings):
        problems.append(f"METRICS_PORT must not be {settings.metrics_port}: SERVER_PORT is that too")
    return problems


def _hosts_overlap(settings: Settings) -> bool:
    """Whether both servers may want the same address: only two different numeric addresses are surely apart."""
    try:
        hosts = [ipaddress.ip_address(host.strip("[]")) for host in (settings.server_host, settings.metrics_host)]
    except ValueError:  # a name, or every interface
        return True
    return hosts[0] == hosts[1] or any(host.is_unspecified for host in hosts)


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
