"""Environ: the request of a handshake as a WSGI environ, which connect handlers and `get_environ` are given.

The library keeps some thirty entries for each connection, the Tornado handler among them, and with it every object
that the handler refers to. Here strings that many clients share (user agents, languages, origins) are kept once,
and headers that only matter to the handshake are left out.
"""

import sys
from typing import Any, Final

from tornado.httputil import HTTPServerRequest

_NOT_KEPT: Final = frozenset(
    {
        "CONNECTION",
        "CONTENT-LENGTH",
        "CONTENT-TYPE",
        "KEEP-ALIVE",
        "SEC-WEBSOCKET-EXTENSIONS",
        "SEC-WEBSOCKET-KEY",
        "SEC-WEBSOCKET-PROTOCOL",
        "SEC-WEBSOCKET-VERSION",
        "TRANSFER-ENCODING",
        "UPGRADE",
    }
)


def build_environ(request: HTTPServerRequest, client_address: str) -> dict[str, Any]:
    """The environ of `request`. `REMOTE_ADDR` is `client_address`; headers are HTTP_NAME, joined by commas."""
    intern = sys.intern  # an interned string lives as long as some object refers to it, and no longer
    environ: dict[str, Any] = {
        "wsgi.url_scheme": intern(request.headers.get("X-Forwarded-Proto", request.protocol)),
        "REQUEST_METHOD": intern(request.method or "GET"),
        "QUERY_STRING": intern(request.query),
        "PATH_INFO": intern(request.path),
        "REMOTE_ADDR": intern(client_address),
    }
    for name, value in request.headers.items():
        upper = name.upper()
        if upper not in _NOT_KEPT:
            environ[intern("HTTP_" + upper.replace("-", "_"))] = intern(value)
    return environ
