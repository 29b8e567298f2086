"""JSON as this seam speaks it: no NaN or Infinity in either direction, a bounded depth, bounded integers.

The library writes NaN as `NaN`, which every JavaScript client answers by leaving with "parse error", and
reads JSON as deep as the interpreter's stack. A JSON module of the application's own (`json=`) is wrapped,
not replaced.
"""

import json
import math
from types import SimpleNamespace
from typing import Any

import socketio.packet

from chatio.realtime.limits import MAX_INTEGER_DIGITS, MAX_JSON_DEPTH, MAX_JSON_VALUES
from chatio.realtime.socketio.packets import Kind, Packet, ProtocolError, checked, decode_socket


def _constant(name: str) -> Any:
    raise ValueError(name)


def _integer(digits: str) -> int:
    if len(digits) > MAX_INTEGER_DIGITS:
        raise ValueError("integer")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):  # "1e999"
        raise ValueError("float")
    return number


_DECODER = json.JSONDecoder(parse_constant=_constant, parse_int=_integer, parse_float=_float)
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def loads(text: str) -> Any:
    """The value of a JSON text. Raises ValueError or RecursionError for what is no JSON or breaks a limit."""
    _check_size(text)
    value = _DECODER.decode(text)
    _check_depth(text, value)
    return value


def dumps(value: Any, **_options: Any) -> str:
    """The shortest JSON text, in ASCII, so that half a surrogate pair survives.

    ValueError for NaN and Infinity.
    """
    return _ENCODER.encode(value)


def _check_size(text: str) -> None:
    """Refuse more values than a message may have, before they are made.

    Each but the first has one of `[{,`; what is empty has two, and counts twice.
    """
    if len(text) < MAX_JSON_VALUES or _marks(text) < MAX_JSON_VALUES:
        return
    # They may stand within strings. Every second piece between quotation marks is outside of one, once those that
    # are escaped are gone: 1 MB costs 4 to 15 ms.
    pieces = text.replace("\\\\", "").replace('\\"', "").split('"')
    if _marks("".join(pieces[::2])) >= MAX_JSON_VALUES:
        raise ValueError("values")


def _marks(text: str) -> int:
    return text.count(",") + text.count("[") + text.count("{")


def _check_depth(text: str, value: Any) -> None:
    if text.count("[") + text.count("{") <= MAX_JSON_DEPTH:
        return
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise ValueError("depth")


class _Guarded:
    """The application's own JSON module, held to the same rules.

    What it reads and writes is checked as well.
    """

    def __init__(self, module: Any) -> None:
        self._module = module

    def loads(self, text: str) -> Any:
        loads(text)
        return self._module.loads(text)

    def dumps(self, value: Any, **options: Any) -> str:
        text: str = self._module.dumps(value, **options)
        if "NaN" in text or "Infinity" in text:
            loads(text)  # inside a string it is only a word
        return text


def packet_class(serializer: str | type, module: Any) -> type[socketio.packet.Packet]:
    """A Socket.IO packet class of this server's own, so that its JSON is nobody else's.

    The library's `json` option writes to a class that all servers and clients of the process share.
    """
    if serializer == "default":
        base: Any = socketio.packet.Packet
    elif serializer == "msgpack":
        from socketio.msgpack_packet import MsgPackPacket  # needs the msgpack distribution

        base = MsgPackPacket
    else:
        base = serializer
    if module is not None:
        codec: Any = _Guarded(module)
    elif base is socketio.packet.Packet:
        codec = SimpleNamespace(loads=loads, dumps=dumps)
    else:
        codec = base.json
    return type("Packet", (base,), {"json": codec})


def decode(data: str | bytes, packets: type[socketio.packet.Packet]) -> Packet:
    """One received Socket.IO packet, checked; `packets` is what `packet_class` answered."""
    if packets.uses_binary_events:
        if isinstance(data, bytes):
            raise ProtocolError("attachment without an event")
        return decode_socket(data, packets.json.loads)
    return _decode_foreign(data, packets)


def _decode_foreign(data: str | bytes, packets: type[socketio.packet.Packet]) -> Packet:
    """A packet of another serializer (msgpack), which reads it itself.

    What it read is checked all the same.
    """
    if not data:
        raise ProtocolError("Socket.IO packet type")
    try:
        read: Any = packets(encoded_packet=data)
        kind = Kind(read.packet_type)
    except Exception:
        raise ProtocolError("serializer") from None
    namespace, ack_id = read.namespace or "/", read.id
    if not isinstance(namespace, str) or not (ack_id is None or type(ack_id) is int):
        raise ProtocolError("namespace or ack id")
    return checked(Packet(kind, namespace, ack_id, read.data, 0))
