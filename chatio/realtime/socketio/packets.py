"""Socket.IO 5 packets: decoded, checked, and encoded.

Pure functions, but for the strict JSON underneath. Whatever the input, `decode` returns a value or raises
`ProtocolError`: nothing is logged, nothing is kept. The library's decoders guess: `int()` of any character is a
type, any digit of any script is an id, JSON goes as deep as the stack, and a wrong guess surfaces as any
exception. Here a client that breaks the protocol is refused, as Node's socket.io-parser refuses it.

Protocol: https://socket.io/docs/v4/socket-io-protocol
"""

import json
from enum import IntEnum
from typing import Any, NamedTuple, cast

from chatio.realtime.engineio.packets import ProtocolError
from chatio.realtime.engineio.payload import EncodedPacket
from chatio.realtime.limits import MAX_ACK_ID_DIGITS, MAX_ATTACHMENTS, MAX_NAMESPACE_CHARS
from chatio.realtime.strict_json import dumps, loads
from chatio.realtime.websocket.frames import message_frame


class PacketType(IntEnum):
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

TYPES = {str(int(kind)): kind for kind in PacketType}
EVENTS = (PacketType.EVENT, PacketType.BINARY_EVENT)
ACKS = (PacketType.ACK, PacketType.BINARY_ACK)
_WITH_ATTACHMENTS = (PacketType.BINARY_EVENT, PacketType.BINARY_ACK)
_BINARY = {PacketType.EVENT: PacketType.BINARY_EVENT, PacketType.ACK: PacketType.BINARY_ACK}
# The payload of a packet of each kind (socket.io-parser, isPayloadValid). A client never sends CONNECT_ERROR.
_PAYLOADS: dict[PacketType, type | tuple[type, ...]] = {
    PacketType.CONNECT: (dict, type(None)),
    PacketType.DISCONNECT: type(None),
    PacketType.CONNECT_ERROR: (),
    **dict.fromkeys((*EVENTS, *ACKS), list),
}


class Packet(NamedTuple):
    """One packet. `data` is JSON, its binary parts still placeholders if `attachments` is not 0."""

    kind: PacketType
    namespace: str
    id: int | None
    data: Any
    attachments: int


def decode(text: str | bytes) -> Packet:
    """One packet from its text, checked. Raises ProtocolError."""
    if isinstance(text, bytes):
        raise ProtocolError("attachment without an event")
    kind = TYPES.get(text[:1])
    if kind is None:
        raise ProtocolError("Socket.IO packet type")
    attachments, at = _attachments(text) if kind in _WITH_ATTACHMENTS else (0, 1)
    namespace = "/"
    if text[at : at + 1] == "/":
        comma = text.find(",", at)
        end = len(text) if comma < 0 else comma
        if end - at > MAX_NAMESPACE_CHARS:
            raise ProtocolError("namespace")
        namespace, at = text[at:end].partition("?")[0], end + 1
    ack_id, at = _ack_id(text, at)
    data: Any = None
    if at < len(text):
        try:
            data = loads(text[at:])
        except (ValueError, RecursionError):
            raise ProtocolError("JSON") from None
        if data is None:
            raise ProtocolError("payload")  # "null" is no payload of any kind
    if not isinstance(data, _PAYLOADS[kind]) or (kind in ACKS and ack_id is None):
        raise ProtocolError("payload")
    if kind in EVENTS:
        name: Any = cast(list[Any], data)[0] if data else None  # which the JS parser lets be a number too
        if name in RESERVED_EVENTS if isinstance(name, str) else type(name) not in (int, float):
            raise ProtocolError("payload")
    packet = Packet(kind, namespace, ack_id, data, attachments)
    return fill_placeholders(packet, []) if kind in _WITH_ATTACHMENTS and not attachments else packet


def _attachments(text: str) -> tuple[int, int]:
    dash = text.find("-", 1, 5)
    digits = text[1:dash] if dash > 1 else ""
    if not (digits.isascii() and digits.isdigit()) or int(digits) > MAX_ATTACHMENTS:
        raise ProtocolError("attachments")
    return int(digits), dash + 1


def _ack_id(text: str, at: int) -> tuple[int | None, int]:
    end = at
    while text[end : end + 1].isascii() and text[end : end + 1].isdigit():
        end += 1
        if end - at > MAX_ACK_ID_DIGITS:
            raise ProtocolError("ack id")
    return (int(text[at:end]), end) if end > at else (None, at)


def encode(kind: PacketType, namespace: str, data: Any = None, ack_id: int | None = None) -> list[EncodedPacket]:
    """The Engine.IO messages that one packet consists of: itself, and an attachment for each bytes in `data`.

    Raises ValueError for NaN and Infinity, TypeError for a value without JSON.
    """
    buffers: list[bytes] = []
    try:
        body = "" if data is None else dumps(data)
    except TypeError:
        body = _dumps_binary(data, buffers)
    prefix = str(int(_BINARY.get(kind, kind) if buffers else kind))
    if buffers:
        prefix += f"{len(buffers)}-"
    if namespace != "/":
        prefix += f"{namespace},"
    parts: list[str | bytes] = [f"4{prefix}{'' if ack_id is None else ack_id}{body}", *buffers]
    return [EncodedPacket(part, message_frame(part)) for part in parts]


def encode_event(namespace: str, event: list[Any]) -> EncodedPacket:
    """The one packet of an event (its name and arguments) without attachments."""
    (packet,) = encode(PacketType.EVENT, namespace, event)
    return packet


def _dumps_binary(data: Any, buffers: list[bytes]) -> str:
    def placeholder(value: Any) -> dict[str, Any]:
        if not isinstance(value, bytes | bytearray):
            raise TypeError(f"{type(value).__name__} has no JSON")
        buffers.append(bytes(value))
        return {"_placeholder": True, "num": len(buffers) - 1}

    return json.dumps(data, separators=(",", ":"), allow_nan=False, default=placeholder)


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
