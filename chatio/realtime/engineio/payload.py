"""One Engine.IO packet on its way out, encoded once however many connections it goes to."""

import base64
from typing import Any

from chatio.realtime.socketio.packets import SEPARATOR, Engine
from chatio.realtime.websocket.frames import message_frame


class EncodedPacket:
    """An encoded packet: `frame` is its WebSocket form; for polling see `encode_payload`."""

    __slots__ = ("_frame", "encoded")

    def __init__(self, encoded: str | bytes) -> None:
        """`encoded`: type and data as text, or the bytes of a binary message."""
        self.encoded = encoded
        self._frame: bytes | None = None

    @classmethod
    def message(cls, data: str | bytes) -> "EncodedPacket":
        return cls(data if isinstance(data, bytes) else f"{int(Engine.MESSAGE)}{data}")

    @classmethod
    def from_library(cls, packet: Any) -> "EncodedPacket":
        """The same packet as an `engineio.packet.Packet`."""
        encoded = packet.encode()
        return cls(encoded if isinstance(encoded, str) else bytes(encoded))

    @property
    def frame(self) -> bytes:
        if self._frame is None:
            self._frame = message_frame(self.encoded)
        return self._frame

    @property
    def size_bytes(self) -> int:
        return len(self.encoded)


def encode_payload(packets: list[EncodedPacket]) -> bytes:
    """The body of a polling answer (Engine.IO protocol, "HTTP long-polling")."""
    return SEPARATOR.join(
        packet.encoded if isinstance(packet.encoded, str) else "b" + base64.b64encode(packet.encoded).decode()
        for packet in packets
    ).encode()


CLOSE = EncodedPacket(str(int(Engine.CLOSE)))
PING = EncodedPacket(str(int(Engine.PING)))
NOOP = EncodedPacket(str(int(Engine.NOOP)))
PROBE_ANSWER = EncodedPacket(f"{int(Engine.PONG)}probe")
