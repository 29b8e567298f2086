"""Origins: how a browser or an app writes the place that a page comes from (RFC 6454, 6.2; WHATWG URL, 4.5).

An Origin header is compared as text with the origins of `CLIENT_URL`. So both are read here, and written in one
way: in lower case, a name in punycode, an IPv6 address compressed, without the scheme's own port.
"""

import difflib
import ipaddress
import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import idna

# The origin of a sandboxed frame, a `data:` page and, in most browsers, a file. Any site can make a page of it.
OPAQUE: Final = "null"
# Ports that are left out. No page has the last two schemes: native clients make an Origin of a WebSocket's URL.
DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}

Address = TypeVar("Address", ipaddress.IPv4Address, ipaddress.IPv6Address)

MAX_CHARS: Final = 300  # a name has 253 at most

_PARTS: Final = re.compile(r"([a-z][a-z0-9+.-]*)://([^\s/?#@\\]*)", re.ASCII | re.IGNORECASE)
_HOST_AND_PORT: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(?::([0-9]{0,5}))?", re.ASCII | re.IGNORECASE)
_ASCII_NAME: Final = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*", re.ASCII)
_APP_AUTHORITY: Final = re.compile(r"[!-~]*")


class Origin(NamedTuple):
    """The origin of a page or app at a host. `port` is None where it is the scheme's own."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}" + ("" if self.port is None else f":{self.port}")


def parse_origin(text: str) -> Origin:
    """The origin that `text` means, of one of the schemes in `DEFAULT_PORTS`.

    A dot at the end of a name is left out. Raises ValueError for any other text.
    """
    found = _PARTS.fullmatch(text) if len(text) <= MAX_CHARS else None
    scheme = found[1].lower() if found else ""
    authority = _HOST_AND_PORT.fullmatch(found[2]) if found and scheme in DEFAULT_PORTS else None
    if authority is None:
        raise ValueError("it is no scheme and host")
    port = int(authority[2]) if authority[2] else None
    if port is not None and port > 65535:
        raise ValueError("it has no such port")
    return Origin(scheme, _host(authority[1]), None if port == DEFAULT_PORTS[scheme] else port)


def read_origin(text: str) -> str:
    """One origin of a setting, as an Origin header has it. A slash at the end is left out.

    `null`, `file://` and the scheme of an app, such as `capacitor://localhost`, stay as they are.
    Raises ValueError with a reason.
    """
    if text in (OPAQUE, "file://"):
        return text
    text = text.rstrip("/")
    found = _PARTS.fullmatch(text) if len(text) <= MAX_CHARS else None
    if found is None and text.count("://") > 1:
        raise ValueError("several origins are separated by commas")
    if found is None and without_path(text) != text:
        raise ValueError("it has a path")
    if found is None:
        raise ValueError("it is no scheme and host")
    scheme = found[1].lower()
    if scheme in DEFAULT_PORTS:
        return str(parse_origin(text))
    if close := difflib.get_close_matches(scheme, DEFAULT_PORTS, n=1, cutoff=0.75):
        raise ValueError(f"did you mean {close[0]}?")
    if scheme in ("ftp", "file") or not found[2] or not _APP_AUTHORITY.fullmatch(found[2]):
        raise ValueError("no page or app has such an origin")
    return f"{scheme}://{found[2]}"


def without_path(url: str) -> str:
    """`url` up to the end of its host and port; any other text as it is."""
    found = _PARTS.match(url)
    return found[0] if found and url[found.end() : found.end() + 1] in ("/", "?") else url


def shown(origin: str | None) -> str:
    """An Origin header for a line of the log: itself if it is an origin, and else no part of it."""
    if origin is None:
        return "none"
    origin = without_path(origin)  # a path may hold a secret
    is_origin = origin == OPAQUE or (_PARTS.fullmatch(origin) and origin.isascii() and origin.isprintable())
    return origin[:MAX_CHARS] if is_origin else "no origin"


def is_host(text: str) -> bool:
    """Whether `text` may be a name or an IP address, with or without brackets and a zone (RFC 4007)."""
    host = text.strip("[]").partition("%")[0]
    try:
        return parse_origin(f"http://[{host}]" if ":" in host else f"http://{host}").port is None
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Whether `host`, of an `Origin`, is an IP address or localhost: no attacker's DNS can answer for it."""
    return host == "localhost" or host.endswith(".localhost") or host.startswith("[") or _ends_in_number(host)


def _host(text: str) -> str:
    """Raises ValueError."""
    if text.startswith("["):
        return f"[{_compressed(_ip(ipaddress.IPv6Address, text[1:-1]))}]"
    name = text.lower().removesuffix(".")
    if not name.isascii():
        name = _punycode(name)
    if not _ASCII_NAME.fullmatch(name):
        raise ValueError("its host is no name")
    if _ends_in_number(name):
        return str(_ip(ipaddress.IPv4Address, name))
    return name


def _ip(kind: Callable[[str], Address], text: str) -> Address:
    try:
        return kind(text)
    except ValueError:
        raise ValueError("its host is no IP address") from None


def _punycode(name: str) -> str:
    try:
        return idna.encode(name, uts46=True).decode()
    except idna.IDNAError:
        raise ValueError("its name is not one of IDNA 2008; write it in punycode (xn--)") from None


def _ends_in_number(name: str) -> bool:
    """Whether browsers read `name` as an IPv4 address (WHATWG URL, "ends in a number")."""
    return re.fullmatch(r"[0-9]+|0x[0-9a-f]*", name.rpartition(".")[2], re.ASCII) is not None


def _compressed(address: ipaddress.IPv6Address) -> str:
    """As browsers write it, which never has dots; Python's form of a mapped IPv4 address has them from 3.13 on."""
    mapped = address.ipv4_mapped
    if mapped is None:
        return address.compressed
    return f"::ffff:{int(mapped) >> 16:x}:{int(mapped) & 0xFFFF:x}"
