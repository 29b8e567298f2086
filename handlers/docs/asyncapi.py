"""The chat as an AsyncAPI 3.0 document, made from the table of its events."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from chatio import __version__
from chatio.chat.messages import Draft, Edit
from chatio.errors import ANSWERS, ChatioError, Muted, Temporary
from handlers.chat import events
from handlers.chat.protocol import FROM_CLIENT, FROM_SERVER, REPLIES, Event
from handlers.docs.examples import example_of
from handlers.docs.schemas import Json, reference, schemas_of

_ABOUT: Final = """\
Socket.IO protocol 5 (Engine.IO 4), path `/socket.io/`, namespace `/chat`: over polling with upgrade, WebSocket
alone or polling alone. The payload of each message here is the list of the event's arguments, as on the wire
behind the event's name; the payload of an ack is the list of the ack's arguments. A client ignores events and
fields that it does not know: new ones may be added.

To recover a lost connection, a client sends CONNECT with the token, the `pid` of the last CONNECT answer, and the
last text argument of an event since. The missed messages follow, in order and once. An answer with the same `pid`
says that no message is missing.

A temporary refusal is never a CONNECT_ERROR: the handshake is answered 503 with `Retry-After`, or the WebSocket
is closed with 1013 (try again later). A server that drains closes with 1001 (going away), and sends no DISCONNECT.
In each case clients reconnect by themselves. 1002, 1007 and 1009 answer input that breaks the protocol or is too
large.

A DISCONNECT follows `session-ended` only. A page of an origin that the server does not allow gets 403."""


def asyncapi_document(*, namespace: str, message_max_chars: int, has_presence: bool) -> Json:
    """The document of a chat with messages of up to `message_max_chars`, and with or without presence."""
    inward, outward, replies = (
        [event for event in table if has_presence or not event.is_presence]
        for table in (FROM_CLIENT, FROM_SERVER, REPLIES)
    )
    every = [*inward, *outward, *replies]
    used = {kind for event in every for kind in event.takes}
    schemas = schemas_of(kind for kind in used if isinstance(kind, type))
    for kind in (Draft, Edit):
        schemas[kind.__name__]["properties"]["content"]["maxLength"] = message_max_chars
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Chat.io",
            "version": __version__,
            "description": _ABOUT,
            "tags": [{"name": "Chat", "description": "One room, over Socket.IO."}],
        },
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
        "components": {
            "messages": {event.key: _message(event, schemas) for event in every},
            "schemas": schemas,
        },
    }


def _operations(action: str, group: Sequence[Event]) -> Iterator[tuple[str, Json]]:
    """`action` is the server's: it receives what a client emits."""
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


def _message(event: Event, schemas: Json) -> Json:
    arguments = [_argument(kind, event.codes) for kind in event.takes]
    count = len(arguments)
    payload: Json = {"type": "array", "minItems": count, "maxItems": count}
    if arguments:
        payload["items"] = arguments
    message: Json = {
        "name": event.name,
        "summary": event.summary,
        "payload": payload,
        "examples": list(_examples(event, arguments, schemas)),
    }
    if event.codes:
        message["description"] = (
            f"`code` is one of {', '.join(f'`{ANSWERS[error].code}`' for error in event.codes)}."
        )
    return message


def _examples(event: Event, arguments: Sequence[Json], schemas: Json) -> Iterator[Json]:
    """An example of `event`, or, if it tells of errors, one of each."""
    example = [example_of(argument, schemas, event.key) for argument in arguments]
    if not event.codes:
        yield {"name": event.key, "payload": example}
    for kind in event.codes:
        told = events.cause(_error(kind))
        changed = (
            {"message": told.message, "data": {"code": told.code}}
            if event.takes[0] is events.ConnectError
            else {"error": msgspec.to_builtins(told)}
        )
        yield {"name": told.code, "payload": [{**example[0], **changed}]}


def _error(kind: type[ChatioError]) -> ChatioError:
    if issubclass(kind, Temporary):
        return kind(retry_after_seconds=30)
    return kind(until=1772443927.0) if issubclass(kind, Muted) else kind()


def _argument(kind: Any, codes: Sequence[type[ChatioError]]) -> Json:
    """The schema of an argument; it may carry `codes` and no others."""
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return msgspec.json.schema(kind)
    if not codes:
        return reference(kind)
    place = "data" if kind is events.ConnectError else "error"
    allowed = {"properties": {"code": {"enum": [ANSWERS[error].code for error in codes]}}}
    return {"allOf": [reference(kind), {"properties": {place: allowed}}]}
