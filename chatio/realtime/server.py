"""The Socket.IO server: CONNECT, dispatch and the failures of handlers.

`socketio.AsyncServer` keeps the API (`on`, `emit`, `call`, rooms, sessions, namespaces). What comes from the wire
goes through the strict decoders first (packets.py), and each failure has one answer: a peer that breaks the
protocol is closed, a handler that raises is reported once and its client told so, and nothing is left in a table.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import socketio
from socketio.exceptions import ConnectionRefusedError as Refusal
from socketio.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT

from chatio.realtime.calls import call, takes
from chatio.realtime.codec import decode, packet_class
from chatio.realtime.connection import Connection
from chatio.realtime.deadlines import Deadlines
from chatio.realtime.engine import EngineServer, quiet
from chatio.realtime.fanout import Fanout, Log
from chatio.realtime.failures import report
from chatio.realtime.limits import BEFORE_CONNECT_BYTES, MAX_NAMESPACES, PENDING_OUTPUT_BYTES, REFUSED_SECONDS
from chatio.realtime.manager import Manager
from chatio.realtime.outgoing import Outgoing
from chatio.realtime.packets import Kind, Packet, ProtocolError, fill_placeholders

INTERNAL_ERROR = "Internal server error"

_ack_requested: ContextVar[bool] = ContextVar("ack_requested", default=False)


def ack_requested() -> bool:
    """Whether the client asked for an ack to the event that is being handled. Within an event handler only."""
    return _ack_requested.get()


class Connecting:
    """A CONNECT that is being decided: what is sent to the namespace meanwhile waits for the answer to go first."""

    __slots__ = ("decided", "follows", "held", "held_bytes", "namespace")

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.decided: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.held: list[Outgoing] = []
        self.held_bytes = 0
        self.follows: tuple[Fanout, int] | None = None


class Partial:
    """A binary event or ack whose attachments are still coming."""

    __slots__ = ("buffers", "packet", "size_bytes")

    def __init__(self, packet: Packet) -> None:
        self.packet = packet
        self.buffers: list[bytes] = []
        self.size_bytes = 0


class Server(socketio.AsyncServer):  # type: ignore[misc]
    """A `socketio.AsyncServer` whose `eio` is an `EngineServer`. Event loop only, but for registering handlers."""

    eio: EngineServer

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
        """`connect_timeout`: seconds within which a client has joined some namespace (Node: `connectTimeout`, 45 s)."""
        super().__init__(
            client_manager=client_manager or Manager(),
            serializer=packet_class(serializer, json),
            logger=quiet(logger),
            engineio_logger=quiet(engineio_logger),
            first_input_bytes=BEFORE_CONNECT_BYTES,
            **options,
        )
        self._unconnected: Deadlines[str] = Deadlines(connect_timeout, self._connect_timed_out)
        self._refused: Deadlines[str] = Deadlines(REFUSED_SECONDS, self._refused_stays)
        self._connecting: dict[str, Connecting] = {}
        self._fanouts: dict[str, Fanout] = {}
        self._partial: dict[str, Partial] = {}

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer

    # Logs

    def create_fanout(
        self, namespace: str, log: Log, event: Callable[[Any], list[Any]], *, slow_client_seconds: float = 30.0
    ) -> Fanout:
        """What delivers `log` to clients of `namespace`: each entry as `event(entry)`, a name and its arguments.

        One log a namespace, and one for each connection. A client that takes nothing for `slow_client_seconds`
        while there is something for it is dropped.
        """

        def encode(entry: Any) -> Outgoing:
            (packet,) = self.encoded(self.packet_class(namespace=namespace, data=event(entry)))
            return packet

        fanout = self._fanouts[namespace] = Fanout(log, encode, slow_seconds=slow_client_seconds)
        return fanout

    def follow(self, sid: str, namespace: str, after: int) -> None:
        """Deliver the namespace's log to `sid` from behind entry number `after`; within its connect handler, from
        when its CONNECT is answered. Ends when it leaves the namespace."""
        eio_sid = self.manager.eio_sid_from_sid(sid, namespace)
        connecting = self._connecting.get(eio_sid)
        if connecting is not None:
            connecting.follows = self._fanouts[namespace], after
        elif (connection := self.eio.sockets.get(eio_sid)) is not None:
            self._fanouts[namespace].join(connection, after)

    async def drop_all(self) -> None:
        """Let go of every client so that it comes back by itself (no DISCONNECT packet), and take no new one."""
        await self.eio.drop_all()

    # Sending

    def encoded(self, packet: Any) -> list[Outgoing]:
        """A Socket.IO packet as the Engine.IO messages it consists of: itself and its attachments."""
        encoded = packet.encode()
        return [
            Outgoing.message(bytes(part) if isinstance(part, bytearray) else part)
            for part in (encoded if isinstance(encoded, list) else [encoded])
        ]

    def deliver(self, eio_sid: str, namespace: str, packets: list[Outgoing]) -> None:
        """Send `packets` to one connection, in order; after the CONNECT answer if that is not out yet."""
        connection = self.eio.sockets.get(eio_sid)
        if connection is None:
            return
        connecting = self._connecting.get(eio_sid)
        if connecting is None or connecting.namespace != namespace:
            for packet in packets:
                connection.write(packet)
            return
        connecting.held += packets
        connecting.held_bytes += sum(packet.size_bytes for packet in packets)
        if connecting.held_bytes > PENDING_OUTPUT_BYTES:
            connecting.held.clear()
            connection.refuse("output not taken")

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        self.deliver(eio_sid, pkt.namespace or "/", self.encoded(pkt))

    def _answer(self, eio_sid: str, kind: int, namespace: str, data: Any, ack_id: int | None = None) -> None:
        for packet in self.encoded(self.packet_class(kind, namespace=namespace, data=data, id=ack_id)):
            self.eio.write(eio_sid, packet)

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
        self._partial.pop(eio_sid, None)
        connecting = self._connecting.get(eio_sid)
        if connecting is not None:  # its handler runs; what it accepted, it is told the end of
            await asyncio.shield(connecting.decided)
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
            packet = self._whole_packet(connection, data)
            if packet is not None:
                await self._dispatch(connection, packet)
        except ProtocolError as error:
            connection.refuse(f"Socket.IO: {error}")

    def _whole_packet(self, connection: Connection, data: str | bytes) -> Packet | None:
        """The packet that `data` is or completes; None while attachments are missing. Raises ProtocolError."""
        partial = self._partial.get(connection.sid)
        if partial is None:
            packet = decode(data, self.packet_class)
            if not packet.attachments:
                is_binary = packet.kind in (Kind.BINARY_EVENT, Kind.BINARY_ACK)
                return fill_placeholders(packet, []) if is_binary else packet
            if packet.namespace not in connection.namespaces:
                raise ProtocolError("not connected")
            self._partial[connection.sid] = Partial(packet)
            return None
        if not isinstance(data, bytes):
            raise ProtocolError("text instead of an attachment")
        partial.size_bytes += len(data)
        if partial.size_bytes > self.eio.max_http_buffer_size:
            raise ProtocolError("attachments' size")
        partial.buffers.append(data)
        if len(partial.buffers) < partial.packet.attachments:
            return None
        del self._partial[connection.sid]
        return fill_placeholders(partial.packet, partial.buffers)

    async def _dispatch(self, connection: Connection, packet: Packet) -> None:
        eio_sid, namespace = connection.sid, packet.namespace
        if packet.kind is Kind.CONNECT:
            await self._handle_connect(eio_sid, namespace, packet.data)
        elif namespace not in connection.namespaces:
            raise ProtocolError("not connected")
        elif packet.kind is Kind.DISCONNECT:
            await self._handle_disconnect(eio_sid, namespace, self.reason.CLIENT_DISCONNECT)
        elif packet.kind in (Kind.EVENT, Kind.BINARY_EVENT):
            await self._handle_event(eio_sid, namespace, packet.id, packet.data)
        else:
            await self._handle_ack(eio_sid, namespace, packet.id, packet.data)

    # CONNECT

    async def _handle_connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        connection = self.eio.sockets[eio_sid]
        if not self._serves(namespace):
            self._refuse(connection, namespace, {"message": "Invalid namespace"})
            return
        if len(connection.namespaces) >= MAX_NAMESPACES:
            raise ProtocolError("namespaces")
        sid = await self.manager.pre_connect(eio_sid, namespace)
        if sid is None:
            raise ProtocolError("CONNECT twice")
        if self.always_connect:
            self._answer(eio_sid, CONNECT, namespace, {"sid": sid})
            await self._join(connection, namespace, sid)
        connecting = self._connecting[eio_sid] = Connecting(namespace)
        if self.always_connect:
            connecting.namespace = ""  # its answer is out: nothing is held
        refusal: Any = {"message": INTERNAL_ERROR}
        try:
            refusal = await self._decide(eio_sid, namespace, sid, data)
        finally:
            del self._connecting[eio_sid]
            if refusal is not None:
                self._leave(connection, namespace)
                await self.manager.disconnect(sid, namespace, ignore_queue=True)
            elif not self.always_connect:
                await self._join(connection, namespace, sid)
            connecting.decided.set_result(None)
        if refusal is not None:
            self._refuse(connection, namespace, refusal)
        elif not self.always_connect:
            self._answer(eio_sid, CONNECT, namespace, {"sid": sid})
            for packet in connecting.held:
                connection.write(packet)
            if connecting.follows is not None and not connection.closing:
                fanout, after = connecting.follows
                fanout.join(connection, after)

    def _serves(self, namespace: str) -> bool:
        return (
            namespace in self.handlers
            or namespace in self.namespace_handlers
            or self.namespaces == "*"
            or namespace in self.namespaces
        )

    async def _decide(self, eio_sid: str, namespace: str, sid: str, data: Any) -> Any:
        """Run the connect handler: None if it accepts, else what CONNECT_ERROR says."""
        try:
            accepted = await self._trigger_event(
                "connect", namespace, sid, self.environ[eio_sid], data or None
            )
        except Refusal as refusal:
            return refusal.error_args
        except ConnectionRefusedError:
            return {"message": "Connection refused by server"}
        except (Exception, asyncio.CancelledError) as error:
            _raise_if_cancelled(error)
            report("connect handler", error)
            return {"message": INTERNAL_ERROR}
        return Refusal().error_args if accepted is False else None

    async def _join(self, connection: Connection, namespace: str, sid: str) -> None:
        await self.manager.connect(sid, namespace)
        connection.namespaces = (*connection.namespaces, namespace)
        connection.max_input_bytes = self.eio.max_http_buffer_size
        self._unconnected.discard(connection.sid)

    def _leave(self, connection: Connection, namespace: str) -> None:
        """The connection is not in `namespace` any more; if in none at all, it has the time of a new one to join."""
        if namespace in self._fanouts:
            self._fanouts[namespace].leave(connection)
        connection.namespaces = tuple(name for name in connection.namespaces if name != namespace)
        if not connection.namespaces and not connection.closing:
            self._unconnected.add(connection.sid)

    def _refuse(self, connection: Connection, namespace: str, refusal: Any) -> None:
        """Answer a CONNECT with an error, once, and close the connection soon unless it is of other use."""
        kind = (
            DISCONNECT
            if self.always_connect and refusal != {"message": "Invalid namespace"}
            else CONNECT_ERROR
        )
        try:
            self._answer(connection.sid, kind, namespace, refusal)
        except Exception as error:  # what a handler gave its refusal to say was no JSON
            report("connect refusal", error)
            self._answer(connection.sid, kind, namespace, {"message": INTERNAL_ERROR})
        if not connection.namespaces and not connection.closing:
            self._refused.add(connection.sid)

    # DISCONNECT

    async def _handle_disconnect(self, eio_sid: str, namespace: str, reason: str | None = None) -> None:
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if sid is None or not self.manager.is_connected(sid, namespace):
            return
        self.manager.pre_disconnect(sid, namespace=namespace)
        self._partial.pop(eio_sid, None)
        try:
            await self._trigger_event("disconnect", namespace, sid, reason or self.reason.CLIENT_DISCONNECT)
        finally:
            connection = self.eio.sockets.get(eio_sid)
            if connection is not None:
                self._leave(connection, namespace)
            await self.manager.disconnect(sid, namespace, ignore_queue=True)

    async def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Disconnect a client from a namespace, as the library does; its connection stays open for a while."""
        namespace = namespace or "/"
        eio_sid = self.manager.eio_sid_from_sid(sid, namespace)
        await super().disconnect(sid, namespace=namespace, ignore_queue=ignore_queue)
        if eio_sid is not None and self.manager.sid_from_eio_sid(eio_sid, namespace) is None:
            connection = self.eio.sockets.get(eio_sid)
            if connection is not None:
                self._leave(connection, namespace)

    # Events and acknowledgements

    async def _handle_event(self, eio_sid: str, namespace: str, id: int | None, data: list[Any]) -> None:  # noqa: A002
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if sid is None or not self.manager.is_connected(sid, namespace):
            return
        running = self._handle_event_internal(self, sid, eio_sid, data, namespace, id)
        if not self.async_handlers:
            await running
            return
        connection = self.eio.sockets[eio_sid]
        connection.running_handlers += 1
        self.eio.spawn(running).add_done_callback(lambda _task: connection.handler_done())

    async def _handle_event_internal(
        self,
        server: Any,
        sid: str,
        eio_sid: str,
        data: list[Any],
        namespace: str,
        id: int | None,  # noqa: A002
    ) -> None:
        """Run the handler of one event and send its ack. Whatever it raises is reported, and acknowledged as that."""
        _ack_requested.set(id is not None)
        try:
            result = await self._trigger_event(str(data[0]), namespace, sid, *data[1:])
            if id is not None and result is not self.not_handled:
                values = list(result) if isinstance(result, tuple) else [] if result is None else [result]
                self._ack(eio_sid, namespace, id, values)
        except (Exception, asyncio.CancelledError) as error:
            _raise_if_cancelled(error)
            reference = report("event handler", error)
            if id is not None:
                failure = {"code": "internal_error", "message": INTERNAL_ERROR, "reference": reference}
                self._ack(eio_sid, namespace, id, [{"ok": False, "error": failure}])

    def _ack(self, eio_sid: str, namespace: str, ack_id: int, values: list[Any]) -> None:
        self.deliver(
            eio_sid,
            namespace,
            self.encoded(self.packet_class(ACK, namespace=namespace, id=ack_id, data=values)),
        )

    async def _handle_ack(self, eio_sid: str, namespace: str, id: int | None, data: list[Any]) -> None:  # noqa: A002
        if id == 0:  # our ids begin at 1; the library keeps its counter at 0, and would give it away
            return
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        try:
            await self.manager.trigger_callback(sid, id, data)
        except (Exception, asyncio.CancelledError) as error:
            _raise_if_cancelled(error)
            report("ack callback", error)

    # Handlers

    async def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
        """Call the handler of an event: its result, or `not_handled`. A failing disconnect handler is only reported."""
        if event != "disconnect":
            return await self._call_handler(event, namespace, args)
        try:
            return await self._call_handler(event, namespace, args)
        except (Exception, asyncio.CancelledError) as error:
            _raise_if_cancelled(error)
            report("disconnect handler", error)
            return None

    async def _call_handler(self, event: str, namespace: str, args: tuple[Any, ...]) -> Any:
        optional = event in self.reserved_events  # connect may do without auth, disconnect without a reason
        handler, arguments = self._get_event_handler(event, namespace, args)
        if handler is not None:
            return await call(handler, tuple(arguments), optional=optional)
        instance, arguments = self._get_namespace_handler(namespace, args)
        if instance is None:
            return self.not_handled
        if type(instance).trigger_event is not socketio.AsyncNamespace.trigger_event:
            return await instance.trigger_event(event, *arguments)  # dispatching rules of its own
        method = getattr(instance, f"on_{event}", None)
        if method is None:
            return self.not_handled
        return await call(method, tuple(arguments), optional=optional)

    def _get_event_handler(
        self, event: str, namespace: str, args: tuple[Any, ...]
    ) -> tuple[Any, tuple[Any, ...]]:
        """As the library's; but "*" from the wire is an event of that name, not the catch-all's own."""
        if event != "*":
            found: tuple[Any, tuple[Any, ...]] = super()._get_event_handler(event, namespace, args)
            return found
        if "*" in self.handlers.get(namespace, {}):
            return self.handlers[namespace]["*"], ("*", *args)
        if "*" in self.handlers.get("*", {}):
            return self.handlers["*"]["*"], ("*", namespace, *args)
        return None, args


def _raise_if_cancelled(error: BaseException) -> None:
    """A cancelled task ends; a handler that merely awaited something cancelled has failed."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
