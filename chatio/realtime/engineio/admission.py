"""Admission: which requests are let in, decided before a byte of a body is read and before any 101.

A check refuses with 503 and `Retry-After`, after which the official clients come back on their own; after a
CONNECT_ERROR they would stay away until the page is loaded again.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from chatio.realtime import close_reasons
from chatio.realtime.close_reasons import CloseReason, protocol_violation
from chatio.realtime.engineio import http_errors
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.http_errors import HandshakeError
from chatio.realtime.options import AdmissionCheck, Refusal
from chatio.server.http.handler import HTTP_METHODS
from chatio.server.http.http1 import MAX_ARGUMENTS
from chatio.server.lifecycle import Lifecycle, Phase
from chatio.throttling.client_ip import rate_limit_key
from chatio.throttling.concurrency import ConcurrencyLimit
from chatio.throttling.loop_lag import LoopLagMonitor
from chatio.throttling.rate_limiter import RateLimiter

# A place may become free at any moment. The official clients wait 1 to 5 s of themselves (`reconnectionDelayMax`).
FULL_RETRY_SECONDS: Final = 5


class ConnectionLimit:
    """Connection limit, in all and per address (IPv6: per /64). None: no limit.

    A connection counts from its handshake until the server forgets it, whether or not its user ever signs in.
    """

    def __init__(self, most: int | None = None, most_per_address: int | None = None) -> None:
        self.total = 0
        self.most = most
        self._per_address = ConcurrencyLimit(most_per_address)

    @property
    def is_full(self) -> bool:
        """The server takes no connection more, from any address."""
        return self.most is not None and self.total >= self.most

    def __len__(self) -> int:
        """How many connections and addresses are counted: 0 when there is no connection."""
        return self.total + len(self._per_address)

    def admit(self, address: str, checks: Iterable[AdmissionCheck] = ()) -> Refusal | None:
        """Count one connection more of `address`, unless a limit is reached, or one of `checks` refuses.

        The first refusal is returned; the checks behind it are not asked, and count nothing.
        """
        if self.is_full:
            return Refusal(close_reasons.SERVER_FULL, FULL_RETRY_SECONDS)
        key = rate_limit_key(address)
        if not self._per_address.acquire(key):
            return Refusal(close_reasons.ADDRESS_FULL, FULL_RETRY_SECONDS)
        for check in checks:
            if (refusal := check.admit(address)) is not None:
                self._per_address.release(key)
                return refusal
        self.total += 1
        return None

    def release(self, address: str) -> None:
        self.total -= 1
        self._per_address.release(rate_limit_key(address))


class WaitCheck(NamedTuple):
    """Refuses a handshake for `reason` while `wait_seconds` of its client's address is not 0."""

    reason: CloseReason
    wait_seconds: Callable[[str], float]

    def admit(self, address: str) -> Refusal | None:
        wait = math.ceil(self.wait_seconds(address))
        return Refusal(self.reason, wait) if wait else None


def handshake_rate(limiter: RateLimiter) -> WaitCheck:
    """Handshake rate per address. A handshake that is refused does not count."""
    return WaitCheck(close_reasons.HANDSHAKE_RATE, lambda address: limiter.wait_after(rate_limit_key(address)))


def load_shedding(load: LoopLagMonitor) -> WaitCheck:
    """Load shedding: new connections wait while the server is overloaded."""
    return WaitCheck(close_reasons.OVERLOADED, lambda _address: load.retry_after_seconds)


def find_session(
    method: str,
    query: str,
    upgrade: str,
    sessions: Mapping[str, Connection],
    lifecycle: Lifecycle,
    *,
    sid_prefix: str = "",
) -> tuple[Connection | None, bool]:
    """The session that a GET or POST belongs to, None for a handshake, and whether it asks for a WebSocket.

    `upgrade`: the header of that name. Raises HandshakeError.
    """
    if method not in HTTP_METHODS:
        raise HandshakeError(http_errors.METHOD_UNKNOWN)
    argument = _arguments(query).get
    transport, sid = argument("transport"), argument("sid")
    if transport not in ("polling", "websocket"):
        raise HandshakeError(http_errors.UNKNOWN_TRANSPORT)
    if method not in ("GET", "POST"):
        raise HandshakeError(http_errors.BAD_METHOD)
    is_jsonp = argument("j")  # which IE 9 needed
    is_websocket = upgrade.lower() == "websocket"
    is_odd = is_websocket and method != "GET"  # RFC 6455, section 4.1
    if (transport == "websocket") != is_websocket or is_jsonp or is_odd:
        raise HandshakeError(http_errors.BAD_REQUEST)
    if sid:
        connection = sessions.get(sid)
        if connection is None or connection.closing:
            is_ours = sid.startswith(sid_prefix)
            raise HandshakeError(http_errors.UNKNOWN_SESSION if is_ours else http_errors.OTHER_SERVER)
        if transport == "polling" and connection.websocket is not None:
            raise HandshakeError(http_errors.BAD_REQUEST)
        return connection, is_websocket
    if argument("EIO") != "4":
        raise HandshakeError(http_errors.UNSUPPORTED_VERSION)
    if method != "GET":
        raise HandshakeError(http_errors.BAD_METHOD)
    if lifecycle.phase is Phase.DRAINING:
        raise HandshakeError(http_errors.SHUTTING_DOWN)
    return None, is_websocket


def begin_post(connection: Connection, announced_bytes: int) -> None:
    """Begin to receive a polling body: one at a time, and of an admitted length. Raises HandshakeError."""
    if connection.posting:
        connection.refuse(protocol_violation("two POSTs at once"))
        raise HandshakeError(http_errors.BAD_REQUEST)
    if announced_bytes > connection.max_input_bytes:
        connection.refuse(protocol_violation("polling body size"))
        raise HandshakeError(http_errors.TOO_LARGE)
    connection.posting = True


def _arguments(query: str) -> dict[str, str]:
    """The first value of each argument, as Latin-1 so that no client's bytes raise. Raises HandshakeError."""
    if "%" not in query and "+" not in query and query.count("&") < MAX_ARGUMENTS:
        return dict(pair.partition("=")[::2] for pair in reversed(query.split("&")))  # 5 µs less
    try:
        pairs = parse_qsl(query, keep_blank_values=True, encoding="latin-1", max_num_fields=MAX_ARGUMENTS)
    except ValueError:
        raise HandshakeError(http_errors.BAD_REQUEST) from None
    return dict(reversed(pairs))
