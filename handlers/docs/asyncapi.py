"""The chat as an AsyncAPI 3.0 document, made from the types that go over the socket."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from chatio import __version__
from chatio.chat.messages import Author, Draft, Message
from chatio.chat.presence import Change
from chatio.errors import (
    ANSWERS,
    ChatioError,
    MessageEmpty,
    MessageInvalid,
    MessageTooLong,
    MissingToken,
    RateLimited,
    ShuttingDown,
    TokenExpired,
    TokenMalformed,
    TokenOfAnother,
    TokenRevoked,
    TokenSignatureInvalid,
)
from handlers.chat import events
from handlers.docs.schemas import Json, reference, schemas_of
from handlers.responses import Offset

OF_MESSAGES: Final = (MessageInvalid, MessageEmpty, MessageTooLong, RateLimited)
OF_CONNECT: Final = (MissingToken, TokenExpired, TokenSignatureInvalid, TokenMalformed, TokenRevoked)
OF_RENEWAL: Final = (*OF_CONNECT, TokenOfAnother, RateLimited)

_ABOUT: Final = """\
Socket.IO protocol 5 (Engine.IO 4), path `/socket.io/`, namespace `/chat`: over polling with upgrade, WebSocket
alone or polling alone. The payload of each message here is the list of the event's arguments, as it stands on the
wire behind the event's name; that of an ack is the list of the ack's arguments. What a client does not know it
leaves alone: more may come.

To come back is to CONNECT with the token, the `pid` of the last CONNECT answer, and the last text argument of an
event since: what was missed comes next, in order and once. An answer with the same `pid` says that nothing is
missing.

What passes is never a CONNECT_ERROR: the handshake is answered 503 with `Retry-After`, or the WebSocket is closed
with 1013 (try again later). A server that stops closes with 1001 (going away), and sends no DISCONNECT. In each
case a client comes back by itself. 1002, 1007 and 1009 are for what breaks a rule of the protocol or is too large.

A DISCONNECT follows `session-ended` only. A page of an origin that the server does not name gets 403."""


class Event(NamedTuple):
    """One event in one direction. `key` names it in the document, `name` on the wire; `takes` are its arguments.

    `replies` are keys of what comes back for it; `codes` are the errors that it may tell.
    """

    key: str
    name: str
    summary: str
    takes: Sequence[Any] = ()
    replies: Sequence[str] = ()
    codes: Sequence[type[ChatioError]] = ()


FROM_CLIENT: Final = (
    Event("connect", "CONNECT", "Come in", [events.ConnectAuth], ["connected", "connect-error"]),
    Event(
        "emit.send-message", "send-message", "Say something to everybody", [Draft], ["ack.accepted", "ack.refused"]
    ),
    Event("emit.renew", "renew", "Stay, on a newer token", [events.Renewal], ["ack.renewed", "ack.not-renewed"]),
)
FROM_SERVER: Final = (
    Event("on.receive-message", "receive-message", "Somebody said something; its offset", [Message, Offset]),
    Event(
        "on.message-rejected",
        "message-rejected",
        "A message that asked for no ack was refused",
        [events.MessageRejected],
        codes=[*OF_MESSAGES, ShuttingDown],
    ),
    Event(
        "on.renew-rejected",
        "renew-rejected",
        "A renewal that asked for no ack was refused; the session stays as it was",
        [events.Refused],
        codes=OF_RENEWAL,
    ),
    Event("on.session-ended", "session-ended", "The token has ended; a DISCONNECT follows", [events.SessionEnded]),
)
OF_PRESENCE_FROM_CLIENT: Final = (Event("emit.typing", "typing", "I am typing"),)
OF_PRESENCE_FROM_SERVER: Final = (
    Event("on.typing", "typing", "Somebody else is typing; once a second at most", [Author]),
    Event("on.presence", "presence", "Who came and who left; once a second at most", [Change]),
)
REPLIES: Final = (
    Event("connected", "CONNECT", "Let in", [events.Connected]),
    Event("connect-error", "CONNECT_ERROR", "Not let in", [events.ConnectRefused], codes=OF_CONNECT),
    Event("ack.accepted", "ack", "The message is in the log", [events.Accepted]),
    Event("ack.refused", "ack", "The message was refused", [events.Refused], codes=OF_MESSAGES),
    Event("ack.renewed", "ack", "The socket stays", [events.Renewed]),
    Event("ack.not-renewed", "ack", "All stays as it was", [events.Refused], codes=OF_RENEWAL),
)


def asyncapi_document(*, namespace: str, message_max_chars: int, has_presence: bool) -> Json:
    """The document of a chat with messages of so many characters, and with or without presence."""
    inward = [*FROM_CLIENT, *(OF_PRESENCE_FROM_CLIENT if has_presence else ())]
    outward = [*FROM_SERVER, *(OF_PRESENCE_FROM_SERVER if has_presence else ())]
    every = [*inward, *outward, *REPLIES]
    used = {kind for event in every for kind in event.takes}
    schemas = schemas_of(kind for kind in used if isinstance(kind, type))
    schemas[Draft.__name__]["properties"]["content"]["maxLength"] = message_max_chars
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Chat.io", "version": __version__, "description": _ABOUT},
        "defaultContentType": "application/json",
        "servers": {
            "chat": {
                "host": "{host}",
                "pathname": "/socket.io/",
                "protocol": "socket.io",
                "protocolVersion": "5",
                "variables": {"host": {"default": "localhost:3000"}},
            }
        },
        "channels": {
            "chat": {
                "address": namespace,
                "title": "The one room",
                "messages": {event.key: {"$ref": f"#/components/messages/{event.key}"} for event in every},
            }
        },
        "operations": dict([*_operations("receive", inward), *_operations("send", outward)]),
        "components": {"messages": {event.key: _message(event) for event in every}, "schemas": schemas},
    }


def _operations(action: str, group: Sequence[Event]) -> Iterator[tuple[str, Json]]:
    """`action` is the server's: what a client emits the server receives."""
    for event in group:
        operation: Json = {
            "action": action,
            "channel": {"$ref": "#/channels/chat"},
            "summary": event.summary,
            "messages": [_of_channel(event.key)],
        }
        if event.replies:
            operation["reply"] = {
                "channel": {"$ref": "#/channels/chat"},
                "messages": [_of_channel(key) for key in event.replies],
            }
        yield event.key, operation


def _of_channel(key: str) -> Json:
    return {"$ref": f"#/channels/chat/messages/{key}"}


def _message(event: Event) -> Json:
    arguments = [_argument(kind, event.codes) for kind in event.takes]
    count = len(arguments)
    payload: Json = {"type": "array", "minItems": count, "maxItems": count}
    if arguments:
        payload["items"] = arguments
    message: Json = {"name": event.name, "summary": event.summary, "payload": payload}
    if event.codes:
        message["description"] = (
            f"`code` is one of {', '.join(f'`{ANSWERS[error].code}`' for error in event.codes)}."
        )
    return message


def _argument(kind: Any, codes: Sequence[type[ChatioError]]) -> Json:
    """The schema of an argument; `codes` are the only ones that it may bear."""
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return msgspec.json.schema(kind)
    if not codes:
        return reference(kind)
    place = "data" if kind is events.ConnectRefused else "error"
    allowed = {"properties": {"code": {"enum": [ANSWERS[error].code for error in codes]}}}
    return {"allOf": [reference(kind), {"properties": {place: allowed}}]}
