"""Calling the application's handlers: which one, with what, and what is said when it fails.

Measured on the library: a raising connect handler sends no frame at all, a raising event handler no ack, and
an event that nobody handles is acknowledged as if it were a success. Here every callback passes one guard.
"""

import asyncio
from contextvars import ContextVar
from typing import Any, NamedTuple

from socketio.packet import ACK

from chatio.realtime.broadcast.fanout import Fanout
from chatio.realtime.engineio.payload import EncodedPacket
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.invoke import call
from chatio.realtime.library import SocketIONamespace, SocketIOServer
from chatio.realtime.limits import PENDING_OUTPUT_BYTES
from chatio.realtime.log import report

INTERNAL_ERROR = "Internal server error"

_ack_requested: ContextVar[bool] = ContextVar("ack_requested", default=False)


def ack_requested() -> bool:
    """Whether the client asked for an ack to the event that is being handled. Within an event handler only."""
    return _ack_requested.get()


class TemporarilyUnavailable(Exception):
    """Raised by a connect handler: this client cannot join now, and is to come back by itself.

    It is given no answer, since a CONNECT_ERROR would keep it away for good; after a while the connection is
    closed (1013, "try again later"), which it takes for a lost one. The text is for the log.
    """


class Follows(NamedTuple):
    """The log that a client will be delivered, from behind which entry, and the `pid` it may recover by."""

    fanout: Fanout
    after: int
    pid: str


class Connecting:
    """A CONNECT that is being decided.

    What is sent to the namespace meanwhile waits for the answer to go first.
    """

    __slots__ = ("follows", "held", "held_bytes", "namespace")

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.held: list[EncodedPacket] = []
        self.held_bytes = 0
        self.follows: Follows | None = None


class Dispatcher(SocketIOServer):  # type: ignore[misc]
    """The part of the server between a checked packet and the application. Event loop only."""

    eio: EngineServer
    _connecting: dict[str, Connecting]

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
        """Run the handler of one event and send its ack.

        Whatever it raises is reported, and acknowledged as that.
        """
        _ack_requested.set(id is not None)
        try:
            result = await self._trigger_event(str(data[0]), namespace, sid, *data[1:])
            if id is not None and result is not self.not_handled:
                values = list(result) if isinstance(result, tuple) else [] if result is None else [result]
                self._ack(eio_sid, namespace, id, values)
        except (Exception, asyncio.CancelledError) as error:
            raise_if_cancelled(error)
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
            raise_if_cancelled(error)
            report("ack callback", error)

    # Sending

    def encoded(self, packet: Any) -> list[EncodedPacket]:
        """A Socket.IO packet as the Engine.IO messages it consists of: itself and its attachments."""
        encoded = packet.encode()
        return [
            EncodedPacket.message(bytes(part) if isinstance(part, bytearray) else part)
            for part in (encoded if isinstance(encoded, list) else [encoded])
        ]

    def deliver(self, eio_sid: str, namespace: str, packets: list[EncodedPacket]) -> None:
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

    # Handlers

    async def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
        """Call the handler of an event: its result, or `not_handled`.

        A failing disconnect handler is only reported.
        """
        if event != "disconnect":
            return await self._call_handler(event, namespace, args)
        try:
            return await self._call_handler(event, namespace, args)
        except (Exception, asyncio.CancelledError) as error:
            raise_if_cancelled(error)
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
        if type(instance).trigger_event is not SocketIONamespace.trigger_event:
            return await instance.trigger_event(event, *arguments)  # dispatching rules of its own
        method = getattr(instance, f"on_{event}", None)
        if method is None:
            return self.not_handled
        return await call(method, tuple(arguments), optional=optional)

    def _get_event_handler(self, event: str, namespace: str, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """As the library's; but "*" from the wire is an event of that name, not the catch-all's own."""
        if event != "*":
            found: tuple[Any, tuple[Any, ...]] = super()._get_event_handler(event, namespace, args)
            return found
        if "*" in self.handlers.get(namespace, {}):
            return self.handlers[namespace]["*"], ("*", *args)
        if "*" in self.handlers.get("*", {}):
            return self.handlers["*"]["*"], ("*", namespace, *args)
        return None, args


def raise_if_cancelled(error: BaseException) -> None:
    """A cancelled task ends; a handler that merely awaited something cancelled has failed."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
