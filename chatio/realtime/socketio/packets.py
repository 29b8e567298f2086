"""What arrives, taken apart: Engine.IO 4 packets and Socket.IO 5 packets.

Pure functions. Whatever the input, the answer is a value or a `ProtocolError`: nothing else is raised,
nothing is logged, nothing is kept. They know no sockets and no server.

The library's decoders guess: `int()` of any character is a type, any digit of any script is an id, base64 is
lenient, JSON goes as deep as the stack, and a wrong answer surfaces as whatever exception comes by. A peer
that breaks the protocol is closed here, as Node's socket.io-parser closes it.

Protocols: https://socket.io/docs/v4/engine-io-protocol and https://socket.io/docs/v4/socket-io-protocol
"""

import binascii
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

from chatio.realtime.limits import MAX_ACK_ID_DIGITS, MAX_ATTACHMENTS, MAX_NAMESPACE_CHARS

SEPARATOR = "\x1e"  # between the packets of one polling body


class ProtocolError(Exception):
    """The peer broke the protocol. The text names the rule, never what was sent; it may be logged."""


class Engine(IntEnum):
    """Engine.IO packet types."""

    OPEN = 0
    CLOSE = 1
    PING = 2
    PONG = 3
    MESSAGE = 4
    UPGRADE = 5
    NOOP = 6


class Kind(IntEnum):
    """Socket.IO packet types."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


# Names that the client libraries keep for themselves (socket.io-parser, RESERVED_EVENTS). On the wire they
# are an attempt to run the application's own connect and disconnect handlers.
RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)

ENGINE_TYPES = {str(int(kind)): kind for kind in Engine}
KINDS = {str(int(kind)): kind for kind in Kind}


def decode_engine(raw: str | bytes) -> tuple[Engine, str | bytes]:
    """Type and data of one Engine.IO packet; bytes are always a message, and so is "b" with base64."""
    if isinstance(raw, bytes):
        return Engine.MESSAGE, raw
    kind = ENGINE_TYPES.get(raw[:1])
    if kind is not None:
        return kind, raw[1:]
    if raw[:1] == "b":
        try:
            return Engine.MESSAGE, binascii.a2b_base64(raw[1:], strict_mode=True)
        except ValueError:
            raise ProtocolError("base64") from None
    raise ProtocolError("Engine.IO packet type")


class Packet(NamedTuple):
    """One Socket.IO packet. `data` is JSON, its binary parts still placeholders if `attachments` is not 0."""

    kind: Kind
    namespace: str
    id: int | None
    data: Any
    attachments: int


def decode_socket(text: str, loads: Callable[[str], Any]) -> Packet:
    """One Socket.IO packet from its text.

    `loads` reads the JSON, and may raise ValueError or RecursionError.
    """
    kind = KINDS.get(text[:1])
    if kind is None:
        raise ProtocolError("Socket.IO packet type")
    attachments, at = _attachments(text, kind)
    namespace, at = _namespace(text, at)
    ack_id, at = _ack_id(text, at)
    data = None
    if at < len(text):
        try:
            data = loads(text[at:])
        except (ValueError, RecursionError):
            raise ProtocolError("JSON") from None
        if data is None:
            raise ProtocolError("payload")  # "null" is no payload of any kind
    return checked(Packet(kind, namespace, ack_id, data, attachments))


def _attachments(text: str, kind: Kind) -> tuple[int, int]:
    if kind not in (Kind.BINARY_EVENT, Kind.BINARY_ACK):
        return 0, 1
    dash = text.find("-", 1, 5)
    digits = text[1:dash] if dash > 1 else ""
    if not _is_number(digits) or int(digits) > MAX_ATTACHMENTS:
        raise ProtocolError("attachments")
    return int(digits), dash + 1


def _namespace(text: str, at: int) -> tuple[str, int]:
    if text[at : at + 1] != "/":
        return "/", at
    comma = text.find(",", at)
    end = len(text) if comma < 0 else comma
    if end - at > MAX_NAMESPACE_CHARS:
        raise ProtocolError("namespace")
    return text[at:end].partition("?")[0], min(end + 1, len(text))


def _ack_id(text: str, at: int) -> tuple[int | None, int]:
    end = at
    while text[end : end + 1].isascii() and text[end : end + 1].isdigit():
        end += 1
        if end - at > MAX_ACK_ID_DIGITS:
            raise ProtocolError("ack id")
    return (int(text[at:end]), end) if end > at else (None, at)


def _is_number(digits: str) -> bool:
    return digits.isascii() and digits.isdigit()


def _is_event(packet: Packet) -> bool:
    data = packet.data
    if not isinstance(data, list) or not data:
        return False
    name = data[0]
    # The JS parser lets numbers be names too.
    return name not in RESERVED_EVENTS if isinstance(name, str) else type(name) in (int, float)


def _is_ack(packet: Packet) -> bool:
    return isinstance(packet.data, list) and packet.id is not None


# What may stand in a packet of each kind (socket.io-parser, isPayloadValid). A client never sends
# CONNECT_ERROR.
_PAYLOADS: dict[Kind, Callable[[Packet], bool]] = {
    Kind.CONNECT: lambda packet: packet.data is None or isinstance(packet.data, dict),
    Kind.DISCONNECT: lambda packet: packet.data is None,
    Kind.EVENT: _is_event,
    Kind.ACK: _is_ack,
    Kind.CONNECT_ERROR: lambda packet: False,
    Kind.BINARY_EVENT: _is_event,
    Kind.BINARY_ACK: _is_ack,
}


def checked(packet: Packet) -> Packet:
    """`packet` itself, if what it carries fits its kind."""
    if not _PAYLOADS[packet.kind](packet):
        raise ProtocolError("payload")
    return packet


def fill_placeholders(packet: Packet, buffers: list[bytes]) -> Packet:
    """`packet` with each placeholder replaced by the attachment it names, each used at most once.

    Once, because the same megabyte named a hundred thousand times is what an echoing handler would send back.
    Raises ProtocolError for an index that is no attachment's.
    """
    left: dict[int, bytes] = dict(enumerate(buffers))

    def fill(value: Any) -> Any:
        if isinstance(value, list):
            return [fill(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get("_placeholder") is not True:
            return {key: fill(item) for key, item in value.items()}
        index = value.get("num")
        if type(index) is not int or index not in left:
            raise ProtocolError("placeholder")
        return left.pop(index)

    return packet._replace(data=fill(packet.data), attachments=0)
