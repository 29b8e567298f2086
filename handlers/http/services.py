"""The parts that REST handlers work with."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from chatio.accounts.login_throttle import LoginThrottle
from chatio.accounts.tokens import Tokens
from chatio.accounts.users import UserRegistry
from chatio.chat.presence import Presence
from chatio.chat.socket_sessions import EndReason
from chatio.cluster.cluster import Cluster
from chatio.log.shared_log import SharedLog
from chatio.moderation.deletions import Deletions
from chatio.moderation.moderation import Moderation
from chatio.server.http.stream import Turns
from chatio.server.in_flight import InFlightRequests, UnreadAnswers
from chatio.server.lifecycle import Lifecycle
from chatio.stores.accounts import RevocationStore
from chatio.throttling.client_ip import TrustedProxies
from chatio.throttling.rate_limiter import AddressRateLimiter, PacedLimiter, RateLimiter
from handlers.http.cors import Cors
from handlers.http.origins import OriginPolicy

# Closes the sockets of a user whose tokens were just ended.
EndSockets = Callable[[str, EndReason], Awaitable[None]]
# Each reason for which the server is not ready, and whether it holds now. /readyz tells the first that does.
ReadinessChecks = Mapping[str, Callable[[], bool]]


@dataclass(frozen=True, kw_only=True)
class Services:
    """Made once by `handlers.application`, and given to each REST handler by the URL table."""

    lifecycle: Lifecycle
    requests: InFlightRequests
    origins: OriginPolicy
    cors: Cors
    trusted_proxies: TrustedProxies
    registry: UserRegistry
    tokens: Tokens
    revocations: RevocationStore  # of what `tokens` revokes
    log: SharedLog
    cluster: Cluster | None = None  # None: there can be no other server
    presence: Presence | None  # None: off
    moderation: Moderation
    deletions: Deletions
    is_registration_open: bool
    logins: LoginThrottle  # asked by every endpoint that checks a password
    registrations: AddressRateLimiter
    address_requests: PacedLimiter  # of clients that are not logged in
    user_requests: PacedLimiter
    unread: UnreadAnswers
    turn: Turns  # in which a client may make the server work
    exports: RateLimiter  # of one user's data
    end_sockets: EndSockets
    readiness: ReadinessChecks = field(default_factory=dict)
