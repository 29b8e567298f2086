"""The /chat namespace: connect, send-message, typing, renew, disconnect."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import socketio

from chatio.chat.message_log import Entry, MessageLog
from chatio.chat.message_rates import MessageRateLimits
from chatio.chat.messages import Author, fit_id, stamp
from chatio.chat.presence import Presence
from chatio.chat.recovery import resume_point
from chatio.errors import (
    ChatioError,
    MessageRejected,
    RateLimited,
    ShuttingDown,
    Temporary,
    TokenError,
    answer_to,
    codes,
)
from chatio.realtime import Server, TemporarilyUnavailable, ack_requested
from chatio.server.in_flight import RETRY_AFTER_SECONDS
from chatio.telemetry.counters import LabelledCounter
from chatio.throttling.concurrency import ConcurrencyLimit
from handlers.chat import events
from handlers.chat.presence_events import PresenceBroadcaster
from handlers.chat.rate_limits import RateLimitGuard
from handlers.chat.session_expiry import SessionExpiry

NAMESPACE = "/chat"

# Counted where they are handled, or not a client's; every other event counts before it is looked at.
_COUNTED_ELSEWHERE = frozenset({"connect", "disconnect", "send-message", "renew"})


def receive_message(entry: Entry) -> list[object]:
    """What every client receives for an entry of the log: the event, the message, and its offset."""
    return ["receive-message", msgspec.to_builtins(entry.message), entry.offset]


def _accepted(entry: Entry) -> Any:
    accepted = events.Accepted(True, entry.message.id, entry.offset, entry.message.sent_at)
    return msgspec.structs.asdict(accepted)  # flat: 0.2 µs, `to_builtins` takes 0.5


def _cause(error: ChatioError) -> events.Cause:
    answer = answer_to(error)
    later = error.retry_after_seconds if isinstance(error, Temporary) else msgspec.UNSET
    return events.Cause(answer.code, answer.socket_message or answer.message, later)


class ChatNamespace(socketio.AsyncNamespace):
    """What a client may do in the chat. Called by python-socketio, on the event loop."""

    server: Any  # set by python-socketio when the namespace is registered

    def __init__(
        self,
        server: Server,
        *,
        membership: SessionExpiry,
        log: MessageLog,
        message_max_chars: int,
        presence: Presence | None,
        turns: MessageRateLimits,
        history_on_connect: int,
        slow_client_seconds: float,
        max_connections_per_person: int | None,
    ) -> None:
        super().__init__(NAMESPACE)
        server.register_namespace(self)
        self.fanout = server.create_fanout(
            NAMESPACE, log, receive_message, slow_client_seconds=slow_client_seconds
        )
        self._membership = membership
        self._log = log
        self._message_max_chars = message_max_chars
        self._history = history_on_connect
        self._company = None if presence is None else PresenceBroadcaster(server, NAMESPACE, presence)
        self._pacing = RateLimitGuard(server, NAMESPACE, turns)
        self._authors: dict[str, Author] = {}
        self._pages = ConcurrencyLimit(max_connections_per_person)
        self.joined = LabelledCounter(["new", "recovered", "not_recovered"])
        self.join_refusals = LabelledCounter(codes(TokenError))
        self.message_refusals = LabelledCounter(codes(MessageRejected, Temporary))
        self.repeated = 0  # messages that the log had already
        self._events: dict[str, Callable[..., Awaitable[Any]]] = {
            "connect": self._connect,
            "disconnect": self._disconnect,
            "send-message": self._send_message,
            "typing": self._typing,
            "renew": self._renew,
        }

    @property
    def people(self) -> int:
        """How many people are in, however many connections each has."""
        return len(self._pages)

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Python-socketio's way in: `event` by its name on the wire, first of `args` is the sid."""
        if event not in _COUNTED_ELSEWHERE and not self._pacing.takes(args[0], self._authors[args[0]]):
            return self.server.not_handled
        handler = self._events.get(event)
        return await handler(*args) if handler else self.server.not_handled

    async def _connect(self, sid: str, environ: Mapping[str, Any], auth: object = None) -> None:
        """Let in who brings a sound token, also when this registry does not know them: it may have restarted."""
        try:
            claims = self._membership.claims(auth)
            author = Author(claims.subject, claims.name)
            if not self._pacing.lets_in(sid, author):
                raise socketio.exceptions.ConnectionRefusedError  # to nobody: its connection is closed
            if not self._pages.has_capacity(author.id):
                raise TemporarilyUnavailable(
                    "too many connections of one person"
                )  # the newest: the others would come back
            self._membership.enter(sid, claims)
        except TokenError as error:
            answer = answer_to(error)
            self.join_refusals.increment(answer.code)
            raise socketio.exceptions.ConnectionRefusedError(
                answer.socket_message, {"code": answer.code}
            ) from None
        self._pages.acquire(author.id)
        self._authors[sid] = author
        named = auth if isinstance(auth, dict) else {}
        start = resume_point(self._log, named.get("pid"), named.get("offset"), history=self._history)
        self.server.follow(sid, NAMESPACE, after=start.after, pid=start.pid)
        is_back = named.get("pid") is not None
        self.joined.increment("recovered" if start.recovered else "not_recovered" if is_back else "new")
        if self._company is not None:
            self._company.enter(author)

    async def _disconnect(self, sid: str, reason: str) -> None:
        self._membership.leave(sid)
        author = self._authors.pop(sid, None)
        if author is None:
            return
        self._pages.release(author.id)
        if self._company is not None:
            self._company.leave(author)

    async def _send_message(self, sid: str, raw: object = None, *_: object) -> Any:
        author = self._authors[sid]
        if (sent := self._log.find_duplicate(author.id, fit_id(raw))) is not None:
            # It has its ack whatever its author's pace is: who is refused takes a message for lost.
            self._pacing.takes(sid, author)
            self.repeated += 1
            return _accepted(sent)
        if self.server.is_leaving:
            return await self._turn_away(sid, raw)
        try:
            await self._pacing.wait_for_turn(sid, author)
            if sid not in self._authors:  # the session ended while it waited
                return None
            message = stamp(raw, author, max_chars=self._message_max_chars)
        except (MessageRejected, RateLimited) as error:
            return await self._reject(sid, raw, error)
        if self.server.is_leaving:  # it began while the message waited for its turn
            return await self._turn_away(sid, raw)
        entry, is_new = self._log.append(message)
        if is_new:
            self.fanout.wake()
        else:
            self.repeated += 1
        return _accepted(entry)

    async def _typing(self, sid: str, *_: object) -> None:
        if self._company is not None:
            self._company.typing(self._authors[sid], sid)

    async def _renew(self, sid: str, raw: object = None, *_: object) -> Any:
        """Stay, on a newer token of the same person; whatever else it is, all stays as it was."""
        try:
            self._pacing.require(sid, self._authors[sid])
            return msgspec.to_builtins(events.Renewed(True, self._membership.renew(sid, raw)))
        except (TokenError, RateLimited) as error:
            refusal = msgspec.to_builtins(events.Refused(False, _cause(error)))
        if ack_requested():
            return refusal
        await self.emit("renew-rejected", refusal, to=sid)
        return None

    async def _reject(self, sid: str, raw: object, error: ChatioError) -> Any:
        """Tell the sender, and nobody else: in the ack if one was asked for, else by an event."""
        cause = _cause(error)
        self.message_refusals.increment(cause.code)
        if ack_requested():
            return msgspec.to_builtins(events.Refused(False, cause))
        await self.emit(
            "message-rejected", msgspec.to_builtins(events.MessageRejected(False, cause, fit_id(raw))), to=sid
        )
        return None

    async def _turn_away(self, sid: str, raw: object) -> object:
        """Take no message any more, and let its sender go to the next server at once.

        No ack, not even a refusal: clients with `retries` send again what was not acknowledged, and only that.
        """
        error = ShuttingDown(retry_after_seconds=RETRY_AFTER_SECONDS)
        if ack_requested():
            self.message_refusals.increment(answer_to(error).code)
        else:
            await self._reject(sid, raw, error)
        self.server.let_go(sid, NAMESPACE)
        return self.server.not_handled
