"""Whose address a request comes from.

The library says 127.0.0.1 for everybody. A header is what its sender wrote, so X-Forwarded-For counts only as
far as proxies that the operator named have written it: each appends the address it was called from.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(proxies: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and CIDR blocks ("10.0.0.7", "fd00::/8"). Raises ValueError for anything else."""
    return tuple(ipaddress.ip_network(proxy.strip(), strict=False) for proxy in proxies)


def client_address(peer: str, forwarded_for: str, trusted: tuple[Network, ...]) -> str:
    """The rightmost address that no trusted proxy has: `peer`, which is the socket's, then the header.

    An entry that is no address ends the search at the last one that was.
    """
    address = peer
    if not trusted:
        return address
    hops = [hop for hop in forwarded_for.split(",") if hop.strip()]
    while hops and is_trusted(address, trusted):
        hop = _address(hops.pop())
        if hop is None:
            break
        address = hop
    return address


@lru_cache(maxsize=4096)  # asked three times for each connection, at 3.4 µs
def rate_limit_key(address: str) -> str:
    """Who `address` is counted as: itself, or its /64 where it is of IPv6, which is what one line is given.

    A Unix socket's peer has no address, and counts as "".
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


def is_trusted(address: str, trusted: tuple[Network, ...]) -> bool:
    """Some network of `trusted` has `address`."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a Unix socket's peer has none
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in trusted)


def _address(hop: str) -> str | None:
    """The address of one entry, which may bear a port: "192.0.2.1:4711", "[2001:db8::1]:4711"."""
    text = hop.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
