"""Members: the clients that are in the chat. How a client joins, and which user it is until it leaves."""

import time
from collections.abc import Mapping
from typing import Any

from chatio.accounts.users import UserRegistry
from chatio.chat.message_rates import MessageRateLimits
from chatio.chat.messages import Author
from chatio.errors import StoreUnavailable, TokenError, TokenRevoked, UserUnknown, answer_to, codes
from chatio.log.recovery import resume_point
from chatio.log.shared_log import SharedLog
from chatio.realtime import CloseReason, ConnectRefused, LogStart, Server, TemporarilyUnavailable
from chatio.telemetry.counters import LabelledCounter
from chatio.throttling.concurrency import ConcurrencyLimit
from handlers.chat.presence_events import PresenceBroadcaster
from handlers.chat.rate_limits import JOIN_RATE
from handlers.chat.session_expiry import SessionExpiry

USER_FULL = CloseReason("person_full", "too many connections of one person")
LOG_BEHIND = CloseReason("log_behind", "the client has read more of the log than this server", 1013)


class Members:
    """The author of each sid of one namespace. Its `join` and `leave` are the handlers. Event loop only."""

    def __init__(
        self,
        server: Server,
        namespace: str,
        *,
        sessions: SessionExpiry,
        log: SharedLog,
        rates: MessageRateLimits,
        presence: PresenceBroadcaster | None,
        accounts: UserRegistry | None,
        history_on_connect: int,
        max_connections_per_person: int | None,
    ) -> None:
        """`accounts`: where each user must be found; None if a restart forgets them, and not their tokens."""
        server.on("connect", self.join, namespace)
        server.on("disconnect", self.leave, namespace)
        self.authors: dict[str, Author] = {}
        self.joined = LabelledCounter(["new", "recovered", "not_recovered"])
        self.join_errors = LabelledCounter(codes(TokenError))
        self._server = server
        self._namespace = namespace
        self._sessions = sessions
        self._log = log
        self._rates = rates
        self._presence = presence
        self._accounts = accounts
        self._history = history_on_connect
        self._connections = ConcurrencyLimit(max_connections_per_person)

    @property
    def people(self) -> int:
        """How many users are connected, however many connections each has."""
        return len(self._connections)

    async def join(self, sid: str, environ: Mapping[str, Any], auth: object = None) -> LogStart:
        """Let a client with a valid token join.

        Connection limit per user: the newest connection is refused, since an older one would reconnect. Raises
        `ConnectRefused` and `TemporarilyUnavailable`.
        """
        try:
            claims = self._sessions.verify(auth)
            if self._accounts is not None:
                await self._require_account(self._accounts, claims.subject)
                await self._catch_up(auth)
                claims = self._sessions.verify(auth)  # it may have been revoked meanwhile
            author = Author(claims.subject, claims.name)
            if not self._rates.joining(author.id):
                self._server.close_connection(sid, self._namespace, JOIN_RATE)
                raise ConnectRefused  # unheard: the connection is closed already
            if not self._connections.acquire(author.id):
                raise TemporarilyUnavailable(USER_FULL)
        except TokenError as error:
            answer = answer_to(error)
            self.join_errors[answer.code] += 1
            raise ConnectRefused(answer.socket_message, {"code": answer.code}) from None
        self._sessions.add(sid, claims)
        self.authors[sid] = author
        given = auth if isinstance(auth, dict) else {}
        start = resume_point(self._log.window, given.get("pid"), given.get("offset"), history=self._history)
        is_back = given.get("pid") is not None
        self.joined["recovered" if start.recovered else "not_recovered" if is_back else "new"] += 1
        if self._presence is not None:
            self._presence.connected(author)
        return LogStart(start.after, start.pid)

    async def _require_account(self, accounts: UserRegistry, user_id: str) -> None:
        """Raises `TokenRevoked` for a user who has no account any more, or is banned.

        While the database does not answer, clients with valid tokens join: they chat from memory.
        """
        try:
            user = await accounts.get(user_id)
        except UserUnknown:
            raise TokenRevoked from None
        except StoreUnavailable:
            return
        if user.banned_until > time.time():  # by another server, a moment ago
            raise TokenRevoked

    async def _catch_up(self, auth: object) -> None:
        """Read the log up to what the client has received from another server: else it would have that twice."""
        if isinstance(auth, dict):
            try:
                await self._log.catch_up(auth.get("pid"), auth.get("offset"))
            except StoreUnavailable:
                raise TemporarilyUnavailable(LOG_BEHIND) from None

    async def leave(self, sid: str, reason: str) -> None:
        self._sessions.discard(sid)
        author = self.authors.pop(sid, None)
        if author is None:
            return
        self._connections.release(author.id)
        if self._presence is not None:
            self._presence.disconnected(author)
