"""Dispatch: which of the application's handlers is called, with what, and what the client is told when it fails.

Measured on the library: a raising connect handler sends no frame at all, a raising event handler no ack, and
an event that has no handler is acknowledged as if it were a success. Here every handler passes one guard.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from chatio.realtime.invoke import invoke
from chatio.realtime.library import SocketIONamespace
from chatio.realtime.log import report
from chatio.realtime.socketio.manager import Manager
from chatio.realtime.socketio.packets import Packet, PacketType, encode
from chatio.realtime.socketio.peer import Peer

INTERNAL_ERROR: Final = "Internal server error"
_LIFECYCLE_EVENTS: Final = ("connect", "disconnect")  # connect may do without auth, disconnect without a reason

_ack_requested: ContextVar[bool] = ContextVar("ack_requested", default=False)


def ack_requested() -> bool:
    """Whether the client asked for an ack to the event that is being handled. Within an event handler only."""
    return _ack_requested.get()


class Dispatcher:
    """Event loop only."""

    def __init__(
        self,
        manager: Manager,
        handlers: dict[str, dict[str, Callable[..., Any]]],
        namespaces: dict[str, Any],
        not_handled: object,
    ) -> None:
        """`handlers` and `namespaces` (class-based handlers), by namespace: the library's own registers."""
        self._manager = manager
        self._handlers = handlers
        self._namespaces = namespaces
        self._not_handled = not_handled

    def serves(self, namespace: str) -> bool:
        return namespace in self._handlers or namespace in self._namespaces

    async def event(self, peer: Peer, packet: Packet) -> None:
        """Run the handler of an event and send its ack. An exception is reported, and acknowledged as one."""
        sid = self._manager.connected_sid(peer.connection.sid, packet.namespace)
        if sid is None:
            return
        _ack_requested.set(packet.id is not None)
        try:
            result = await self.call(str(packet.data[0]), packet.namespace, sid, *packet.data[1:])
            if packet.id is None or result is self._not_handled:
                return
            values = list(result) if isinstance(result, tuple) else [] if result is None else [result]
            ack = encode(PacketType.ACK, packet.namespace, values, packet.id)
        except (Exception, asyncio.CancelledError) as error:
            raise_if_cancelled(error)
            reference = report("event handler", error)
            if packet.id is None:
                return
            failure = {"code": "internal_error", "message": INTERNAL_ERROR, "reference": reference}
            ack = encode(PacketType.ACK, packet.namespace, [{"ok": False, "error": failure}], packet.id)
        if peer.connecting is None:
            for part in ack:
                peer.connection.write(part)
        else:
            peer.write(packet.namespace, ack)

    async def ack(self, peer: Peer, packet: Packet) -> None:
        """Run the callback that waits for this ack."""
        if packet.id == 0:  # our ids begin at 1; the library keeps its counter at 0, and would give it away
            return
        sid = self._manager.sid_from_eio_sid(peer.connection.sid, packet.namespace)
        try:
            await self._manager.trigger_callback(sid, packet.id, packet.data)
        except (Exception, asyncio.CancelledError) as error:
            raise_if_cancelled(error)
            report("ack callback", error)

    async def call(self, event: str, namespace: str, *args: Any) -> Any:
        """The result of an event's handler, or `not_handled`. Raises what the handler raises."""
        handler = self._handlers.get(namespace, {}).get(event)
        if handler is None:
            instance = self._namespaces.get(namespace)
            if instance is None:
                return self._not_handled
            if type(instance).trigger_event is not SocketIONamespace.trigger_event:
                return await instance.trigger_event(event, *args)  # the namespace dispatches by rules of its own
            handler = getattr(instance, f"on_{event}", None)
            if handler is None:
                return self._not_handled
        return await invoke(handler, args, optional=event in _LIFECYCLE_EVENTS)


def raise_if_cancelled(error: BaseException) -> None:
    """A cancelled task ends; a handler that merely awaited something cancelled has failed."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error
