"""Socket.IO 5 packets: decoded, checked, and encoded.

Pure functions, but for the strict JSON underneath. Whatever the input, `decode` returns a value or raises
`ProtocolError`: nothing is logged, nothing is kept. The library's decoders guess: `int()` of any character is a
type, any digit of any script is an id, JSON goes as deep as the stack, and a wrong guess surfaces as any
exception. Here a client that breaks the protocol is refused, as Node's socket.io-parser refuses it.

Protocol: https://socket.io/docs/v4/socket-io-protocol
"""

import json
from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

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
_BINARY = {PacketType.EVENT: PacketType.BINARY_EVENT, PacketType.ACK: PacketType.BINARY_ACK}


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
    attachments, at = _attachments(text) if kind in _BINARY.values() else (0, 1)
    namespace, at = _namespace(text, at) if text[at : at + 1] == "/" else ("/", at)
    ack_id, at = _ack_id(text, at)
    data = None
    if at < len(text):
        try:
            data = loads(text[at:])
        except (ValueError, RecursionError):
            raise ProtocolError("JSON") from None
        if data is None:
            raise ProtocolError("payload")  # "null" is no payload of any kind
    packet = Packet(kind, namespace, ack_id, data, attachments)
    if not _PAYLOADS[kind](packet):
        raise ProtocolError("payload")
    return fill_placeholders(packet, []) if kind in _BINARY.values() and not attachments else packet


def _attachments(text: str) -> tuple[int, int]:
    dash = text.find("-", 1, 5)
    digits = text[1:dash] if dash > 1 else ""
    if not (digits.isascii() and digits.isdigit()) or int(digits) > MAX_ATTACHMENTS:
        raise ProtocolError("attachments")
    return int(digits), dash + 1


def _namespace(text: str, at: int) -> tuple[str, int]:
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


def _is_event(packet: Packet) -> bool:
    data = packet.data
    if not isinstance(data, list) or not data:
        return False
    name = data[0]
    # The JS parser lets numbers be names too.
    return name not in RESERVED_EVENTS if isinstance(name, str) else type(name) in (int, float)


def _is_ack(packet: Packet) -> bool:
    return isinstance(packet.data, list) and packet.id is not None


# The payload that a packet of each kind may have (socket.io-parser, isPayloadValid). A client never sends
# CONNECT_ERROR.
_PAYLOADS: dict[PacketType, Callable[[Packet], bool]] = {
    PacketType.CONNECT: lambda packet: packet.data is None or isinstance(packet.data, dict),
    PacketType.DISCONNECT: lambda packet: packet.data is None,
    PacketType.EVENT: _is_event,
    PacketType.ACK: _is_ack,
    PacketType.CONNECT_ERROR: lambda packet: False,
    PacketType.BINARY_EVENT: _is_event,
    PacketType.BINARY_ACK: _is_ack,
}


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
