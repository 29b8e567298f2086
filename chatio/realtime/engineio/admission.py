"""Who is let in at all: asked at each handshake, before there is a session or a 101.

A refusal is a 503 with `Retry-After`, which the official clients answer by coming back on their own. It is never
a CONNECT_ERROR: after one they stay away until the page is loaded again.
"""

import math
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from chatio.throttling.client_ip import rate_limit_key
from chatio.throttling.concurrency import ConcurrencyLimit
from chatio.throttling.rate_limiter import RateLimiter

# A place may become free at any moment. The official clients wait 1 to 5 s of themselves (`reconnectionDelayMax`).
FULL_RETRY_SECONDS: Final = 5


class Refusal(NamedTuple):
    """Why a handshake is refused, in words for the log and the client alike, and when to come back."""

    reason: str
    retry_after_seconds: int


class AdmissionCheck(Protocol):
    """One reason to refuse. Asked on the event loop, and must not raise."""

    def admit(self, address: str) -> Refusal | None:
        """None if a client at `address` (a true one, not a proxy's) may have a connection.

        None is taken at its word only if the gates behind it say so too.
        """


class ConnectionLimit:
    """The connections that are open, in all and at each address; itself the first gate. None: no bound.

    A connection is counted from its handshake until it is forgotten, whether or not it ever says who it is.
    """

    def __init__(self, *, most: int | None = None, most_per_address: int | None = None) -> None:
        self.total = 0
        self._most = most
        self._at = ConcurrencyLimit(most_per_address)

    @property
    def most(self) -> int | None:
        return self._most

    @property
    def is_full(self) -> bool:
        """Nobody more is let in, from wherever."""
        return self._most is not None and self.total >= self._most

    def __len__(self) -> int:
        """How many connections and addresses are counted: 0 when nobody is here."""
        return self.total + len(self._at)

    def admit(self, address: str) -> Refusal | None:
        if self.is_full:
            return Refusal("too many connections", FULL_RETRY_SECONDS)
        if not self._at.has_capacity(rate_limit_key(address)):
            return Refusal("too many connections from one address", FULL_RETRY_SECONDS)
        return None

    def acquire(self, address: str) -> None:
        self.total += 1
        self._at.acquire(rate_limit_key(address))

    def release(self, address: str) -> None:
        self.total -= 1
        self._at.release(rate_limit_key(address))


class HandshakeRate:
    """The gate that holds each address to a rate of handshakes. One that is refused does not count."""

    def __init__(self, throttle: RateLimiter) -> None:
        self._throttle = throttle

    def admit(self, address: str) -> Refusal | None:
        wait = self._throttle.wait_after(rate_limit_key(address))
        return Refusal("too many handshakes from one address", math.ceil(wait)) if wait else None


class LoadShedding:
    """The gate that is shut while everybody new is to wait: for so many seconds as `wait` answers; 0: come in."""

    def __init__(self, wait: Callable[[], int]) -> None:
        self._wait = wait

    def admit(self, address: str) -> Refusal | None:
        wait = self._wait()
        return Refusal("overloaded", wait) if wait else None


def first_refusal(gates: Iterable[AdmissionCheck], address: str) -> Refusal | None:
    """What the first of `gates` that refuses says; those behind it are not asked, and count nothing."""
    return next((refusal for gate in gates if (refusal := gate.admit(address)) is not None), None)
