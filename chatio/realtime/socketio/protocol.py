"""Socket.IO over Engine.IO: each message of a client is decoded, checked, and given to the part that answers it.

Each failure has one answer: a client that breaks the protocol is closed, a handler that raises is reported once
and its client told so, and nothing is left in a table.
"""

from typing import Any

from chatio.realtime.close_reasons import protocol_violation
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.packets import ProtocolError
from chatio.realtime.library import DisconnectReason
from chatio.realtime.socketio.attachments import PartialPacket
from chatio.realtime.socketio.connect import Connector
from chatio.realtime.socketio.dispatch import Dispatcher
from chatio.realtime.socketio.packets import Packet, PacketType, decode
from chatio.realtime.socketio.peer import Peer


class SocketIOProtocol:
    """The application of an `EngineServer`. Event loop only."""

    def __init__(
        self, connector: Connector, dispatcher: Dispatcher, environ: dict[str, dict[str, Any]], max_bytes: int
    ) -> None:
        """`environ`: of each open connection, by eio_sid. `max_bytes`: of the attachments of one event."""
        self._connector = connector
        self._dispatcher = dispatcher
        self._environ = environ
        self._max_bytes = max_bytes

    async def connected(self, connection: Connection, environ: dict[str, Any]) -> bool:
        self._environ[connection.sid] = environ
        peer = self._connector.peers[connection.sid] = Peer(connection)
        self._connector.unconnected.add(peer)
        return True

    async def disconnected(self, connection: Connection, reason: str) -> None:
        peer = self._connector.peers.get(connection.sid)
        if peer is not None:
            await self._connector.connection_closed(peer, reason)
            del self._environ[connection.sid]

    async def receive(self, connection: Connection, data: str | bytes) -> None:
        peer = self._connector.peers[connection.sid]
        try:
            packet = decode(data) if peer.partial is None else peer.partial.attach(data)
            if packet is not None:
                await self._dispatch(peer, packet)
        except ProtocolError as error:
            connection.refuse(protocol_violation(f"Socket.IO: {error}"))

    async def _dispatch(self, peer: Peer, packet: Packet) -> None:
        kind, namespace = packet.kind, packet.namespace
        if kind is PacketType.CONNECT:
            await self._connector.connect(peer, namespace, packet.data)
        elif namespace not in peer.namespaces:
            if peer not in self._connector.refused:  # else sent before the client knew that it is refused
                raise ProtocolError("not connected")
        elif packet.attachments:
            peer.partial = PartialPacket(packet, self._max_bytes)
        elif kind is PacketType.DISCONNECT:
            await self._connector.disconnect(peer, namespace, DisconnectReason.CLIENT_DISCONNECT)
        else:
            peer.partial = None
            if kind in (PacketType.EVENT, PacketType.BINARY_EVENT):
                await self._dispatcher.event(peer, packet)
            else:
                await self._dispatcher.ack(peer, packet)
