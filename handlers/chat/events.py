"""Payloads of the chat's events besides messages, as types: handlers send them, the document is made from them."""

from typing import Annotated

import msgspec

from chatio.chat.socket_sessions import EndReason
from chatio.errors import ChatioError, Muted, Temporary, answer_to
from chatio.moderation.moderation import until_text
from chatio.stores.records import Content, MessageId, SentAt
from handlers.http.responses import EXAMPLE_OF_A_TOKEN, Offset

Token = Annotated[
    str,
    msgspec.Meta(
        description="From POST /login.", examples=[EXAMPLE_OF_A_TOKEN], extra_json_schema={"minLength": 1}
    ),
]
_Pid = Annotated[
    str, msgspec.Meta(description="From the last CONNECT answer.", examples=["00064c7f2a9b31-0000000021.x3kQ9vT2"])
]
_Code = Annotated[str, msgspec.Meta(examples=["rate_limited"])]
_Sentence = Annotated[str, msgspec.Meta(examples=["That was too often. Please try again in a while."])]
_Yes = Annotated[bool, msgspec.Meta(extra_json_schema={"const": True})]
_No = Annotated[bool, msgspec.Meta(extra_json_schema={"const": False})]


class ConnectAuth(msgspec.Struct, frozen=True):
    """The auth of CONNECT. Official clients add `pid` and `offset` by themselves, from version 4.6 on."""

    token: Token
    pid: _Pid | msgspec.UnsetType = msgspec.UNSET
    offset: (
        Annotated[
            str,
            msgspec.Meta(
                description="The last text argument of an event received since.",
                examples=["00064c7f2a9b31-000000002a"],
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET


class Connected(msgspec.Struct, frozen=True):
    """The CONNECT answer. If its `pid` is the one that the client sent, the client has missed no message."""

    sid: Annotated[str, msgspec.Meta(examples=["mZ4pQw1tHc8bKf2s"])]
    pid: _Pid


class ConnectErrorData(msgspec.Struct, frozen=True):
    """The error as a code, for programs."""

    code: _Code


class ConnectError(msgspec.Struct, frozen=True):
    """The CONNECT_ERROR, for good: a temporary refusal is answered otherwise. The server closes soon after."""

    message: Annotated[str, msgspec.Meta(examples=["jwt expired"])]
    data: ConnectErrorData


class Accepted(msgspec.Struct, frozen=True):
    """The message is in the log, and every connected client will receive it."""

    ok: _Yes
    id: MessageId
    offset: Offset
    sent_at: SentAt


class Edited(msgspec.Struct, frozen=True):
    """The edit is in the log, and every connected client will receive it."""

    ok: _Yes
    id: MessageId
    offset: Offset
    edited_at: SentAt


class Deleted(msgspec.Struct, frozen=True):
    """The deletion is in the log, and every connected client will receive it. The text is gone for good."""

    ok: _Yes
    id: MessageId
    offset: Offset
    deleted_at: SentAt


class MessageEdited(msgspec.Struct, frozen=True):
    """A message has another text from now on. A client that does not show the message ignores the event."""

    id: MessageId
    content: Content
    edited_at: SentAt


class MessageDeleted(msgspec.Struct, frozen=True):
    """A message is gone. A client that does not show the message ignores the event."""

    id: MessageId
    deleted_at: SentAt


class Cause(msgspec.Struct, frozen=True):
    """Why the server rejected an event: `code` is for programs, `message` for users; `until`: when a mute ends."""

    code: _Code
    message: _Sentence
    retry_after_seconds: Annotated[int, msgspec.Meta(ge=1, examples=[30])] | msgspec.UnsetType = msgspec.UNSET
    until: SentAt | msgspec.UnsetType = msgspec.UNSET


class Rejected(msgspec.Struct, frozen=True):
    """The event was rejected, and changed nothing."""

    ok: _No
    error: Cause


class MessageRejected(Rejected, frozen=True):
    """A message that was rejected: no other client received it. `id` is the sender's own, if it was valid."""

    id: MessageId | None


class ChangeRejected(Rejected, frozen=True):
    """An edit or a deletion that was rejected. `id` is the one that was sent, if it was valid."""

    id: MessageId | None


class Renewal(msgspec.Struct, frozen=True):
    """A newer token of the same user."""

    token: Token


class Renewed(msgspec.Struct, frozen=True):
    """The socket stays open as long as the newer token is valid."""

    ok: _Yes
    expires_at: Annotated[int, msgspec.Meta(description="Seconds since the epoch.", examples=[1772443927])]


class SessionEnded(msgspec.Struct, frozen=True):
    """The token of the socket has expired or was revoked. `until`: when a ban ends; null for one without end."""

    reason: EndReason
    until: SentAt | msgspec.UnsetType | None = msgspec.UNSET


def cause(error: ChatioError) -> Cause:
    answer = answer_to(error)
    later = error.retry_after_seconds if isinstance(error, Temporary) else msgspec.UNSET
    until = (until_text(error.until) if isinstance(error, Muted) else None) or msgspec.UNSET
    return Cause(answer.code, answer.socket_message or answer.message, later, until)
