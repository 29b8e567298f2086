"""The settings: each one's name, type, default, unit and meaning.

`chatio.config.loader` makes the one `Settings` of a process, which never changes. A test compares `.env.example`
with this file.
"""

from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from chatio.accounts.tokens import MIN_KEY_BYTES
from chatio.throttling.client_ip import TrustedProxies, parse_networks
from chatio.throttling.origins import read_origin

ANY_ORIGIN: Final = "*"

_Switch = Literal["on", "off"]


def _meaning(text: str) -> Meta:
    return Meta(description=text)


def _whole(text: str, *, least: int = 1, most: int = 1_000_000) -> Meta:
    return Meta(ge=least, le=most, description=text)


def _number(text: str, *, least: float = 0.01, most: float = 1_000_000) -> Meta:
    return Meta(ge=least, le=most, description=text)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings under their names of the environment, in lower case."""

    server_port: Annotated[int, _whole("Port to listen on; 0 takes any free port", least=0, most=65535)] = 3000
    server_host: Annotated[str, _meaning("Address to listen on; empty means all interfaces, IPv4 and IPv6")] = ""
    server_name: Annotated[
        str,
        Meta(
            title="up to 16 letters and digits",  # in the words of a problem
            pattern="^[A-Za-z0-9]{0,16}$",
            description="Name of this server among several of one database, up to 16 letters and digits: "
            "session ids begin with it, so that a proxy finds the server of a session. Empty: there is one server",
        ),
    ] = ""
    client_url: Annotated[
        str,
        _meaning(
            "Origins of the web pages that may use this server, separated by commas; `*` allows any. "
            "Those of apps too, where they send one: `capacitor://localhost`, `file://`, `null`"
        ),
    ] = "http://localhost:5173"
    jwt_secret_key: Annotated[
        str,
        _meaning(
            f"Key that signs the tokens, at least {MIN_KEY_BYTES} bytes. "
            "Without it the server makes a key at each start, so that a restart logs all users out"
        ),
    ] = ""
    jwt_secret_key_file: Annotated[
        str,
        _meaning(
            "File that contains only that key, instead of `JWT_SECRET_KEY`; for example a systemd credential"
        ),
    ] = ""
    jwt_secret_key_previous: Annotated[
        str,
        _meaning(
            "Previous key: while a key is replaced, tokens signed with the previous one stay valid, "
            f"and no new ones are signed with it. At least {MIN_KEY_BYTES} bytes"
        ),
    ] = ""
    jwt_secret_key_previous_file: Annotated[
        str, _meaning("File that contains only the previous key; an empty file means that there is none")
    ] = ""
    jwt_ttl_seconds: Annotated[
        int, _whole("Time after which a login expires, in seconds", most=10 * 365 * 86400)
    ] = 86400
    message_max_chars: Annotated[int, _whole("Longest message, in characters", most=100_000)] = 10_000
    edit_seconds: Annotated[
        int,
        _whole(
            "Time in which users may edit and delete a message of theirs, in seconds; 0 means never",
            least=0,
            most=10 * 365 * 86400,
        ),
    ] = 900
    database_url: Annotated[
        str,
        _meaning(
            "Database of accounts and messages: `sqlite:///chat.db` (beside `main.py`), "
            "`sqlite:////var/lib/chatio/chat.db`, or `postgresql://...`. "
            "Without it they are in memory, and a restart forgets them"
        ),
    ] = ""
    database_url_file: Annotated[
        str,
        _meaning("File that contains only that URL, instead of `DATABASE_URL`; for example a systemd credential"),
    ] = ""
    log_max_messages: Annotated[
        int,
        _whole(
            "Number of newest messages in memory: what a client recovers after an absence. "
            "Without a database, all that the server keeps",
            most=10_000_000,
        ),
    ] = 10_000
    log_max_bytes: Annotated[
        int, Meta(ge=1024, description="Memory that the messages in memory may take, in bytes")
    ] = 32 * 2**20
    registration: Annotated[
        Literal["open", "closed"],
        _meaning("Whether anyone may register; where it is `closed`, `main.py user add` makes the accounts"),
    ] = "open"
    admin_socket: Annotated[
        str,
        _meaning(
            "Unix socket over which `main.py user` reaches the running server. "
            "Without it, the name of the SQLite file with `.sock`; elsewhere none"
        ),
    ] = ""
    messages_keep_days: Annotated[
        Annotated[int, Meta(ge=1, le=36_500)] | None,
        _meaning("Days after which the database deletes a message; empty means never"),
    ] = None
    store_queue_max: Annotated[
        int, _whole("Messages that may wait for the database at a time; past it, `overloaded`", most=100_000)
    ] = 2000
    history_on_connect: Annotated[
        int,
        _whole("Number of newest messages that a client receives when it joins; 0 for none", least=0, most=10_000),
    ] = 50
    presence: Annotated[_Switch, _meaning("Whether clients are told which users are online and typing")] = "on"
    serve_page: Annotated[
        _Switch, _meaning("Whether `/` serves the chat's own web page; if not, a link to `/docs`")
    ] = "on"
    ping_interval_seconds: Annotated[
        float, _number("Time between two pings to a client, in seconds", least=0.1, most=600)
    ] = 25.0
    ping_timeout_seconds: Annotated[
        float, _number("Time in which a client must answer a ping, in seconds", least=0.1, most=600)
    ] = 20.0
    slow_client_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="Slow client: time after which a client that reads nothing is dropped, in seconds",
        ),
    ] = 30.0
    rate_limits: Annotated[
        _Switch, _meaning("Whether clients have rate limits and connection limits; `off` is for benchmarks")
    ] = "on"
    login_failures_per_account: Annotated[
        int,
        _whole(
            "Wrong passwords for an account before clients at addresses unknown to it have to wait for a minute; "
            "each further one doubles the wait, up to 15 minutes"
        ),
    ] = 10
    login_failures_per_address: Annotated[
        int, _whole("Wrong passwords per address and hour, over all accounts")
    ] = 100
    logins_per_minute: Annotated[
        int, _whole("Logins per address and minute, successful or not; five times as many at once")
    ] = 60
    registrations_per_hour: Annotated[int, _whole("Registrations per address and hour; as many at once")] = 30
    requests_per_minute: Annotated[
        int,
        _whole("Requests per address and minute, without a login; half as many at once. Past it, 429", least=10),
    ] = 6_000
    person_requests_per_minute: Annotated[
        int, _whole("Requests per user and minute; half as many at once. Past it, 429", least=10)
    ] = 600
    messages_per_second: Annotated[float, _number("Messages per connection and second, after its burst")] = 5.0
    message_burst: Annotated[int, _whole("Messages per connection at once")] = 60
    person_messages_per_second: Annotated[
        float, _number("Messages per user and second, over all connections, after the burst")
    ] = 10.0
    person_message_burst: Annotated[int, _whole("Messages per user at once, over all connections")] = 120
    other_events_per_second: Annotated[
        float, _number("Other events per user and second, such as typing; ten times as many at once", least=1)
    ] = 20.0
    flood_events: Annotated[
        int,
        _whole(
            "Rate-limited events per connection at once before it is closed; one per second is forgiven", least=10
        ),
    ] = 300
    max_connections: Annotated[int, _whole("Limit of chat connections in all; past it, 503")] = 10_000
    max_connections_per_address: Annotated[
        int, _whole("Limit of chat connections per address (IPv6: per /64); past it, 503")
    ] = 1_000
    max_connections_per_person: Annotated[
        int, _whole("Limit of chat connections per user; one more waits until another ends")
    ] = 20
    connects_per_minute: Annotated[
        int,
        _whole(
            "New chat connections per address and minute, "
            "after `MAX_CONNECTIONS_PER_ADDRESS` at once; past it, 503"
        ),
    ] = 600
    input_bytes_per_second: Annotated[
        int,
        _whole(
            "Bytes per connection and second, after its burst; the server reads a faster client more slowly",
            least=1024,
            most=2**30,
        ),
    ] = 64 * 1024
    input_burst_bytes: Annotated[int, _whole("Bytes per connection at once", least=1024, most=2**30)] = 4 * 2**20
    trusted_proxies: Annotated[
        str, _meaning("Proxies whose X-Forwarded-For is trusted: addresses or networks, separated by commas")
    ] = ""
    keep_alive_seconds: Annotated[
        float,
        _number(
            "Time that an idle HTTP connection is kept; longer than the load balancer does, in seconds",
            least=1,
            most=3600,
        ),
    ] = 650.0
    shutdown_grace_seconds: Annotated[
        float, _number("Longest time from SIGTERM to the exit, in seconds", least=1, most=3600)
    ] = 10.0
    overload_lag_seconds: Annotated[
        float,
        _number(
            "Load shedding: lag of the event loop past which new clients have to wait, in seconds; 0 for never",
            least=0,
            most=60,
        ),
    ] = 0.25
    hash_queue_max: Annotated[
        int, _whole("Passwords that may be hashed or wait for it at a time; past it, 503", most=100_000)
    ] = 256
    metrics_port: Annotated[
        Annotated[int, Meta(ge=0, le=65535)] | None,
        _meaning("Port of `/metrics` for Prometheus; 0 takes any free port, empty means no metrics"),
    ] = None
    metrics_host: Annotated[
        str,
        Meta(min_length=1, description="Address to serve metrics on; any client that reaches it may read them"),
    ] = "127.0.0.1"
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], _meaning("Lowest level of log lines that are written")
    ] = "INFO"
    log_format: Annotated[
        Literal["text", "json"], _meaning("Format of log lines: `text` for people, `json` for programs")
    ] = "text"

    @property
    def origins(self) -> tuple[str, ...]:
        """The allowed origins, as browsers write them; `("*",)` for any.

        Raises ValueError for a text that is no origin, which `load` reports.
        """
        return tuple(text if text == ANY_ORIGIN else read_origin(text) for text in listed(self.client_url))

    @property
    def proxies(self) -> TrustedProxies:
        """The trusted proxies. Raises ValueError for a text that is no network, which `load` reports."""
        return parse_networks(listed(self.trusted_proxies))


def listed(text: str) -> list[str]:
    """The parts of a setting that is a list, without empty ones."""
    return [part.strip() for part in text.split(",") if part.strip()]


def changed(settings: Settings) -> list[str]:
    """The names of the settings that differ from their defaults; not their values, which may be secret."""
    return [
        field.name.upper()
        for field in msgspec.structs.fields(Settings)
        if getattr(settings, field.name) != field.default
    ]


class Setting(NamedTuple):
    """A setting, as documents show it."""

    name: str
    default: str
    description: str


def table() -> list[Setting]:
    """All settings, in the order in which documents show them."""
    rows = []
    for field in msgspec.structs.fields(Settings):
        (meta,) = field.type.__metadata__
        default = "" if field.default is None else str(field.default)
        rows.append(Setting(field.name.upper(), default, meta.description))
    return rows
