"""Binary events, put together from their text and the attachments that follow it."""

from typing import Any

from chatio.realtime.socketio.packets import Kind, Packet, ProtocolError, fill_placeholders
from chatio.realtime.socketio.serializer import decode


class Partial:
    """A packet whose attachments are still coming."""

    __slots__ = ("buffers", "packet", "size_bytes")

    def __init__(self, packet: Packet) -> None:
        self.packet = packet
        self.buffers: list[bytes] = []
        self.size_bytes = 0


class Assembly:
    """The half-received packets of all connections, by eio_sid.

    One each at most, of one message's size at most.
    """

    def __init__(self, packet_class: Any, max_bytes: int) -> None:
        self._packet_class = packet_class
        self._max_bytes = max_bytes
        self._partial: dict[str, Partial] = {}

    def __len__(self) -> int:
        return len(self._partial)

    def discard(self, eio_sid: str) -> None:
        self._partial.pop(eio_sid, None)

    def receive(self, eio_sid: str, data: str | bytes, namespaces: tuple[str, ...]) -> Packet | None:
        """The packet that `data` is or completes; None while attachments are missing.

        `namespaces`: those the connection is in; nobody else's attachments are waited for. Raises
        ProtocolError.
        """
        partial = self._partial.get(eio_sid)
        if partial is not None:
            return self._attach(eio_sid, partial, data)
        packet = decode(data, self._packet_class)
        if packet.kind not in (Kind.BINARY_EVENT, Kind.BINARY_ACK):
            return packet
        if packet.namespace not in namespaces:
            raise ProtocolError("not connected")
        if packet.attachments == 0:
            return fill_placeholders(packet, [])
        self._partial[eio_sid] = Partial(packet)
        return None

    def _attach(self, eio_sid: str, partial: Partial, data: str | bytes) -> Packet | None:
        if not isinstance(data, bytes):
            raise ProtocolError("text instead of an attachment")
        partial.size_bytes += len(data)
        if partial.size_bytes > self._max_bytes:
            raise ProtocolError("attachments' size")
        partial.buffers.append(data)
        if len(partial.buffers) < partial.packet.attachments:
            return None
        del self._partial[eio_sid]
        return fill_placeholders(partial.packet, partial.buffers)
