"""Session expiry: a socket stays open as long as its token is valid.

A socket whose token has expired or was revoked receives `session-ended` with the reason, is disconnected, and
closed soon after. Before that, the event `renew` moves it to a newer token of the same user.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from chatio.accounts.tokens import Claims, Tokens
from chatio.chat.socket_sessions import EndReason, SocketSession, SocketSessions
from chatio.errors import MissingToken, TokenMalformed, TokenOfAnother
from chatio.moderation.moderation import until_text
from chatio.realtime import Server
from chatio.stores.accounts import Ended
from chatio.telemetry.error_report import report
from handlers.chat.events import SessionEnded

INTERVAL_SECONDS: Final = 1.0  # between two checks
# Sessions ended before the loop runs other tasks: each takes 0.1 ms, and the logins of a rush hour all expire in
# the same second a day later.
ENDED_PER_TURN: Final = 10

logger = logging.getLogger("chatio.sessions")


class SessionExpiry:
    """The token of each socket of one namespace. Event loop only."""

    def __init__(
        self, server: Server, namespace: str, tokens: Tokens, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._server = server
        self._namespace = namespace
        self._tokens = tokens
        self._clock = clock
        self._sessions = SocketSessions()
        self._timer: asyncio.TimerHandle | None = None

    def verify(self, raw: object) -> Claims:
        """The claims of the token in `{"token": ...}`; `raw` is any input of a client. Raises `TokenError`."""
        token = raw.get("token") if isinstance(raw, dict) else None
        if token is None or token == "":
            raise MissingToken
        if not isinstance(token, str):
            raise TokenMalformed
        return self._tokens.verify(token)

    def add(self, sid: str, claims: Claims) -> None:
        """End `sid` when its token ends, which `verify` returned in the same turn of the loop.

        For the connect handler, which must neither await nor refuse from here on: a socket that does not join
        after all would stay in the table.
        """
        self._sessions[sid] = _session(claims)
        self._sessions.next_due = min(self._sessions.next_due, claims.expires_at)
        if self._timer is None:
            self._schedule()

    def discard(self, sid: str) -> None:
        self._sessions.pop(sid, None)

    def renew(self, sid: str, raw: object) -> int:
        """Move `sid` to the token in `raw`; return when that expires. Raises `TokenError`, and changes nothing."""
        session = _session(self.verify(raw))
        old = self._sessions.get(sid)
        if old is None or session.subject != old.subject:
            raise TokenOfAnother
        self._sessions[sid] = session
        self._sessions.next_due = min(self._sessions.next_due, session.expires_at)
        return session.expires_at

    async def end_revoked(self, subject: str, reason: EndReason, until: float = 0.0) -> None:
        """Close the sockets of `subject` whose tokens were just revoked; returns when the clients are told.

        `until`: when a ban ends, in seconds since the epoch.
        """
        theirs = self._sessions.where(lambda session: session.subject == subject)
        told = SessionEnded(reason, until_text(until) if reason is EndReason.BANNED and until else msgspec.UNSET)
        await self._end(theirs, told, self._is_revoked)

    def has_any_of(self, subject: str) -> bool:
        """Whether the user `subject` has a socket."""
        return bool(self._sessions.where(lambda session: session.subject == subject))

    async def end_elsewhere_revoked(self, ended: Ended, reason: str) -> None:
        """Revoke here what another server has revoked for `reason`, an `EndReason`, and end the sockets."""
        self._tokens.restore([ended])
        unknown = EndReason.SIGNED_OUT if ended.token_id else EndReason.PASSWORD_CHANGED  # of an older release
        await self.end_revoked(ended.subject, EndReason(reason) if reason in list(EndReason) else unknown)

    async def _end_due(self) -> None:
        try:
            await self._end(self._sessions.due(self._clock()), SessionEnded(EndReason.EXPIRED), self._is_due)
        except Exception as error:
            report(logger, "ending sessions", error)
        finally:
            self._timer = None
            if len(self._sessions):
                self._schedule()

    async def _end(
        self, sids: Iterable[str], told: SessionEnded, is_over: Callable[[SocketSession], bool]
    ) -> None:
        count, reason = 0, told.reason
        for sid in sids:
            session = self._sessions.get(sid)
            if session is None or not is_over(session):  # disconnected, or renewed meanwhile
                continue
            self._sessions.pop(sid, None)
            try:
                await self._server.dismiss(sid, self._namespace, "session-ended", msgspec.to_builtins(told))
            except Exception as error:
                report(logger, "ending a session", error)
                self._end_later(sid, session)
                continue
            count += 1
            if count % ENDED_PER_TURN == 0:
                await asyncio.sleep(0)
        if count:
            logger.info(
                "Sessions ended: %d sockets were closed, reason: %s",
                count,
                reason.value,
                extra={"event": "sessions_ended", "sockets": count, "reason": reason.value},
            )

    def _end_later(self, sid: str, session: SocketSession) -> None:
        """Try again with the next check: a socket must not outlive its token."""
        self._sessions[sid] = msgspec.structs.replace(session, expires_at=0)
        self._sessions.next_due = 0
        if self._timer is None:
            self._schedule()

    def _schedule(self) -> None:
        try:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL_SECONDS, self._start)
        except Exception as error:  # the next session sets it
            self._timer = None
            report(logger, "ending sessions", error)

    def _start(self) -> None:
        checking = self._end_due()
        try:
            self._server.eio.spawn(checking)
        except Exception as error:
            checking.close()
            self._schedule()
            report(logger, "ending sessions", error)

    def _is_revoked(self, session: SocketSession) -> bool:
        return self._tokens.is_revoked(session.subject, session.token_id, session.issued_at)

    def _is_due(self, session: SocketSession) -> bool:
        return session.expires_at <= self._clock()


def _session(claims: Claims) -> SocketSession:
    return SocketSession(claims.subject, claims.token_id, claims.issued_at, claims.expires_at)
