"""How long a socket may stay: on a token that lives, and no longer.

A socket whose token has ended is told `session-ended` with the reason, disconnected, and closed soon after. It may
move to a newer token of the same person beforehand, with the event `renew`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Final

from chatio.accounts.tokens import Claims, Tokens
from chatio.chat.socket_sessions import Reason, SocketSession, SocketSessions
from chatio.errors import MissingToken, TokenMalformed, TokenOfAnother, TokenRevoked
from chatio.realtime import Server
from chatio.telemetry.error_report import report

GRAIN_SECONDS: Final = 1.0
# Ended in one turn of the loop: 0.1 ms each, and those of a rush hour all end in one second a day later.
ENDED_PER_TURN: Final = 10

logger = logging.getLogger("chatio.sessions")


class SessionExpiry:
    """The sessions of the sockets of one namespace. Event loop only."""

    def __init__(
        self, server: Server, namespace: str, tokens: Tokens, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._server = server
        self._namespace = namespace
        self._tokens = tokens
        self._clock = clock
        self._sessions = SocketSessions()
        self._timer: asyncio.TimerHandle | None = None

    def claims(self, raw: object) -> Claims:
        """What the token in `{"token": ...}`, anything that a client may send, says. Raises `TokenError`."""
        token = raw.get("token") if isinstance(raw, dict) else None
        if token is None or token == "":
            raise MissingToken
        if not isinstance(token, str):
            raise TokenMalformed
        return self._tokens.verify(token)

    def enter(self, sid: str, claims: Claims) -> None:
        """`sid` is in, on this token. Raises `TokenRevoked` if it was ended since it was verified.

        For the connect handler, which refuses and awaits nothing from here on: what ends the token ends the socket
        from now on, and one that is not let in after all would stay in the books.
        """
        session = _session(claims)
        if self._is_revoked(session):
            raise TokenRevoked
        self._sessions.put(sid, session)
        if self._timer is None:
            self._tick_later()

    def leave(self, sid: str) -> None:
        self._sessions.discard(sid)

    def renew(self, sid: str, raw: object) -> int:
        """Move `sid` to the token in `raw`, and answer when that expires.

        Raises `TokenError`, and then everything stays as it was.
        """
        session = _session(self.claims(raw))
        old = self._sessions.get(sid)
        if old is None or session.subject != old.subject:
            raise TokenOfAnother
        self._sessions.put(sid, session)
        return session.expires_at

    async def end_revoked(self, subject: str, reason: Reason) -> None:
        """Close the sockets of `subject` whose tokens were just ended; returns when they have been told."""
        theirs = self._sessions.where(lambda session: session.subject == subject)
        await self._end(theirs, reason, self._is_revoked)

    async def _end_due(self) -> None:
        try:
            await self._end(self._sessions.due(self._clock()), Reason.EXPIRED, self._is_due)
        except Exception as error:
            report(logger, "ending sessions", error)
        finally:
            self._timer = None
            if len(self._sessions):
                self._tick_later()

    async def _end(self, sids: Iterable[str], reason: Reason, is_over: Callable[[SocketSession], bool]) -> None:
        count = 0
        for sid in sids:
            session = self._sessions.get(sid)
            if session is None or not is_over(session):  # left, or on another token by now
                continue
            self._sessions.discard(sid)
            await self._server.dismiss(sid, self._namespace, "session-ended", {"reason": reason.value})
            count += 1
            if count % ENDED_PER_TURN == 0:
                await asyncio.sleep(0)
        if count:
            logger.info(
                "%d sockets were closed, since their tokens had ended: %s",
                count,
                reason.value,
                extra={"event": "sessions_ended", "sockets": count, "reason": reason.value},
            )

    def _tick_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(GRAIN_SECONDS, self._tick)

    def _tick(self) -> None:
        self._server.eio.spawn(self._end_due())

    def _is_revoked(self, session: SocketSession) -> bool:
        return self._tokens.is_revoked(session.subject, session.token_id, session.issued_at)

    def _is_due(self, session: SocketSession) -> bool:
        return session.expires_at <= self._clock()


def _session(claims: Claims) -> SocketSession:
    return SocketSession(claims.subject, claims.token_id, claims.issued_at, claims.expires_at)
