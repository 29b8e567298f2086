"""Every event of the chat, in one table: the namespace dispatches by it, the AsyncAPI document is made from it."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from chatio.chat.messages import Author, Deletion, Draft, Edit
from chatio.chat.presence import Change
from chatio.errors import (
    TOKEN_ERRORS,
    ChangeTooLate,
    ChatioError,
    IdReused,
    MessageDeleted,
    MessageEmpty,
    MessageInvalid,
    MessageTooLong,
    MessageUnknown,
    Muted,
    NotYourMessage,
    Overloaded,
    RateLimited,
    ShuttingDown,
    StoreFull,
    StoreUnavailable,
    TokenOfAnother,
)
from chatio.stores.records import Message
from handlers.chat import events
from handlers.http.responses import Offset

_OF_MESSAGES: Final = (
    *(MessageInvalid, MessageEmpty, MessageTooLong, IdReused, MessageDeleted, Muted, RateLimited),
    *(Overloaded, StoreUnavailable, StoreFull),
)
_OF_DELETIONS: Final = (
    *(MessageUnknown, MessageDeleted, NotYourMessage, ChangeTooLate, RateLimited),
    *(Overloaded, StoreUnavailable, StoreFull),
)
_OF_EDITS: Final = (MessageInvalid, MessageEmpty, MessageTooLong, Muted, *_OF_DELETIONS)
_OF_RENEWAL: Final = (*TOKEN_ERRORS, TokenOfAnother, RateLimited)


class Event(NamedTuple):
    """One event in one direction. `key` names it in the document, `name` on the wire; `takes` are its arguments.

    `replies` are keys of its answers; `codes` are the errors that it may carry.
    """

    key: str
    name: str
    summary: str
    takes: Sequence[Any] = ()
    replies: Sequence[str] = ()
    codes: Sequence[type[ChatioError]] = ()
    # Documented only where presence is on. From a client, the general rate limit of events applies to it.
    is_presence: bool = False


FROM_CLIENT: Final = (
    Event("connect", "CONNECT", "Join the chat", [events.ConnectAuth], ["connected", "connect-error"]),
    Event("emit.send-message", "send-message", "Send a message", [Draft], ["ack.accepted", "ack.rejected"]),
    Event("emit.edit-message", "edit-message", "Edit a message", [Edit], ["ack.edited", "ack.not-edited"]),
    Event(
        "emit.delete-message", "delete-message", "Delete a message", [Deletion], ["ack.deleted", "ack.not-deleted"]
    ),
    Event("emit.renew", "renew", "Use a newer token", [events.Renewal], ["ack.renewed", "ack.not-renewed"]),
    Event(
        "emit.typing",
        "typing",
        "Tell the other users that this one is typing",
        replies=["ack.typing", "ack.not-typing"],
        is_presence=True,
    ),
)
FROM_SERVER: Final = (
    Event("on.receive-message", "receive-message", "A message of any user; its offset", [Message, Offset]),
    Event("on.message-edited", "message-edited", "An edit; its offset", [events.MessageEdited, Offset]),
    Event("on.message-deleted", "message-deleted", "A deletion; its offset", [events.MessageDeleted, Offset]),
    Event(
        "on.change-rejected",
        "change-rejected",
        "An edit or a deletion without an ack was rejected",
        [events.ChangeRejected],
        codes=[*_OF_EDITS, ShuttingDown],
    ),
    Event(
        "on.message-rejected",
        "message-rejected",
        "A message without an ack was rejected",
        [events.MessageRejected],
        codes=[*_OF_MESSAGES, ShuttingDown],
    ),
    Event(
        "on.renew-rejected",
        "renew-rejected",
        "A renewal without an ack was rejected; the socket keeps its token",
        [events.Rejected],
        codes=_OF_RENEWAL,
    ),
    Event("on.session-ended", "session-ended", "The token has ended; a DISCONNECT follows", [events.SessionEnded]),
    Event("on.typing", "typing", "Another user is typing; once a second at most", [Author], is_presence=True),
    Event("on.presence", "presence", "Users came or left; once a second at most", [Change], is_presence=True),
)
REPLIES: Final = (
    Event("connected", "CONNECT", "The client has joined", [events.Connected]),
    Event("connect-error", "CONNECT_ERROR", "The client may not join", [events.ConnectError], codes=TOKEN_ERRORS),
    Event("ack.accepted", "ack", "The message is in the log", [events.Accepted]),
    Event("ack.rejected", "ack", "The message was rejected", [events.Rejected], codes=_OF_MESSAGES),
    Event("ack.edited", "ack", "The edit is in the log", [events.Edited]),
    Event("ack.not-edited", "ack", "The edit was rejected", [events.Rejected], codes=_OF_EDITS),
    Event("ack.deleted", "ack", "The deletion is in the log", [events.Deleted]),
    Event("ack.not-deleted", "ack", "The deletion was rejected", [events.Rejected], codes=_OF_DELETIONS),
    Event("ack.renewed", "ack", "The socket has the newer token", [events.Renewed]),
    Event("ack.not-renewed", "ack", "The socket keeps its token", [events.Rejected], codes=_OF_RENEWAL),
    Event("ack.typing", "ack", "The other users know it", is_presence=True),
    Event("ack.not-typing", "ack", "Too often", [events.Rejected], codes=[RateLimited], is_presence=True),
)
