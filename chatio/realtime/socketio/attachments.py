"""Attachments: a binary event is put together from its text and the messages that follow it."""

from chatio.realtime.engineio.packets import ProtocolError
from chatio.realtime.socketio.packets import Packet, fill_placeholders


class PartialPacket:
    """A packet whose attachments are still coming, of one message's size at most."""

    __slots__ = ("_buffers", "_max_bytes", "_packet")

    def __init__(self, packet: Packet, max_bytes: int) -> None:
        self._packet = packet
        self._max_bytes = max_bytes
        self._buffers: list[bytes] = []

    def attach(self, data: str | bytes) -> Packet | None:
        """The packet that `data` completes; None while attachments are missing. Raises ProtocolError."""
        if not isinstance(data, bytes):
            raise ProtocolError("text instead of an attachment")
        self._buffers.append(data)
        if sum(map(len, self._buffers)) > self._max_bytes:
            raise ProtocolError("attachments' size")
        if len(self._buffers) < self._packet.attachments:
            return None
        return fill_placeholders(self._packet, self._buffers)
