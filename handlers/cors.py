"""Cross-origin headers (the Fetch standard, "HTTP extensions"), the same on every answer, errors included."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from chatio.config.settings import ANY_ORIGIN

ALLOWED_HEADERS = "content-type, authorization"
PREFLIGHT_SECONDS = 7200  # Chromium's most


class Cors:
    """The origins whose pages may read the answers."""

    def __init__(self, origins: Sequence[str]) -> None:
        self.origins = origins
        self.default_headers = self.headers(None)  # of the answer to a request without an origin

    def headers(self, origin: str | None) -> dict[str, str]:
        """The headers of every answer to a request from `origin`; another origin is told an allowed one."""
        if ANY_ORIGIN in self.origins:
            return {"Access-Control-Allow-Origin": ANY_ORIGIN}
        allowed = origin if origin is not None and origin in self.origins else self.origins[0]
        return {"Access-Control-Allow-Origin": allowed, "Vary": "Origin"}

    def preflight_headers(self, methods: Sequence[str]) -> dict[str, str]:
        return {
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": ALLOWED_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }


def socket_origins(origins: Sequence[str], *, serves_page: bool) -> "Literal['*'] | list[str] | OwnOrigins":
    """The origins whose pages may open a socket, for python-socketio's `cors_allowed_origins`.

    "*" if `origins` has it; else `origins`, and the server's own origin too while the server serves the page.
    """
    if ANY_ORIGIN in origins:
        return "*"
    return OwnOrigins(origins) if serves_page else list(origins)


@dataclass(frozen=True)
class OwnOrigins:
    """The origins whose pages may open a socket while this server serves a page: the configured ones, and its own.

    Its own origin has the host of the request's Host header, and only where that is an IP address or localhost: an
    attacker can point any name at this server (DNS rebinding), and would then control both headers. So a server
    with a name, behind a proxy or not, has that name in CLIENT_URL; no forwarded header is trusted. REST needs no
    such rule: a browser shows every answer to a page of the same origin.
    """

    origins: Sequence[str]

    def __call__(self, origin: str | None, environ: Mapping[str, Any]) -> bool:
        """Called by python-engineio."""
        if origin is None:
            return False
        if origin in self.origins:
            return True
        host = str(environ.get("HTTP_HOST", "")).lower()
        return origin in (f"http://{host}", f"https://{host}") and _is_address(host)


def _is_address(host: str) -> bool:
    """Whether a Host header is localhost or an IP address, with a port or without."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) and not host.endswith("]") else host
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
