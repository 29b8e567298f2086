"""The address of the client that sent a request, behind the proxies that the operator trusts."""

from typing import NamedTuple

from tornado.httputil import HTTPServerRequest

from chatio.throttling.client_ip import Network, client_address, rate_limit_key


class ClientAddresses(NamedTuple):
    """Reads addresses from requests; X-Forwarded-For counts only as far as `trusted` proxies have written it."""

    trusted: tuple[Network, ...] = ()

    def address(self, request: HTTPServerRequest) -> str:
        forwarded = request.headers.get("X-Forwarded-For", "")
        return client_address(request.remote_ip or "", forwarded, self.trusted)

    def rate_limit_key(self, request: HTTPServerRequest) -> str:
        """What the client is counted as: its address, or that address's /64 (IPv6)."""
        return rate_limit_key(self.address(request))
