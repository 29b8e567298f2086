"""From where a request came, as far as proxies that the operator named can tell."""

from collections.abc import Iterable

from tornado.httputil import HTTPServerRequest

from chatio.addresses import client_address, origin_of, parse_networks


class Callers:
    """Knows which proxies are believed: addresses and CIDR blocks. ValueError for one that is neither."""

    def __init__(self, trusted_proxies: Iterable[str] = ()) -> None:
        self._trusted = parse_networks(trusted_proxies)

    def address(self, request: HTTPServerRequest) -> str:
        """The caller's own address; X-Forwarded-For counts only as far as trusted proxies have written it."""
        forwarded = request.headers.get("X-Forwarded-For", "")
        return client_address(request.remote_ip or "", forwarded, self._trusted)

    def origin(self, request: HTTPServerRequest) -> str:
        """What the caller is counted as: `address`, or its /64."""
        return origin_of(self.address(request))
