"""Socket sessions: the token that each socket was opened with, and when that expires.

Pure bookkeeping, without sockets and clock. The only index is by sid, because other look-ups are rare: a scan of
10,000 sessions takes about a millisecond, once for each logout (whose login took 40) and for each second in which
a session expires. A session takes 210 bytes.
"""

import math
from collections.abc import Callable
from enum import StrEnum

import msgspec


class EndReason(StrEnum):
    """Why the server ends a session, as its client is told."""

    EXPIRED = "expired"
    SIGNED_OUT = "signed_out"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - no password
    ACCOUNT_DELETED = "account_deleted"
    KICKED = "kicked"
    BANNED = "banned"


class SocketSession(msgspec.Struct, frozen=True, gc=False):
    """The token of a socket. Times are seconds since the epoch."""

    subject: str
    token_id: str
    issued_at: float
    expires_at: int


class SocketSessions(dict[str, SocketSession]):
    """The sessions of the open sockets, by sid. Event loop only.

    A session that is set must lower `next_due` to its own expiry.
    """

    next_due: float = math.inf  # the time before which no session expires

    def where(self, holds: Callable[[SocketSession], bool]) -> list[str]:
        """The sids of the sessions for which `holds` is true."""
        return [sid for sid, session in self.items() if holds(session)]

    def due(self, now: float) -> list[str]:
        """The sids whose token has expired at `now`."""
        if now < self.next_due:
            return []
        due = [sid for sid, session in self.items() if session.expires_at <= now]
        later = (session.expires_at for session in self.values() if session.expires_at > now)
        # A session that is due and not discarded is found by the next call.
        self.next_due = now if due else min(later, default=math.inf)
        return due
