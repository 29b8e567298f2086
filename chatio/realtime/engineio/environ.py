"""The request of a handshake as a WSGI environ, which connect handlers and `get_environ` are given.

The library keeps some thirty entries for each connection, the Tornado handler among them, and with it
everything that handler refers to. Here what is the same for all is one object, strings that many clients
share (user agents, languages, origins) are kept once, and what only mattered to the handshake is left out.
"""

import sys
from typing import Any

from tornado.httputil import HTTPServerRequest

_NOT_KEPT = frozenset(
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
_WSGI_VERSION = (1, 0)


class NoInput:
    """The body of a handshake: none. Shared."""

    async def read(self, length: int | None = None) -> bytes:
        return b""


_NO_INPUT = NoInput()


def build_environ(request: HTTPServerRequest, remote_address: str) -> dict[str, Any]:
    """The environ of `request`.

    `REMOTE_ADDR` is `remote_address`, headers are HTTP_NAME, joined by commas.
    """
    intern = sys.intern  # interned strings live as long as somebody refers to them, and no longer
    http: Any = request.connection
    peer = http.context.address
    environ: dict[str, Any] = {
        "wsgi.input": _NO_INPUT,
        "wsgi.errors": sys.stderr,
        "wsgi.version": _WSGI_VERSION,
        "wsgi.url_scheme": intern(request.headers.get("X-Forwarded-Proto", request.protocol)),
        "REQUEST_METHOD": intern(request.method or "GET"),
        "QUERY_STRING": intern(request.query),
        "PATH_INFO": intern(request.path),
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": intern(request.version),
        "REMOTE_ADDR": intern(remote_address),
        "REMOTE_PORT": str(peer[1]) if isinstance(peer, tuple) and len(peer) > 1 else "0",
    }
    for name, value in request.headers.items():
        upper = name.upper()
        if upper not in _NOT_KEPT:
            environ[intern("HTTP_" + upper.replace("-", "_"))] = intern(value)
    return environ
