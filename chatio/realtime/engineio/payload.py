"""One Engine.IO packet on its way out, encoded once however many connections it goes to."""

import base64
from typing import Any

from chatio.realtime.socketio.packets import SEPARATOR, Engine
from chatio.realtime.websocket.frames import message_frame


class Outgoing:
    """An encoded packet: `frame` is its WebSocket form; for polling see `polling_body`."""

    __slots__ = ("_frame", "encoded")

    def __init__(self, encoded: str | bytes) -> None:
        """`encoded`: type and data as text, or the bytes of a binary message."""
        self.encoded = encoded
        self._frame: bytes | None = None

    @classmethod
    def message(cls, data: str | bytes) -> "Outgoing":
        return cls(data if isinstance(data, bytes) else f"{int(Engine.MESSAGE)}{data}")

    @classmethod
    def from_library(cls, packet: Any) -> "Outgoing":
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


def polling_body(packets: list[Outgoing]) -> bytes:
    """The body of a polling answer (Engine.IO protocol, "HTTP long-polling")."""
    return SEPARATOR.join(
        packet.encoded if isinstance(packet.encoded, str) else "b" + base64.b64encode(packet.encoded).decode()
        for packet in packets
    ).encode()


CLOSE = Outgoing(str(int(Engine.CLOSE)))
PING = Outgoing(str(int(Engine.PING)))
NOOP = Outgoing(str(int(Engine.NOOP)))
PROBE_ANSWER = Outgoing(f"{int(Engine.PONG)}probe")
