"""Socket.IO 5 packets: decoded, checked, and encoded.

Whatever the input, `decode` returns a value or raises `ProtocolError`. The library's decoders guess: any character
is a type, any digit of any script is an id, JSON goes as deep as the stack, and a wrong guess surfaces as any
exception. Here a client that breaks the protocol is refused, as Node's socket.io-parser refuses it.

The JSON is strict: no NaN, Infinity or half of a surrogate pair in either direction, bounded depth and integers.
The library writes NaN as `NaN`, at which every JavaScript client disconnects, and passes on half of an emoji.

Protocol: https://socket.io/docs/v4/socket-io-protocol
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, NamedTuple

from chatio.realtime.engineio.packets import EncodedPacket, ProtocolError
from chatio.realtime.engineio.packets import encode as encode_attachment
from chatio.realtime.limits import (
    MAX_ACK_ID_DIGITS,
    MAX_ATTACHMENTS,
    MAX_INTEGER_DIGITS,
    MAX_JSON_DEPTH,
    MAX_JSON_VALUES,
    MAX_NAMESPACE_CHARS,
)
from chatio.realtime.websocket.frames import message_frame
from chatio.text import well_formed


class PacketType(IntEnum):
    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4


BINARY: Final = 3  # a BINARY_EVENT (5) and a BINARY_ACK (6) are an EVENT and an ACK whose attachments follow
_KINDS: Final = dict(zip("012356", [*map(PacketType, range(4)), PacketType.EVENT, PacketType.ACK], strict=True))

# Names that the client libraries keep for themselves (socket.io-parser, RESERVED_EVENTS). On the wire they
# are an attempt to run the application's own connect and disconnect handlers.
RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)

# The payload of a packet of each kind (socket.io-parser, isPayloadValid). A client never sends CONNECT_ERROR.
_PAYLOADS: Final[dict[PacketType, type | tuple[type, ...]]] = {
    PacketType.CONNECT: (dict, type(None)),
    PacketType.DISCONNECT: type(None),
    **dict.fromkeys((PacketType.EVENT, PacketType.ACK), list),
}
# Type, number of attachments, namespace without its query, ack id.
_HEADER: Final = re.compile(
    r"(?:([0-3])|([56])(\d{1,3})-)"
    rf"(?:(/[^,?]{{0,{MAX_NAMESPACE_CHARS - 1}}})(?:\?[^,]*)?(?:,|\Z))?"
    rf"(\d{{0,{MAX_ACK_ID_DIGITS}}})",
    re.ASCII,
)


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
    header = _HEADER.match(text)
    if header is None:
        raise ProtocolError("Socket.IO packet type")
    plain, binary, count, namespace, digits = header.groups()
    kind = _KINDS[plain or binary]
    attachments, body = int(count or 0), text[header.end() :]
    if attachments > MAX_ATTACHMENTS:
        raise ProtocolError("attachments")
    try:
        data = loads(body) if body else None
    except (ValueError, RecursionError):
        raise ProtocolError("JSON") from None
    ack_id = int(digits) if digits else None
    packet = Packet(kind, namespace or "/", ack_id, data, attachments)
    is_null = data is None and body  # no payload of any kind
    if is_null or not isinstance(data, _PAYLOADS[kind]) or (kind is PacketType.ACK and ack_id is None):
        raise ProtocolError("payload")
    if kind is PacketType.EVENT:
        name = packet.data[0] if data else None  # which the JS parser lets be a number too
        if name in RESERVED_EVENTS if isinstance(name, str) else type(name) not in (int, float):
            raise ProtocolError("payload")
    return fill_placeholders(packet, []) if binary and not attachments else packet


def encode(kind: PacketType, namespace: str, data: Any = None, ack_id: int | None = None) -> list[EncodedPacket]:
    """The Engine.IO messages that one packet consists of: itself, and an attachment for each bytes in `data`.

    Raises ValueError for NaN and Infinity, TypeError for a value without JSON.
    """
    buffers: list[bytes] = []

    def placeholder(value: Any) -> dict[str, Any]:
        if not isinstance(value, bytes | bytearray):
            raise TypeError(f"{type(value).__name__} has no JSON")
        buffers.append(bytes(value))
        return {"_placeholder": True, "num": len(buffers) - 1}

    body = "" if data is None else dumps(data, placeholder)
    header = f"{kind + BINARY}{len(buffers)}-" if buffers else int(kind)
    text = f"4{header}{'' if namespace == '/' else f'{namespace},'}{'' if ack_id is None else ack_id}{body}"
    packet = EncodedPacket(text, message_frame(text))
    return [packet, *map(encode_attachment, buffers)] if buffers else [packet]


def encode_event(namespace: str, event: list[Any]) -> EncodedPacket:
    """The one packet of an event (its name and arguments) without attachments."""
    (packet,) = encode(PacketType.EVENT, namespace, event)
    return packet


@dataclass(slots=True)
class PartialPacket:
    """A packet whose attachments are still coming, of one message's size at most."""

    packet: Packet
    max_bytes: int
    keeps: bool  # else each attachment is read as null
    size: int = 0
    buffers: list[bytes | None] = field(default_factory=list)

    def attach(self, data: str | bytes) -> Packet | None:
        """The packet that `data` completes; None while attachments are missing. Raises ProtocolError."""
        if not isinstance(data, bytes):
            raise ProtocolError("text instead of an attachment")
        self.buffers.append(data if self.keeps else None)
        self.size += len(data)
        if self.size > self.max_bytes:
            raise ProtocolError("attachments' size")
        is_whole = len(self.buffers) == self.packet.attachments
        return fill_placeholders(self.packet, self.buffers) if is_whole else None


