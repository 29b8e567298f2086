"""Cross-origin headers (the Fetch standard, "HTTP extensions"), the same on every answer, errors included."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from chatio.config.settings import ANY_ORIGIN

ALLOWED_HEADERS = "content-type, authorization"
PREFLIGHT_SECONDS = 7200  # Chromium's most


class Cors(NamedTuple):
    """Which origins may read the answers."""

    origins: Sequence[str]

    def headers(self, origin: str | None) -> dict[str, str]:
        """What every answer to a request from `origin` carries; a stranger is told who may."""
        if ANY_ORIGIN in self.origins:
            return {"Access-Control-Allow-Origin": ANY_ORIGIN}
        allowed = origin if origin in self.origins else self.origins[0]
        return {"Access-Control-Allow-Origin": str(allowed), "Vary": "Origin"}

    def preflight_headers(self, methods: Sequence[str]) -> dict[str, str]:
        return {
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": ALLOWED_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }


def socket_origins(origins: Sequence[str], *, serves_page: bool) -> "str | list[str] | OwnOrigins":
    """Which origins may open a socket, as python-socketio takes them (`cors_allowed_origins`)."""
    if ANY_ORIGIN in origins:
        return ANY_ORIGIN
    return OwnOrigins(origins) if serves_page else list(origins)


class OwnOrigins(NamedTuple):
    """Which origins may open a socket while this server serves a page: those that it was told, and its own.

    Its own is the one whose host is the request's Host, and only where that is an address or localhost: any name
    can be made to lead to this server (DNS rebinding), and then both would be the stranger's. So a server with a
    name of its own, behind a proxy or not, has that name in CLIENT_URL; no forwarded header is believed.
    REST needs nothing of this: to a page of the same origin a browser shows every answer.
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
