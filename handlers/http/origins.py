"""Origin policy: which pages and apps may use this server, over REST and in the chat.

A browser says where a request comes from: `Origin` with each POST, DELETE and WebSocket, and `Sec-Fetch-Site`
beside it. A program that is no browser says what it likes, and could do as much without either. So the policy is
about pages of other sites in the browsers of users, and about nothing else: docs/decisions/0016-origins.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chatio.config.settings import ANY_ORIGIN
from chatio.throttling.origins import OPAQUE, Origin, is_address, parse_origin, without_path


class OriginPolicy:
    """The origins of `CLIENT_URL`, and the server's own. Immutable."""

    def __init__(self, origins: Sequence[str]) -> None:
        self.allows_any = ANY_ORIGIN in origins
        self.origins = tuple(origins)
        self._names = {parsed.host for parsed in map(_parsed, origins) if parsed is not None}

    def names(self, origin: str) -> bool:
        """Whether `CLIENT_URL` has `origin`, in this or another spelling, or with a path behind it."""
        if self.allows_any or origin in self.origins:
            return True
        if not (origin.isascii() and origin.isprintable()):  # it stands in the answer
            return False
        parsed = _parsed(without_path(origin))
        return parsed is not None and str(parsed) in self.origins

    def admits(self, origin: str | None, host: str, fetch_site: str | None) -> bool:
        """Whether a request with these headers may act: False for one of a foreign page."""
        if self.allows_any or (origin is not None and self.names(origin)):
            return True
        if fetch_site == "cross-site":
            return False
        return origin is None or self._is_own(origin, host)

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether `origin` is this server's own, and not that of a page after DNS rebinding.

        The server's own origin has the host and port that the request asks for. So has that page's, whose name was
        made to lead here. But it is never https: the browser finds no certificate of its name here. Nor is it ws
        or wss, which no page has; nor an address, which is not looked up; nor a name of `CLIENT_URL`. Nor does a
        browser write a path behind it, as libraries do that send the whole URL, or no scheme, as Tyrus does.
        """
        text = without_path(origin)
        page = _parsed(text if "://" in text or text == OPAQUE else f"ws://{text}")
        if page is None or _parsed(f"{page.scheme}://{host}") != page:
            return False
        return text != origin or page.scheme != "http" or is_address(page.host) or page.host in self._names

    def __call__(self, origin: str | None, environ: Mapping[str, Any]) -> bool:
        """The policy as python-engineio asks for it: its `cors_allowed_origins`."""
        return self.admits(origin, str(environ.get("HTTP_HOST", "")), environ.get("HTTP_SEC_FETCH_SITE"))


def _parsed(origin: str) -> Origin | None:
    """The parts of a header; None for one that has none, and for one that is not ASCII."""
    if not origin.isascii():
        return None
    try:
        return parse_origin(origin)
    except ValueError:
        return None