def fill_placeholders(packet: Packet, buffers: Sequence[bytes | None]) -> Packet:
    """`packet` with each placeholder replaced by the attachment it names, each used at most once.

    Once, because the same megabyte named a hundred thousand times is what an echoing handler would send back.
    Raises ProtocolError for an index that is no attachment's.
    """
    left: dict[int, bytes | None] = dict(enumerate(buffers))

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


def _integer(digits: str) -> int:
    if len(digits) > MAX_INTEGER_DIGITS:
        raise ValueError("integer")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):  # "1e999", "NaN", "Infinity"
        raise ValueError("float")
    return number


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)  # made once: 4 µs less
_DECODER: Final = json.JSONDecoder(parse_constant=_finite, parse_int=_integer, parse_float=_finite)


def loads(text: str) -> Any:
    """The value of a JSON text that a client sent.

    Raises ValueError or RecursionError for a text that is no JSON, has NaN or Infinity, or breaks a limit.
    """
    _check_size(text)
    value = _DECODER.decode(text)
    if "\\u" in text or sum(map(text.count, "[{")) > MAX_JSON_DEPTH:
        return _mended(value, MAX_JSON_DEPTH)
    return value


def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """The shortest JSON text of `value`, in ASCII.

    `default`: stands for a value without JSON, instead of a TypeError. Raises ValueError for NaN and Infinity.
    """
    try:
        text = _ENCODER.encode(value)
    except TypeError:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False, default=default)
    if "\\ud" in text:  # an emoji, or half of one: 13 µs more
        text = _ENCODER.encode(_mended(json.loads(text)))
    return text


def _check_size(text: str) -> None:
    """Refuse more values than a message may have, before they are made.

    Each value but the first has one of `[{,` before it; an empty list or object has two, and counts twice.
    """
    if len(text) < MAX_JSON_VALUES or sum(map(text.count, ",[{")) < MAX_JSON_VALUES:
        return
    # The marks may stand within strings. Every second piece between quotation marks is outside of a string, once
    # escaped quotation marks are gone: 1 MB costs 4 to 15 ms.
    pieces = text.replace("\\\\", "").replace('\\"', "").split('"')
    if sum(map("".join(pieces[::2]).count, ",[{")) >= MAX_JSON_VALUES:
        raise ValueError("values")


def _mended(value: Any, levels: int = -1) -> Any:
    """`value` with U+FFFD for each half of a surrogate pair. Raises ValueError past `levels`, if 0 or more."""
    if isinstance(value, str):
        return well_formed(value)  # JSON decoders have joined the pairs
    if not isinstance(value, dict | list):
        return value
    if not levels:
        raise ValueError("depth")
    if isinstance(value, list):
        return [_mended(item, levels - 1) for item in value]
    return {_mended(key): _mended(item, levels - 1) for key, item in value.items()}
