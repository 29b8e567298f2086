"""Which socket is open on which token, and when that ends.

Pure bookkeeping: it knows no sockets and no clock. There is no index but that by sid, because nothing else is
frequent: going through 10,000 sessions takes about a millisecond, once for each log-out (whose log-in took 40) and
for each second in which somebody is due. A member takes 210 bytes so.
"""

import math
from collections.abc import Callable
from enum import StrEnum

import msgspec


class Reason(StrEnum):
    """Why a session ended before its socket was closed, as its client is told."""

    EXPIRED = "expired"
    SIGNED_OUT = "signed_out"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - says that one was
    ACCOUNT_DELETED = "account_deleted"


class Session(msgspec.Struct, frozen=True, gc=False):
    """The token that a socket is open on. Times are seconds since the epoch."""

    subject: str
    token_id: str
    issued_at: float
    expires_at: int


class Sessions:
    """Event loop only."""

    def __init__(self) -> None:
        self._by_sid: dict[str, Session] = {}
        self._next_due: float = math.inf  # or earlier than it is, after somebody left

    def __len__(self) -> int:
        return len(self._by_sid)

    def get(self, sid: str) -> Session | None:
        return self._by_sid.get(sid)

    def put(self, sid: str, session: Session) -> None:
        """`sid` is open on `session`, whatever it was on before."""
        self._by_sid[sid] = session
        self._next_due = min(self._next_due, session.expires_at)

    def discard(self, sid: str) -> None:
        self._by_sid.pop(sid, None)

    def where(self, holds: Callable[[Session], bool]) -> list[str]:
        """The sids whose session is such."""
        return [sid for sid, session in self._by_sid.items() if holds(session)]

    def due(self, now: float) -> list[str]:
        """The sids whose token has ended by `now`."""
        if now < self._next_due:
            return []
        due = [sid for sid, session in self._by_sid.items() if session.expires_at <= now]
        later = (session.expires_at for session in self._by_sid.values() if session.expires_at > now)
        # While there is one that is due and stays, the next look finds it.
        self._next_due = now if due else min(later, default=math.inf)
        return due
