"""Risks: settings that work, and that make the server easy to attack. Each is one warning, which quotes no key."""

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import Final
from urllib.parse import parse_qs, urlsplit

from chatio.config.settings import ANY_ORIGIN, Settings, listed
from chatio.throttling.client_ip import Network, parse_networks

# A key of 32 bytes with fewer distinct characters is guessed sooner than one of 12 random bytes.
MIN_DISTINCT_CHARS: Final = 8
# Of pairs of neighbours in a key: the share that is equal or follows in the alphabet, as in "aaaa" and "1234".
MAX_ORDERED_SHARE: Final = 0.6
# Of public networks: those of a CDN have 13 bits and more (Cloudflare's 104.16.0.0/13), and 29 (IPv6).
MIN_PREFIX: Final = {4: 12, 6: 28}
_PRIVATE: Final = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "fc00::/7"))
)
# NIST SP 800-63B-4, 3.2.2: no more consecutive failures on one account.
MAX_FAILURES: Final = 100
# A month, the longest time that SP 800-63B-4, 2.1.3, lets a session live.
MAX_TTL_SECONDS: Final = 30 * 86400

# Of keys in examples, without their punctuation.
_PLACEHOLDERS: Final = re.compile(
    "change(me|this)|replace(me|this)|your(256bit|jwt|own|very|super|random|long)?(secret|key)"
    "|secretkey|mysecret|jwtsecret|(super|top)secret|secretatleast256|placeholder|example|insecure|notsecure"
    "|password|passphrase|letmein|qwerty|default(key|secret)|test(key|secret)|loremipsum"
)


def risks_of(settings: Settings) -> Iterator[str]:
    """A sentence for each risk that `settings` take."""
    yield from _risks_of_keys(settings)
    yield from _risks_of_origins(settings.origins)
    yield from _risks_of_limits(settings)
    for proxy in listed(settings.trusted_proxies):
        if any(map(_has_strangers, parse_networks([proxy]))):
            yield (
                f"TRUSTED_PROXIES={proxy} trusts strangers: "
                "each client can choose the address that its rate limits count"
            )
    if settings.metrics_port is not None and not _is_local(settings.metrics_host):
        yield (
            f"METRICS_HOST={settings.metrics_host} shows the metrics to every client that reaches port "
            f"{settings.metrics_port or 'of METRICS_PORT'}: allow only Prometheus in the firewall"
        )
    if _is_in_the_clear(settings.database_url):
        yield (
            "DATABASE_URL names a database on another machine without sslmode=require (or verify-full): its "
            "password and all messages may cross the network unencrypted"
        )


def _risks_of_keys(settings: Settings) -> Iterator[str]:
    keys = {
        "JWT_SECRET_KEY": settings.jwt_secret_key,
        "JWT_SECRET_KEY_PREVIOUS": settings.jwt_secret_key_previous,
    }
    for name, key in keys.items():
        if key and is_guessable(key):
            yield (
                f"{name} is easy to guess, and so are tokens of any user: "
                "python3 -c 'import secrets; print(secrets.token_urlsafe(48))' makes a good one"
            )
    if settings.jwt_ttl_seconds > MAX_TTL_SECONDS:
        yield (
            f"JWT_TTL_SECONDS={settings.jwt_ttl_seconds}: a stolen token is good for "
            f"{settings.jwt_ttl_seconds // 86400} days"
        )


def _risks_of_origins(origins: tuple[str, ...]) -> Iterator[str]:
    if origins == (ANY_ORIGIN,):
        yield "CLIENT_URL=* lets the page of every site use this server from its visitors' browsers"
    for origin in origins:
        if origin in ("null", "file://"):
            yield (
                f"CLIENT_URL={origin} is the origin of every page that a user opens from a file, and of every "
                "frame that another site puts in a sandbox: all of them may use this server"
            )
        elif origin.startswith("http://") and not _is_local(urlsplit(origin).hostname or ""):
            yield (
                f"CLIENT_URL={origin} is not https: passwords and tokens cross the network unencrypted, and "
                "anyone on their way can change the page and act as its user"
            )


def _risks_of_limits(settings: Settings) -> Iterator[str]:
    if settings.rate_limits == "off":
        yield "RATE_LIMITS=off lets any client guess passwords without end and keep the server busy"
    if settings.login_failures_per_account > MAX_FAILURES:
        yield (
            f"LOGIN_FAILURES_PER_ACCOUNT={settings.login_failures_per_account} lets a client guess that often at "
            f"once; NIST SP 800-63B allows {MAX_FAILURES}"
        )
    if settings.overload_lag_seconds == 0:
        yield "OVERLOAD_LAG_SECONDS=0 admits clients however late the server is, until it serves none"
    if settings.max_connections_per_address >= settings.max_connections:
        yield "MAX_CONNECTIONS_PER_ADDRESS is not below MAX_CONNECTIONS: one client can keep all others out"


def is_guessable(key: str) -> bool:
    """Whether `key` is a repeated pattern, a row of the alphabet, of few characters, or a placeholder."""
    pairs = list(pairwise(key))
    ordered = sum(abs(ord(one) - ord(other)) <= 1 for one, other in pairs)
    return (
        any(key.startswith(key[size:]) for size in range(1, len(key) // 2 + 1))
        or len(set(key)) < MIN_DISTINCT_CHARS
        or ordered > len(pairs) * MAX_ORDERED_SHARE
        or _PLACEHOLDERS.search(re.sub(r"[\W_]", "", key.lower())) is not None
    )


def _has_strangers(network: Network) -> bool:
    """Whether `network` is too wide for the proxies of one operator or one CDN, and is no private network."""
    is_private = any(network.version == own.version and network.subnet_of(own) for own in _PRIVATE)  # type: ignore[arg-type]
    return not is_private and network.prefixlen < MIN_PREFIX[network.version]


def _is_local(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_in_the_clear(database_url: str) -> bool:
    """Whether the connection to the database may be unencrypted on a network."""
    url = urlsplit(database_url)
    options = parse_qs(url.query)
    hosts = [url.hostname or "", *options.get("host", [])]
    is_remote = any(host and not host.startswith("/") and not _is_local(host) for host in hosts)
    is_encrypted = options.get("sslmode", ["prefer"])[-1] in ("require", "verify-ca", "verify-full")
    return url.scheme in ("postgres", "postgresql") and is_remote and not is_encrypted
