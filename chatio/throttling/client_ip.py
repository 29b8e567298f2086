"""Client IP: the address that a request comes from, and the key by which it is rate limited.

Tornado sees the proxy's address only. A header is what its sender wrote, so X-Forwarded-For counts only as far as
proxies that the operator named have written it: each proxy appends the address that called it.
"""

import ipaddress
import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

logger = logging.getLogger("chatio")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# A proxy has a few addresses. Any client may send the header, and shall not fill the log with them.
MAX_REPORTED: Final = 10
# More proxies stand before no server. A client at a trusted address writes as many as fit: 1,600 took 38 ms.
MAX_HOPS: Final = 16
# Headers of proxies that are not read; and all that say something of a client's address.
UNREAD_HEADERS: Final = ("Forwarded", "X-Real-Ip")
ADDRESS_HEADERS: Final = frozenset({"X-Forwarded-For", *UNREAD_HEADERS})


class TrustedProxies:
    """The networks of the proxies that the operator named. Event loop only."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)
        self._reported: set[str] = set()

    def __iter__(self) -> Iterator[Network]:
        return iter(self._networks)

    def __len__(self) -> int:
        return len(self._networks)

    def report_missing(self, peer: str) -> None:
        """Log once that `peer` writes X-Forwarded-For, and may be a proxy that the operator forgot to name."""
        self._report(peer, "X-Forwarded-For, and TRUSTED_PROXIES does not name that address")

    def report_unread(self, peer: str, header: str) -> None:
        """Log once that `peer` writes `header`, which is not read, and no X-Forwarded-For."""
        self._report(peer, f"{header}, and no X-Forwarded-For, which alone is read")

    def _report(self, peer: str, what: str) -> None:
        if peer not in self._reported and len(self._reported) < MAX_REPORTED:
            self._reported.add(peer)
            logger.warning(
                "Requests from %s have %s: if it is a proxy, the rate limits count all its clients as one",
                peer or "a Unix socket",
                what,
                extra={"event": "proxy_not_trusted", "address": peer},
            )


def parse_networks(proxies: Iterable[str]) -> TrustedProxies:
    """Addresses and CIDR blocks ("10.0.0.7", "fd00::/8") as networks. Raises ValueError for any other text."""
    return TrustedProxies(ipaddress.ip_network(proxy.strip(), strict=False) for proxy in proxies)


def client_address(peer: str, forwarded_for: str, trusted: TrustedProxies) -> str:
    """The client's address: the rightmost of X-Forwarded-For and `peer` that no trusted proxy has.

    `peer` is the socket's address, and stands behind the header's entries. An entry that is no address ends the
    search at the address before it.
    """
    if not is_trusted(peer, trusted):
        trusted.report_missing(peer)
        return peer
    address = peer
    hops = [hop for hop in forwarded_for.rsplit(",", MAX_HOPS)[-MAX_HOPS:] if hop.strip()]
    while hops and is_trusted(address, trusted):
        hop = _address(hops.pop())
        if hop is None:
            break
        address = hop
    return address


def address_of(peer: str, headers: Mapping[str, str], trusted: TrustedProxies) -> str:
    """The address of the client that sent a request with `headers` over a socket of `peer`."""
    if forwarded_for := headers.get("X-Forwarded-For"):
        return client_address(peer, forwarded_for, trusted)
    for name in UNREAD_HEADERS:
        if name in headers:
            trusted.report_unread(peer, name)
    return peer


@lru_cache(maxsize=4096)  # asked three times for each connection, at 3.4 µs
def rate_limit_key(address: str) -> str:
    """The key that `address` is counted by: an IPv4 address itself, or the /64 of an IPv6 address.

    A /64 is what one customer is given. The peer of a Unix socket has no address, and counts as "".
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))


@lru_cache(maxsize=4096)
def wider_rate_limit_key(key: str) -> str | None:
    """The key of the /48 around the /64 that `key` is, which one customer may have; None for IPv4."""
    address, slash, _ = key.partition("/")
    return str(ipaddress.IPv6Network((address, 48), strict=False)) if slash else None


def is_trusted(address: str, trusted: TrustedProxies) -> bool:
    """Whether a network of `trusted` has `address`."""
    if not len(trusted):
        return False
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # the peer of a Unix socket has none
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in trusted)


def _address(hop: str) -> str | None:
    """The address of one entry, which may have a port ("192.0.2.1:4711", "[2001:db8::1]:4711"), or None."""
    text = hop.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    text = text.partition("%")[0]  # a zone (RFC 4007, 11) means something to its sender only, and may be any text
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
