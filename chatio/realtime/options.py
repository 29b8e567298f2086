"""Options of the seam, typed: a misspelt name fails mypy, and fails at start."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from chatio.realtime.engineio.admission import AdmissionCheck
from chatio.realtime.engineio.input_rate import Pace
from chatio.throttling.client_ip import Network

# All origins, these origins, or the origins for which a function of origin and environ answers True.
AllowedOrigins = Literal["*"] | Sequence[str] | Callable[[str, Mapping[str, Any]], bool]


@dataclass(frozen=True, kw_only=True)
class RealtimeOptions:
    """Every option of `create_server` and `create_engine`, with its default. Times in seconds, sizes in bytes."""

    namespaces: tuple[str, ...] = ("/",)  # that clients may connect to, beside those with handlers
    cors_allowed_origins: AllowedOrigins | None = None  # None: the server's own origin only
    trusted_proxies: tuple[Network, ...] = ()  # whose X-Forwarded-For is believed
    ping_interval: float = 25.0  # Socket.IO's default
    ping_timeout: float = 20.0  # Socket.IO's default
    connect_timeout: float = 45.0  # for the first CONNECT of a connection; Socket.IO's default
    max_http_buffer_size: int = 1_000_000  # of one message or polling body; Socket.IO's default
    max_connections: int | None = None  # in all; None: unbounded
    max_connections_per_address: int | None = None  # for one IPv4 address or IPv6 /64
    admission_checks: tuple[AdmissionCheck, ...] = ()  # asked in order before a handshake, behind the two limits
    input_rate: Pace = field(default_factory=Pace)  # of each connection
