"""Cross-origin headers (the Fetch standard, "HTTP extensions"), the same on every answer, errors included."""

from collections.abc import Sequence
from typing import NamedTuple

from chatio.settings import ANY_ORIGIN

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
