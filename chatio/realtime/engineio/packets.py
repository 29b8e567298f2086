"""Engine.IO 4 packets: taken apart as they arrive, and encoded once however many connections they go to.

Pure: any input gives a value or a `ProtocolError`. Protocol: https://socket.io/docs/v4/engine-io-protocol
"""

import base64
import binascii
from enum import IntEnum
from typing import Final, NamedTuple

from chatio.realtime.websocket.frames import message_frame

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


class EncodedPacket(NamedTuple):
    encoded: str | bytes  # type and data as text, or the bytes of a binary message; for polling
    frame: bytes  # for a WebSocket

    @property
    def size_bytes(self) -> int:
        return len(self.encoded)


def encode(packet: str | bytes) -> EncodedPacket:
    """`packet`: type and data as text, or the bytes of a binary message."""
    return EncodedPacket(packet, message_frame(packet))


def encode_payload(packets: list[EncodedPacket]) -> bytes:
    """The body of a polling answer (Engine.IO protocol, "HTTP long-polling")."""
    return SEPARATOR.join(
        packet.encoded if isinstance(packet.encoded, str) else "b" + base64.b64encode(packet.encoded).decode()
        for packet in packets
    ).encode()


CLOSE: Final = encode("1")
PING: Final = encode("2")
NOOP: Final = encode("6")
PROBE_ANSWER: Final = encode("3probe")
