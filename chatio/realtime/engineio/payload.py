"""Encoded packet: one Engine.IO packet on its way out, encoded once however many connections it goes to."""

import base64
from typing import Final, NamedTuple

from chatio.realtime.engineio.packets import SEPARATOR
from chatio.realtime.websocket.frames import message_frame


class EncodedPacket(NamedTuple):
    encoded: str | bytes  # type and data as text, or the bytes of a binary message; for polling
    frame: bytes  # for a WebSocket

    @property
    def size_bytes(self) -> int:
        return len(self.encoded)


def encode(packet: str | bytes) -> EncodedPacket:
    """`packet`: type and data as text, or the bytes of a binary message."""
    return EncodedPacket(packet, message_frame(packet))


def encode_message(data: str | bytes) -> EncodedPacket:
    """The packet of one message: text, or bytes as they are."""
    return encode(data if isinstance(data, bytes) else f"4{data}")


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
