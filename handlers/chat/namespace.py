"""The /chat namespace: the handlers of what its members send."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import socketio

from chatio.accounts.users import UserRegistry
from chatio.chat.changes import MessageChanges
from chatio.chat.message_rates import MessageRateLimits
from chatio.chat.messages import Author, content_of, fit_id, kept_id, stamp
from chatio.chat.presence import Presence
from chatio.chat.voices import Voices
from chatio.cluster.cluster import Cluster
from chatio.errors import (
    ChatioError,
    MessageRejected,
    Muted,
    RateLimited,
    ShuttingDown,
    Temporary,
    TokenError,
    codes,
)
from chatio.log.message_log import Entry
from chatio.log.shared_log import SharedLog
from chatio.log.waiting import Unanswered
from chatio.realtime import NO_ACK, CloseReason, Server, ack_requested
from chatio.server.lifecycle import Lifecycle, Phase
from chatio.stores.records import Kind
from chatio.telemetry.counters import LabelledCounter
from handlers.chat import events
from handlers.chat.members import LOG_BEHIND, USER_FULL, Members
from handlers.chat.presence_events import PresenceBroadcaster
from handlers.chat.protocol import FROM_CLIENT
from handlers.chat.rate_limits import FLOOD, JOIN_RATE, RateLimitGuard
from handlers.chat.session_expiry import SessionExpiry

NAMESPACE = "/chat"
STORE_SILENT = CloseReason("store_silent", "the store did not say whether it has a message", 1013)
CLOSE_REASONS = (USER_FULL, JOIN_RATE, FLOOD, STORE_SILENT, LOG_BEHIND)

_Change = Callable[..., Awaitable["asyncio.Future[Entry]"]]


def event_of(entry: Entry) -> list[object] | None:
    """The event that delivers an entry of the log: its name, its content, and the offset; None if it is void."""
    message = entry.message
    if entry.kind is Kind.POSTED:
        return ["receive-message", msgspec.to_builtins(message), entry.offset]
    if entry.kind is Kind.EDITED:
        edited = {"id": message.id, "content": message.content, "edited_at": message.edited_at}
        return ["message-edited", edited, entry.offset]
    if entry.kind is Kind.DELETED:
        return ["message-deleted", {"id": message.id, "deleted_at": message.edited_at}, entry.offset]
    return None


def _accepted(entry: Entry) -> Any:
    """The ack of a message or a change that is in the log."""
    message = entry.message
    if entry.kind is Kind.POSTED:
        ack = events.Accepted(True, message.id, entry.offset, message.sent_at)
        return msgspec.structs.asdict(ack)  # flat: 0.2 µs, `to_builtins` takes 0.5
    time = "deleted_at" if entry.kind is Kind.DELETED else "edited_at"
    return {"ok": True, "id": message.id, "offset": entry.offset, time: message.edited_at}


class ChatNamespace(socketio.AsyncNamespace):
    """Handles the events of its members. Event loop only."""

    server: Any  # set by python-socketio when the namespace is registered

    def __init__(
        self,
        server: Server,
        *,
        lifecycle: Lifecycle,
        sessions: SessionExpiry,
        log: SharedLog,
        message_max_chars: int,
        presence: Presence | None,
        cluster: Cluster | None,
        limits: MessageRateLimits,
        history_on_connect: int,
        slow_client_seconds: float,
        max_connections_per_person: int | None,
        changes: MessageChanges,
        accounts: UserRegistry | None,
        voices: Voices,
    ) -> None:
        """`accounts`: where each user must be found; None if a restart forgets them, and not their tokens."""
        super().__init__(NAMESPACE)
        server.register_namespace(self)
        self.fanout = server.create_fanout(
            NAMESPACE, log.window, event_of, slow_client_seconds=slow_client_seconds
        )
        self._lifecycle = lifecycle
        self._sessions = sessions
        self._voices = voices
        self._log = log
        self.changes = changes
        log.follower.on_new = self.fanout.wake
        self._message_max_chars = message_max_chars
        self._presence = None if presence is None else PresenceBroadcaster(server, NAMESPACE, presence, cluster)
        self._rates = limits
        self._limits = RateLimitGuard(server, NAMESPACE, limits)
        self.members = Members(
            server,
            NAMESPACE,
            sessions=sessions,
            log=log,
            rates=limits,
            presence=self._presence,
            accounts=accounts,
            history_on_connect=history_on_connect,
            max_connections_per_person=max_connections_per_person,
        )
        self._authors = self.members.authors
        self.message_rejections = LabelledCounter(codes(MessageRejected, Temporary))
        for event in FROM_CLIENT:
            if event.name != "CONNECT" and (not event.is_presence or presence is not None):
                server.on(event.name, getattr(self, "on_" + event.name.replace("-", "_")), NAMESPACE)

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Answer an event that has no handler; the first of `args` is the sid. Called by python-socketio."""
        return self._limited(args[0]) or self.server.not_handled

    def _limited(self, sid: str) -> Any:
        """Count an event of `sid`; the rejection if that is too often, else None."""
        try:
            self._limits.acquire_event(sid, self._authors[sid])
        except RateLimited as error:
            return msgspec.to_builtins(events.Rejected(False, events.cause(error)))
        return None

    async def on_send_message(self, sid: str, raw: object = None, *_: object) -> Any:
        author = self._authors[sid]
        try:
            if (sent := self._log.find(author.id, kept_id(raw, author.id), content_of(raw))) is not None:
                # Acknowledged even past the rate limit: the client would take the message for lost.
                self._limits.try_event(sid, author)
                return _accepted(sent) if isinstance(sent, Entry) else self._answer_later(sid, raw, sent)
            if not await self._acquire(sid, author):
                return None
            if author.id in self._voices:  # after every wait: a mute counts from then on
                self._voices.require(author.id)
            message = stamp(raw, author, max_chars=self._message_max_chars)
            accepting = self._log.accept(message)
            if accepting.done():  # always, in memory
                return _accepted(accepting.result())
        except (MessageRejected, Temporary) as error:
            return await self._reject(sid, raw, error)
        return self._answer_later(sid, raw, accepting)

    async def on_edit_message(self, sid: str, raw: object = None, *_: object) -> Any:
        return await self._change(sid, raw, self.changes.edit)

    async def on_delete_message(self, sid: str, raw: object = None, *_: object) -> Any:
        return await self._change(sid, raw, self.changes.delete)

    async def _change(self, sid: str, raw: object, change: _Change) -> Any:
        author = self._authors[sid]
        try:
            if not await self._acquire(sid, author):
                return None
            accepting = await change(raw, by=author.id)
            if accepting.done():
                return _accepted(accepting.result())
        except (MessageRejected, Temporary) as error:
            return await self._reject(sid, raw, error, is_change=True)
        return self._answer_later(sid, raw, accepting, is_change=True)

    async def _acquire(self, sid: str, author: Author) -> bool:
        """Wait until a message or a change may be accepted, and count it; False: the client is gone meanwhile.

        Raises `RateLimited` and `ShuttingDown`.
        """
        self._require_serving()
        if wait := self._rates.message(sid, author.id):
            await self._limits.wait_for_message(sid, author, wait)
            if sid not in self._authors:
                return False
            self._require_serving()
        return True

    async def _answer_later(
        self, sid: str, raw: object, accepting: "asyncio.Future[Entry]", *, is_change: bool = False
    ) -> Any:
        """The ack of a message that waits for the journal. A sender without a true answer is disconnected."""
        try:
            return _accepted(await accepting)
        except Unanswered:
            self.server.close_connection(sid, NAMESPACE, STORE_SILENT)
            return self.server.not_handled
        except (MessageRejected, Temporary) as error:
            return await self._reject(sid, raw, error, is_change=is_change) if sid in self._authors else None

    async def on_typing(self, sid: str, *_: object) -> Any:
        rejection = self._limited(sid)
        if rejection is None and self._presence is not None:
            with contextlib.suppress(Muted):  # a muted user types for no other
                self._voices.require(self._authors[sid].id)
                self._presence.typing(self._authors[sid], sid)
        return rejection

    async def on_renew(self, sid: str, raw: object = None, *_: object) -> Any:
        """Move the socket to a newer token of the same user; with any other token it keeps its own."""
        try:
            self._limits.acquire_event(sid, self._authors[sid])
            return msgspec.to_builtins(events.Renewed(True, self._sessions.renew(sid, raw)))
        except (TokenError, RateLimited) as error:
            rejection = msgspec.to_builtins(events.Rejected(False, events.cause(error)))
        if ack_requested():
            return rejection
        await self.emit("renew-rejected", rejection, to=sid)
        return None

    async def _reject(self, sid: str, raw: object, error: ChatioError, *, is_change: bool = False) -> Any:
        """Tell the sender only: in the ack if it asked for one, else by an event.

        Draining: disconnect the sender, which sends the message again to the next server. It gets no ack, not even
        an error: clients with `retries` send again what was not acknowledged, and only that.
        """
        cause = events.cause(error)
        self.message_rejections[cause.code] += 1
        is_acked = ack_requested()
        if not is_acked and is_change:
            change = events.ChangeRejected(False, cause, fit_id(raw))
            await self.emit("change-rejected", msgspec.to_builtins(change), to=sid)
        elif not is_acked:
            message = events.MessageRejected(False, cause, fit_id(raw))
            await self.emit("message-rejected", msgspec.to_builtins(message), to=sid)
        if isinstance(error, ShuttingDown):
            self.server.drain_now(sid, NAMESPACE)
            return NO_ACK
        return msgspec.to_builtins(events.Rejected(False, cause)) if is_acked else None

    def _require_serving(self) -> None:
        """Raises `ShuttingDown` while the process drains."""
        if self._lifecycle.phase is not Phase.SERVING:
            raise ShuttingDown
