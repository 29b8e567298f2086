"""Dispatch: from a message of a client to the handler that answers it.

Each failure has one answer: a client that breaks the protocol is closed, a handler that raises is reported once
and its client told so. Measured on the library: a raising connect handler sends no frame at all, a raising event
handler no ack, and an event that has no handler is acknowledged as if it were a success.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from types import CoroutineType
from typing import Any, Final, NamedTuple

from chatio.errors import ChatioError, EventUnknown, Unforeseen, answer_to
from chatio.realtime.close_reasons import protocol_violation
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.packets import ProtocolError
from chatio.realtime.library import DisconnectReason, SocketIONamespace
from chatio.realtime.log import report
from chatio.realtime.socketio.connect import Connector
from chatio.realtime.socketio.manager import Manager, Peer
from chatio.realtime.socketio.packets import Packet, PacketType, PartialPacket, decode, encode

# An event handler's result: the client is given no ack, although it asked for one, and is to send the event again.
NO_ACK: Final = object()

_ack_requested: ContextVar[bool] = ContextVar("ack_requested", default=False)


def ack_requested() -> bool:
    """Whether the client asked for an ack to the event that is being handled. Within an event handler only."""
    return _ack_requested.get()


def _refusal(error: ChatioError) -> dict[str, Any]:
    """The ack of an event that was not handled."""
    answer = answer_to(error)
    cause = {"code": answer.code, "message": answer.message}
    if isinstance(error, Unforeseen):
        cause["reference"] = error.reference
    return {"ok": False, "error": cause}


class Handlers(NamedTuple):
    """The application's handlers, in the library's own registers.

    The library calls a handler, and if that raises TypeError calls it again with fewer arguments: a handler with
    a bug of its own runs twice. Here the signature decides beforehand.
    """

    functions: dict[str, dict[str, Callable[..., Any]]]  # by namespace and event
    namespaces: dict[str, Any]  # class-based, by name
    not_handled: object

    async def call(self, event: str, namespace: str, *args: Any) -> Any:
        """The result of an event's handler, or `not_handled`. Raises what the handler raises."""
        handler = self.functions.get(namespace, {}).get(event)
        if handler is None:
            instance = self.namespaces.get(namespace)
            if instance is not None and type(instance).trigger_event is not SocketIONamespace.trigger_event:
                return await instance.trigger_event(event, *args)  # the namespace dispatches by rules of its own
            handler = getattr(instance, f"on_{event}", None)
            if handler is None:
                return self.not_handled
        if event in ("connect", "disconnect") and not _takes(handler, len(args)):
            args = args[:-1]  # connect may do without auth, disconnect without a reason
        result = handler(*args)
        return await result if inspect.isawaitable(result) else result


@lru_cache(maxsize=256)  # 45 µs without
def _takes(handler: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(handler).bind(*[None] * count)
    except TypeError:
        return False
    return True


@dataclass(eq=False)
class Dispatcher:
    """The application of an `EngineServer`. Event loop only."""

    manager: Manager
    handlers: Handlers
    connector: Connector
    environ: dict[str, dict[str, Any]]  # of each open connection, by eio_sid
    takes_binary: bool

    # Called by the engine

    def connected(self, connection: Connection, environ: dict[str, Any]) -> None:
        self.environ[connection.sid] = environ
        peer = self.manager.peers[connection.sid] = Peer(connection)
        self.connector.unconnected.add(peer)

    async def disconnected(self, connection: Connection, reason: str) -> None:
        peer = self.manager.peers.get(connection.sid)
        if peer is not None:
            await self.connector.connection_closed(peer, reason)
            del self.manager.peers[connection.sid], self.environ[connection.sid]

    async def receive(self, connection: Connection, data: str | bytes) -> None:
        peer = self.manager.peers[connection.sid]
        try:
            packet: Packet | None
            if peer.partial is None:
                packet = decode(data)
            elif (packet := peer.partial.attach(data)) is not None:
                peer.partial = None
                self.connector.partial.discard(peer)
            if packet is not None:
                await self._handle(peer, packet)
        except ProtocolError as error:
            connection.refuse(protocol_violation(f"Socket.IO: {error}"))
        except Exception as error:  # the messages behind it would be handled without it
            self.connector.fail(peer, "a client's message", error)

    async def _handle(self, peer: Peer, packet: Packet) -> None:
        kind, namespace = packet.kind, packet.namespace
        is_in_main = namespace == "/" and peer.is_in_main
        if kind is PacketType.CONNECT:
            is_served = namespace in self.handlers.namespaces or namespace in self.handlers.functions
            environ = self.environ[peer.connection.sid] if is_served else None
            if is_served or namespace != "/":
                await self.connector.connect(peer, namespace, packet.data, environ)
            else:
                self.connector.enter_main(peer)
        elif not (namespace in peer.sids or is_in_main or self.connector.is_leaving(peer)):
            raise ProtocolError("not connected")
        elif packet.attachments:
            peer.partial = PartialPacket(packet, peer.connection.max_input_bytes, self.takes_binary)
            self.connector.partial.add(peer)
        elif is_in_main:
            self._in_main(peer, packet)
        elif namespace not in peer.sids or namespace in peer.leaving:
            return  # sent before the client knew that it is refused, or has to leave
        elif kind is PacketType.EVENT:
            sid, (name, *arguments) = peer.sids[namespace], packet.data
            _ack_requested.set(packet.id is not None)
            await self._event(peer, packet, sid, self.handlers.call(str(name), namespace, sid, *arguments))
        elif kind is PacketType.DISCONNECT:
            await self.connector.disconnect(peer, namespace, DisconnectReason.CLIENT_DISCONNECT)
        elif packet.id:  # an ack; our ids begin at 1: the library keeps its counter at 0, and would give it away
            try:
                await self.manager.trigger_callback(peer.sids[namespace], packet.id, packet.data)
            except (Exception, asyncio.CancelledError) as error:
                report("ack callback", error)

    def _in_main(self, peer: Peer, packet: Packet) -> None:
        """Take a packet in "/", which has no handler. Raises ProtocolError."""
        if packet.kind is PacketType.DISCONNECT:
            peer.is_in_main = False
        elif packet.kind is PacketType.EVENT:
            if not peer.sids:
                self.connector.check_refused(peer)
                peer.refused += 1
            if packet.id is not None:
                peer.write("/", encode(PacketType.ACK, "/", [_refusal(EventUnknown())], packet.id))

    async def _event(self, peer: Peer, packet: Packet, sid: str, handling: Awaitable[Any]) -> None:
        """Send the ack of an event when it is handled. An exception is reported, and acknowledged as one.

        A handler may return a coroutine, which returns the ack later: the client's next message is handled
        meanwhile.
        """
        namespace, ack_id = packet.namespace, packet.id
        try:
            result = await handling
            if isinstance(result, CoroutineType):
                peer.connection.host.spawn(self._event(peer, packet, sid, result))
                return
            if result is self.handlers.not_handled:
                result = _refusal(EventUnknown())
            values = list(result) if isinstance(result, tuple) else [] if result is None else [result]
            ack = [] if ack_id is None or result is NO_ACK else encode(PacketType.ACK, namespace, values, ack_id)
        except (Exception, asyncio.CancelledError) as error:
            failure = _refusal(Unforeseen(reference=report("event handler", error)))
            ack = [] if ack_id is None else encode(PacketType.ACK, namespace, [failure], ack_id)
        if peer.connecting == namespace:
            peer.write(namespace, ack)
        elif peer.sids.get(namespace) == sid:
            for part in ack:
                peer.connection.write(part)
