"""Options of the seam, typed: a misspelt name fails mypy, and fails at start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from chatio.realtime.close_reasons import CloseReason
from chatio.server.lifecycle import Lifecycle
from chatio.throttling.client_ip import TrustedProxies

# All origins, these origins, or the origins for which a function of origin and environ answers True.
AllowedOrigins = Literal["*"] | Sequence[str] | Callable[[str | None, dict[str, Any]], bool]


class Refusal(NamedTuple):
    """Why a handshake is refused, and when the client should come back."""

    reason: CloseReason
    retry_after_seconds: int


class AdmissionCheck(Protocol):
    """One reason to refuse a handshake. Event loop only; must not raise."""

    def admit(self, address: str) -> Refusal | None:
        """None if the client at `address` (its own, not a proxy's) passes this check."""


@dataclass(frozen=True, kw_only=True)
class RealtimeOptions:
    """Every option of `create_server`, with its default. Times in seconds, sizes in bytes."""

    server_name: str = ""  # with which session ids begin, so that a proxy finds their server; "": without one
    takes_binary: bool = True  # else attachments of events are read as null, and none is kept
    cors_allowed_origins: AllowedOrigins | None = None  # None: the server's own origin only
    trusted_proxies: TrustedProxies = field(default_factory=TrustedProxies)  # whose X-Forwarded-For is believed
    ping_interval: float = 25.0  # Socket.IO's default
    ping_timeout: float = 20.0  # Socket.IO's default
    connect_timeout: float = 45.0  # for the first CONNECT of a connection; Socket.IO's default
    max_http_buffer_size: int = 1_000_000  # of one message or polling body; Socket.IO's default
    max_connections: int | None = None  # in all; None: unbounded
    max_connections_per_address: int | None = None  # of one IPv4 address or IPv6 /64; None: unbounded
    admission_checks: tuple[AdmissionCheck, ...] = ()  # asked in order before a handshake, behind the two limits
    input_bytes_per_second: float = float("inf")  # of one connection; a faster client is read more slowly
    input_burst_bytes: int = 0  # that one connection may send at once
    close_reasons: tuple[CloseReason, ...] = ()  # the application's own, counted beside the seam's
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
