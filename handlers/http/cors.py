"""Cross-origin headers (the Fetch standard, "HTTP extensions"), the same on every answer, errors included."""

import re
from collections.abc import Sequence
from typing import Final

from chatio.config.settings import ANY_ORIGIN
from handlers.http.origins import OriginPolicy

ALLOWED_HEADERS: Final = "content-type, authorization"
# What a page's code may read of an answer, besides its body.
EXPOSED_HEADERS: Final = "Retry-After, WWW-Authenticate, Allow"
PREFLIGHT_SECONDS: Final = 7200  # Chromium's most
MAX_ASKED_CHARS: Final = 1024  # of the names of headers in one preflight

# RFC 9110, 5.6.1 and 5.6.2: a list of tokens.
_HEADER_NAMES: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")


class Cors:
    """The headers that let pages of the allowed origins read the answers."""

    def __init__(self, policy: OriginPolicy) -> None:
        self._policy = policy
        self.default_headers = self.headers(None)  # of the answer to a request without an origin

    def headers(self, origin: str | None) -> dict[str, str]:
        """The headers of every answer to a request from `origin`; another origin is told an allowed one."""
        if self._policy.allows_any:
            return {"Access-Control-Allow-Origin": ANY_ORIGIN, "Access-Control-Expose-Headers": EXPOSED_HEADERS}
        allowed = origin if origin is not None and self._policy.names(origin) else self._policy.origins[0]
        return {
            "Access-Control-Allow-Origin": allowed,
            "Access-Control-Expose-Headers": EXPOSED_HEADERS,
            "Vary": "Origin",
        }

    def preflight_headers(self, methods: Sequence[str], origin: str | None, asked: str) -> dict[str, str]:
        """`asked`: the Access-Control-Request-Headers, which pages of an allowed origin may all send."""
        is_allowed = origin is not None and self._policy.names(origin) and len(asked) <= MAX_ASKED_CHARS
        headers = asked if is_allowed and _HEADER_NAMES.fullmatch(asked) else ALLOWED_HEADERS
        return {
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": headers,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }
