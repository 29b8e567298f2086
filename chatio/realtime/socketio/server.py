"""The Socket.IO server: what comes from below is checked, and given to the part that answers it.

`socketio.AsyncServer` keeps the API (`on`, `emit`, `call`, rooms, sessions, namespaces). What comes from the
wire goes through the strict decoders first (packets.py), and each failure has one answer: a peer that breaks
the protocol is closed, a handler that raises is reported once and its client told so, and nothing is left in
a table.
"""

from collections.abc import Callable
from typing import Any

from chatio.realtime.broadcast.cursor import Log
from chatio.realtime.broadcast.fanout import Fanout
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.drain import Drain, Handover
from chatio.realtime.engineio.payload import EncodedPacket
from chatio.realtime.engineio.server import EngineServer, F, quiet, unchanged
from chatio.realtime.limits import BEFORE_CONNECT_BYTES, LATER_SECONDS, REFUSED_SECONDS
from chatio.realtime.socketio.attachments import Assembly
from chatio.realtime.socketio.connect import Joining
from chatio.realtime.socketio.dispatch import Connecting, Follows
from chatio.realtime.socketio.manager import Manager
from chatio.realtime.socketio.packets import Kind, Packet, ProtocolError
from chatio.realtime.socketio.serializer import packet_class
from chatio.realtime.websocket.frames import TRY_AGAIN_LATER
from chatio.realtime.websocket.timeouts import TimeoutQueue


class Server(Joining):
    """A `socketio.AsyncServer` whose `eio` is an `EngineServer`.

    Event loop only, but for registering handlers.
    """

    def __init__(
        self,
        *,
        connect_timeout: float = 45.0,
        client_manager: Any = None,
        serializer: Any = "default",
        json: Any = None,
        logger: Any = False,
        engineio_logger: Any = False,
        **options: Any,
    ) -> None:
        """`connect_timeout`.

        Seconds within which a client has joined some namespace (Node's `connectTimeout`).
        """
        super().__init__(
            client_manager=client_manager or Manager(),
            serializer=packet_class(serializer, json),
            logger=quiet(logger),
            engineio_logger=quiet(engineio_logger),
            first_input_bytes=BEFORE_CONNECT_BYTES,
            **options,
        )
        self._unconnected: TimeoutQueue[str] = TimeoutQueue(connect_timeout, self._connect_timed_out)
        self._refused: TimeoutQueue[str] = TimeoutQueue(REFUSED_SECONDS, self._refused_stays)
        self._later: TimeoutQueue[str] = TimeoutQueue(LATER_SECONDS, self._come_again)
        self._connecting: dict[str, Connecting] = {}
        self._fanouts: dict[str, Fanout] = {}
        self.is_leaving = False
        self._departure = Drain(self.eio)
        self._assembly = Assembly(self.packet_class, self.eio.max_http_buffer_size)

    def on(self, event: str, handler: Any = None, namespace: str | None = None) -> Callable[[F], F]:
        """Register a handler, as the library does; a decorator without `handler`, and typed as one."""
        return super().on(event, handler, namespace) or unchanged

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer

    # Logs

    def create_fanout(
        self, namespace: str, log: Log, event: Callable[[Any], list[Any]], *, slow_client_seconds: float = 30.0
    ) -> Fanout:
        """What delivers `log` to the clients of `namespace`: each entry as `event(entry)`, a name and arguments.

        One log a namespace, and one a connection. A client that takes nothing for `slow_client_seconds` while
        there is something for it is dropped.
        """

        def encode(entry: Any) -> EncodedPacket:
            (packet,) = self.encoded(self.packet_class(namespace=namespace, data=event(entry)))
            return packet

        fanout = self._fanouts[namespace] = Fanout(log, encode, slow_seconds=slow_client_seconds)
        return fanout

    def aside(self, namespace: str, event: str, data: dict[str, Any], *, but: str | None = None) -> None:
        """Send an event to all who follow the namespace's log and are up to date, but for the sid `but`.

        Not of the log: who lags, or comes later, does without.
        """
        (packet,) = self.encoded(self.packet_class(namespace=namespace, data=[event, data]))
        eio_sid = None if but is None else self.manager.eio_sid_from_sid(but, namespace)
        self._fanouts[namespace].aside(packet, but=self.eio.sockets.get(eio_sid))

    def follow(self, sid: str, namespace: str, after: int, pid: str) -> None:
        """Deliver the namespace's log to `sid` from behind entry number `after`, until it leaves the namespace.

        For its connect handler: `pid` goes into the answer to its CONNECT, and the log follows that.
        """
        connecting = self._connecting[self.manager.eio_sid_from_sid(sid, namespace)]
        connecting.follows = Follows(self._fanouts[namespace], after, pid)

    def backlog(self, sid: str, namespace: str) -> int:
        """How many messages have come from the connection of `sid` behind the one that is being handled."""
        connection = self.eio.sockets.get(self.manager.eio_sid_from_sid(sid, namespace))
        return 0 if connection is None or connection.inbox is None else len(connection.inbox)

    def expel(self, sid: str, namespace: str, rule: str) -> None:
        """Close the connection of `sid` for breaking `rule`, without a DISCONNECT packet: it may come back."""
        eio_sid = self.manager.eio_sid_from_sid(sid, namespace)
        if eio_sid is not None:
            self._close(eio_sid, rule)

    # Leaving

    @property
    def connections(self) -> int:
        return len(self.eio.sockets)

    async def leave(self, seconds: float, handover: Handover | None = None) -> None:
        """Take nobody new, and let everybody go within `seconds`, so that they come back: see `Drain`.

        Who is there is served until then; with a `handover` newcomers are too.
        """
        self.is_leaving = True
        await self._departure.run(seconds, handover)

    def let_go(self, sid: str, namespace: str) -> None:
        """Let one client go before its turn, while everybody leaves."""
        connection = self.eio.sockets.get(self.manager.eio_sid_from_sid(sid, namespace))
        if connection is not None:
            self._departure.hurry(connection)

    # The connection below

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        if not self.manager_initialized:
            self.manager_initialized = True
            self.manager.initialize()
        self.environ[eio_sid] = environ
        self._unconnected.add(eio_sid)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        self._unconnected.discard(eio_sid)
        self._refused.discard(eio_sid)
        self._later.discard(eio_sid)
        self._assembly.discard(eio_sid)
        self._connecting.pop(eio_sid, None)
        connection = self.eio.sockets.get(eio_sid)
        for namespace in connection.namespaces if connection is not None else ():
            await self._handle_disconnect(eio_sid, namespace, reason)
        self.environ.pop(eio_sid, None)

    def _connect_timed_out(self, eio_sid: str) -> None:
        self._close(eio_sid, "no CONNECT")

    def _refused_stays(self, eio_sid: str) -> None:
        connection = self.eio.sockets.get(eio_sid)
        if connection is not None and not connection.namespaces and eio_sid not in self._connecting:
            connection.drop(self.reason.SERVER_DISCONNECT)

    def _come_again(self, eio_sid: str) -> None:
        connection = self.eio.sockets.get(eio_sid)
        if connection is not None and not connection.namespaces and eio_sid not in self._connecting:
            connection.drop(self.reason.SERVER_DISCONNECT, code=TRY_AGAIN_LATER)

    def _close(self, eio_sid: str, rule: str) -> None:
        connection = self.eio.sockets.get(eio_sid)
        if connection is not None:
            connection.refuse(rule)

    # What arrives

    async def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> None:
        connection = self.eio.sockets.get(eio_sid)
        if connection is None:
            return
        try:
            packet = self._assembly.receive(eio_sid, data, connection.namespaces)
            if packet is not None:
                await self._dispatch(connection, packet)
        except ProtocolError as error:
            connection.refuse(f"Socket.IO: {error}")

    async def _dispatch(self, connection: Connection, packet: Packet) -> None:
        eio_sid, namespace = connection.sid, packet.namespace
        if packet.kind is Kind.CONNECT:
            await self._handle_connect(eio_sid, namespace, packet.data)
        elif namespace not in connection.namespaces:
            if eio_sid in self._refused:  # sent before it knew that it is not in there
                return
            raise ProtocolError("not connected")
        elif packet.kind is Kind.DISCONNECT:
            await self._handle_disconnect(eio_sid, namespace, self.reason.CLIENT_DISCONNECT)
        elif packet.kind in (Kind.EVENT, Kind.BINARY_EVENT):
            await self._handle_event(eio_sid, namespace, packet.id, packet.data)
        else:
            await self._handle_ack(eio_sid, namespace, packet.id, packet.data)
