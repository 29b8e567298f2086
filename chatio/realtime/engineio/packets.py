"""Engine.IO 4 packets as they arrive, taken apart.

Pure: any input gives a value or a `ProtocolError`. Protocol: https://socket.io/docs/v4/engine-io-protocol
"""

import binascii
from enum import IntEnum

SEPARATOR = "\x1e"  # between the packets of one polling body


class ProtocolError(Exception):
    """The client broke the protocol. The text names the rule, never what was sent; it may be logged."""


class PacketType(IntEnum):
    OPEN = 0
    CLOSE = 1
    PING = 2
    PONG = 3
    MESSAGE = 4
    UPGRADE = 5
    NOOP = 6


TYPES = {str(int(kind)): kind for kind in PacketType}


def decode(raw: str | bytes) -> tuple[PacketType, str | bytes]:
    """Type and data of one packet. Bytes are always a message, and so is "b" with base64. Raises ProtocolError."""
    if isinstance(raw, bytes):
        return PacketType.MESSAGE, raw
    kind = TYPES.get(raw[:1])
    if kind is not None:
        return kind, raw[1:]
    if raw[:1] == "b":
        try:
            return PacketType.MESSAGE, binascii.a2b_base64(raw[1:], strict_mode=True)
        except ValueError:
            raise ProtocolError("base64") from None
    raise ProtocolError("Engine.IO packet type")
