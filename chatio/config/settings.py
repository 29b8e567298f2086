"""Every setting: its name, type, default, unit and meaning, in one place.

`Settings` is made once, by `chatio.loading`, and never changes. `.env.example` and the README's table are held
against it by a test.
"""

from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from chatio.accounts.tokens import MIN_KEY_BYTES

ANY_ORIGIN = "*"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Named as in the environment, in lower case."""

    server_port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes any free one")] = 3000
    server_host: Annotated[
        str, Meta(description="Address to listen on; empty means every interface, IPv4 and IPv6")
    ] = ""
    client_url: Annotated[
        str,
        Meta(description="Origins of the pages that may use this server, with commas between them; `*` for any"),
    ] = "http://localhost:5173"
    jwt_secret_key: Annotated[
        str,
        Meta(
            description=f"Key that signs the tokens, at least {MIN_KEY_BYTES} bytes. "
            "Without one the server makes one, and a restart signs everybody out"
        ),
    ] = ""
    jwt_secret_key_file: Annotated[
        str,
        Meta(
            description="File that holds that key and nothing else; in its place, such as a credential of systemd"
        ),
    ] = ""
    jwt_secret_key_previous: Annotated[
        str,
        Meta(
            description="The key before this one, while its tokens are still to be accepted; it signs none. "
            f"At least {MIN_KEY_BYTES} bytes"
        ),
    ] = ""
    jwt_secret_key_previous_file: Annotated[
        str, Meta(description="File that holds that key and nothing else; empty when there is none")
    ] = ""
    jwt_ttl_seconds: Annotated[
        int, Meta(ge=1, le=10 * 365 * 86400, description="How long a sign-in lasts, in seconds")
    ] = 86400
    message_max_chars: Annotated[int, Meta(ge=1, le=100_000, description="Longest message, in characters")] = (
        10_000
    )
    log_max_messages: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Newest messages that are kept, at most")
    ] = 10_000
    log_max_bytes: Annotated[
        int, Meta(ge=1024, description="Memory that the kept messages take, in bytes, at most")
    ] = 32 * 2**20
    history_on_connect: Annotated[
        int, Meta(ge=0, le=10_000, description="Newest messages that somebody who joins receives; 0 for none")
    ] = 50
    presence: Annotated[
        Literal["on", "off"], Meta(description="Whether people are told who comes, goes and is typing")
    ] = "on"
    serve_page: Annotated[Literal["on", "off"], Meta(description="Whether `/` is a page to chat with")] = "on"
    ping_interval_seconds: Annotated[
        float, Meta(ge=0.1, le=600, description="Time between pings to a client, in seconds")
    ] = 25.0
    ping_timeout_seconds: Annotated[
        float, Meta(ge=0.1, le=600, description="Time that a client has to answer a ping, in seconds")
    ] = 20.0
    slow_client_seconds: Annotated[
        float,
        Meta(gt=0, le=3600, description="A client that takes nothing for so long, in seconds, is dropped"),
    ] = 30.0
    rate_limits: Annotated[
        Literal["on", "off"],
        Meta(description="Whether strangers and members are held to rates and numbers; off for benchmarks"),
    ] = "on"
    login_failures_per_account: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Wrong passwords for one account before strangers to it wait for a minute, "
            "and with each further one twice as long, up to 15 minutes",
        ),
    ] = 10
    login_failures_per_address: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Wrong passwords from one address in an hour, over all accounts")
    ] = 100
    logins_per_minute: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Log-ins from one address in a minute, right or wrong; five times as many at once",
        ),
    ] = 60
    registrations_per_hour: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Registrations from one address in an hour; as many at once")
    ] = 30
    messages_per_second: Annotated[
        float, Meta(ge=0.01, le=1_000_000, description="Messages of one connection in a second, past its burst")
    ] = 5.0
    message_burst: Annotated[int, Meta(ge=1, le=1_000_000, description="Messages of one connection at once")] = 60
    person_messages_per_second: Annotated[
        float,
        Meta(
            ge=0.01,
            le=1_000_000,
            description="Messages of one person in a second, over all connections and past the burst",
        ),
    ] = 10.0
    person_message_burst: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Messages of one person at once, over all connections")
    ] = 120
    other_events_per_second: Annotated[
        float,
        Meta(
            ge=1,
            le=1_000_000,
            description="Other events of one person in a second, such as typing; ten times as many at once",
        ),
    ] = 20.0
    flood_events: Annotated[
        int,
        Meta(
            ge=10,
            le=1_000_000,
            description="Refused events of one connection at once before it is closed; one a second is forgiven",
        ),
    ] = 300
    max_connections: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Chat connections in all; past it, 503")
    ] = 10_000
    max_connections_per_address: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Chat connections from one address (IPv6: one /64); past it, 503"),
    ] = 1_000
    max_connections_per_person: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Chat connections of one person; one more waits until another ends"),
    ] = 20
    connects_per_minute: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="New chat connections from one address per minute, "
            "after `MAX_CONNECTIONS_PER_ADDRESS` at once; past it, 503",
        ),
    ] = 600
    input_bytes_per_second: Annotated[
        int,
        Meta(
            ge=1024,
            le=2**30,
            description="Bytes per second that one connection may send after its burst; "
            "who sends faster is read more slowly",
        ),
    ] = 64 * 1024
    input_burst_bytes: Annotated[
        int, Meta(ge=1024, le=2**30, description="Bytes that one connection may send as fast as it can")
    ] = 4 * 2**20
    trusted_proxies: Annotated[
        str,
        Meta(description="Proxies whose X-Forwarded-For is believed: addresses or networks, with commas"),
    ] = ""
    shutdown_grace_seconds: Annotated[
        float,
        Meta(ge=1, le=3600, description="Time from SIGTERM to the exit, in seconds, at most"),
    ] = 10.0
    overload_lag_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description="Nobody new is let in while the event loop is late by more, in seconds; 0 for never",
        ),
    ] = 0.25
    hash_queue_max: Annotated[
        int, Meta(ge=1, le=100_000, description="Passwords that may wait to be hashed; past it, 503")
    ] = 256
    metrics_port: Annotated[
        Annotated[int, Meta(ge=0, le=65535)] | None,
        Meta(description="Port of `/metrics` for Prometheus; 0 takes any free one, unset for none"),
    ] = None
    metrics_host: Annotated[
        str, Meta(min_length=1, description="Address to serve metrics on: whoever reaches it may read them")
    ] = "127.0.0.1"
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Meta(description="Least level that is logged")
    ] = "INFO"
    log_format: Annotated[
        Literal["text", "json"], Meta(description="How a line of the log is written: for people, or as JSON")
    ] = "text"

    @property
    def origins(self) -> tuple[str, ...]:
        """The allowed origins; `("*",)` for any."""
        return tuple(_as_browsers_write_it(part) for part in self.client_url.split(",") if part.strip())

    @property
    def proxies(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.trusted_proxies.split(",") if part.strip())


def changed(settings: Settings) -> list[str]:
    """The names of those that differ from their default; no values, of which one is secret."""
    return [
        field.name.upper()
        for field in msgspec.structs.fields(Settings)
        if getattr(settings, field.name) != field.default
    ]


class Setting(NamedTuple):
    """One row of the table of settings, as documents show it."""

    name: str
    default: str
    description: str


def table() -> list[Setting]:
    """Every setting, in the order in which documents show them."""
    rows = []
    for field in msgspec.structs.fields(Settings):
        (meta,) = field.type.__metadata__
        rows.append(
            Setting(field.name.upper(), "" if field.default is None else str(field.default), meta.description)
        )
    return rows


def _as_browsers_write_it(text: str) -> str:
    """An origin in lower case and without a default port (RFC 6454, 4 and 6.2): it is compared as text."""
    origin = text.strip().rstrip("/").lower()
    return origin.removesuffix(":443" if origin.startswith("https:") else ":80")
