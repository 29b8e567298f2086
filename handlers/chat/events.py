"""What goes over the socket besides messages, as types: the chat sends them, and its document is made of them."""

from typing import Annotated

import msgspec

from chatio.chat.messages import SentAt
from chatio.chat.socket_sessions import Reason as EndReason
from handlers.responses import Offset

Token = Annotated[str, msgspec.Meta(description="What POST /login gave.", extra_json_schema={"minLength": 1})]
_Yes = Annotated[bool, msgspec.Meta(extra_json_schema={"const": True})]
_No = Annotated[bool, msgspec.Meta(extra_json_schema={"const": False})]


class ConnectAuth(msgspec.Struct, frozen=True):
    """The auth of CONNECT. Official clients from 4.6 on add `pid` and `offset` by themselves."""

    token: Token
    pid: Annotated[str, msgspec.Meta(description="Of the CONNECT answer before.")] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    offset: (
        Annotated[str, msgspec.Meta(description="The last text argument of an event received since.")]
        | msgspec.UnsetType
    ) = msgspec.UNSET


class Connected(msgspec.Struct, frozen=True):
    """The CONNECT answer. A `pid` that is the one asked for says that nothing was missed."""

    sid: str
    pid: str


class RefusedData(msgspec.Struct, frozen=True):
    """For programs."""

    code: str


class ConnectRefused(msgspec.Struct, frozen=True):
    """The CONNECT_ERROR. The server closes the connection soon after; nothing that passes is told so."""

    message: str
    data: RefusedData


class Accepted(msgspec.Struct, frozen=True):
    """The message is in the log, and everybody who is connected will get it."""

    ok: _Yes
    id: str
    offset: Offset
    sent_at: SentAt


class Cause(msgspec.Struct, frozen=True):
    """Why something was refused: `code` is for programs, `message` for people."""

    code: str
    message: str
    retry_after_seconds: Annotated[int, msgspec.Meta(ge=1)] | msgspec.UnsetType = msgspec.UNSET


class Refused(msgspec.Struct, frozen=True):
    """Nothing was changed."""

    ok: _No
    error: Cause


class MessageRejected(Refused, frozen=True):
    """A message that was refused: nobody else got it. `id` is the sender's own, if it was one."""

    id: str | None


class Renewal(msgspec.Struct, frozen=True):
    """A newer token of the same person."""

    token: Token


class Renewed(msgspec.Struct, frozen=True):
    """The socket is open on the newer token."""

    ok: _Yes
    expires_at: Annotated[int, msgspec.Meta(description="Seconds since the epoch.")]


class SessionEnded(msgspec.Struct, frozen=True):
    """The token of the socket has ended."""

    reason: EndReason
