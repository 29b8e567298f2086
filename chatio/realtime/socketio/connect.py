"""Coming into a namespace and leaving it: CONNECT and DISCONNECT.

The library tells a client that is being decided upon what happens in the namespace already, sends its CONNECT
answer after what its connect handler sent, keeps it for ever if it leaves meanwhile or the handler raises,
and keeps the connection of one it refused. Here what is sent to it waits for the answer, and whatever happens
the tables end as they began.
"""

import asyncio
from typing import Any

from socketio.exceptions import ConnectionRefusedError as Refusal
from socketio.packet import CONNECT, CONNECT_ERROR, DISCONNECT

from chatio.realtime.broadcast.fanout import Fanout
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.limits import CONNECT_GAP_SECONDS, MAX_NAMESPACES, MAX_REFUSED_CONNECTS
from chatio.realtime.log import report
from chatio.realtime.socketio.attachments import Assembly
from chatio.realtime.socketio.dispatch import (
    INTERNAL_ERROR,
    Connecting,
    Dispatcher,
    TemporarilyUnavailable,
    raise_if_cancelled,
)
from chatio.realtime.socketio.packets import ProtocolError
from chatio.realtime.websocket.timeouts import TimeoutQueue


class Joining(Dispatcher):
    """The part of the server that says who is in a namespace. Event loop only."""

    _assembly: Assembly
    manager_initialized: bool
    _unconnected: TimeoutQueue[str]
    _refused: TimeoutQueue[str]
    _later: TimeoutQueue[str]
    _fanouts: dict[str, Fanout]

    # CONNECT

    async def _handle_connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        connection = self.eio.sockets[eio_sid]
        if connection.refused_connects >= MAX_REFUSED_CONNECTS:
            raise ProtocolError("CONNECT refused too often")
        if not self._serves(namespace):
            self._refuse(connection, namespace, {"message": "Invalid namespace"})
            return
        if len(connection.namespaces) >= MAX_NAMESPACES:
            raise ProtocolError("namespaces")
        sid = await self.manager.pre_connect(eio_sid, namespace)
        if sid is None:
            raise ProtocolError("CONNECT twice")
        self._release(eio_sid, self._connecting.get(eio_sid))  # of a namespace that was joined a moment ago
        connecting = self._connecting[eio_sid] = Connecting(namespace)
        if self.always_connect:
            self._answer(eio_sid, CONNECT, namespace, {"sid": sid})
            await self._join(connection, namespace, sid)
            self._release_soon(eio_sid, connecting)
        refusal: Any = {"message": INTERNAL_ERROR}
        try:
            refusal = await self._decide(eio_sid, namespace, sid, data)
        finally:
            if refusal is not None:
                self._leave(connection, namespace)
                await self.manager.disconnect(sid, namespace, ignore_queue=True)
            elif not self.always_connect:
                await self._join(connection, namespace, sid)
        if refusal is not None:
            self._connecting.pop(eio_sid, None)
            self._refuse(connection, namespace, refusal)
        elif not self.always_connect:
            answer = {"sid": sid}
            if connecting.follows is not None:
                answer["pid"] = connecting.follows.pid
            self._answer(eio_sid, CONNECT, namespace, answer)
            if connecting.held:
                self._release_soon(eio_sid, connecting)
            else:
                self._release(eio_sid, connecting)

    def _release_soon(self, eio_sid: str, connecting: Connecting) -> None:
        asyncio.get_running_loop().call_later(
            CONNECT_GAP_SECONDS,
            self._release,
            eio_sid,
            connecting,
        )

    def _release(self, eio_sid: str, connecting: Connecting | None) -> None:
        """Send what was held behind a CONNECT answer, unless that was done."""
        if connecting is None or self._connecting.get(eio_sid) is not connecting:
            return
        del self._connecting[eio_sid]
        connection = self.eio.sockets.get(eio_sid)
        if connection is not None:
            for packet in connecting.held:
                connection.write(packet)
            is_still_in = connecting.namespace in connection.namespaces and not connection.closing
            if connecting.follows is not None and is_still_in:
                connecting.follows.fanout.join(connection, connecting.follows.after)

    def _serves(self, namespace: str) -> bool:
        return (
            namespace in self.handlers
            or namespace in self.namespace_handlers
            or self.namespaces == "*"
            or namespace in self.namespaces
        )

    async def _decide(self, eio_sid: str, namespace: str, sid: str, data: Any) -> Any:
        """Run the connect handler: None if it accepts, else what CONNECT_ERROR says, or a TryLater."""
        try:
            accepted = await self._trigger_event("connect", namespace, sid, self.environ[eio_sid], data or None)
        except Refusal as refusal:
            return refusal.error_args
        except TemporarilyUnavailable as later:
            return later
        except ConnectionRefusedError:
            return {"message": "Connection refused by server"}
        except (Exception, asyncio.CancelledError) as error:
            raise_if_cancelled(error)
            report("connect handler", error)
            return {"message": INTERNAL_ERROR}
        return {"message": "Connection rejected by server"} if accepted is False else None

    async def _join(self, connection: Connection, namespace: str, sid: str) -> None:
        await self.manager.connect(sid, namespace)
        connection.namespaces = (*connection.namespaces, namespace)
        connection.max_input_bytes = self.eio.max_http_buffer_size
        self._unconnected.discard(connection.sid)

    def _leave(self, connection: Connection, namespace: str) -> None:
        """The connection is not in `namespace` any more.

        If in none at all, it has the time of a new one to join.
        """
        connection.namespaces = tuple(name for name in connection.namespaces if name != namespace)
        if (fanout := self._fanouts.get(namespace)) is not None:
            fanout.leave(connection)
        if not connection.namespaces and not connection.closing:
            self._unconnected.add(connection.sid)

    def _refuse(self, connection: Connection, namespace: str, refusal: Any) -> None:
        """Answer a CONNECT with an error, once, and close the connection soon unless it is of other use."""
        if isinstance(refusal, TemporarilyUnavailable):
            self.eio.refused(connection.address, str(refusal))
            self._later.add(connection.sid)
            return
        connection.refused_connects += 1
        kind = DISCONNECT if self.always_connect and refusal != {"message": "Invalid namespace"} else CONNECT_ERROR
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
        self._assembly.discard(eio_sid)
        try:
            await self._trigger_event("disconnect", namespace, sid, reason or self.reason.CLIENT_DISCONNECT)
        finally:
            connection = self.eio.sockets.get(eio_sid)
            if connection is not None:
                self._leave(connection, namespace)
            await self.manager.disconnect(sid, namespace, ignore_queue=True)

    async def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Disconnect a client from a namespace, as the library does.

        Its connection stays open for a while.
        """
        namespace = namespace or "/"
        eio_sid = self.manager.eio_sid_from_sid(sid, namespace)
        await super().disconnect(sid, namespace=namespace, ignore_queue=ignore_queue)
        if eio_sid is not None and self.manager.sid_from_eio_sid(eio_sid, namespace) is None:
            connection = self.eio.sockets.get(eio_sid)
            if connection is not None:
                self._leave(connection, namespace)

    async def dismiss(self, sid: str, namespace: str, event: str, data: dict[str, Any]) -> None:
        """Tell a client by `event` why it has to go, disconnect it, and close its connection soon after.

        Never waits for the client: one that takes nothing is gone within the same time. It does not come back by
        itself, since a DISCONNECT tells it not to. Without effect if `sid` is not connected.
        """
        eio_sid = self.manager.eio_sid_from_sid(sid, namespace)
        await self.emit(event, data, to=sid, namespace=namespace)
        await self.disconnect(sid, namespace=namespace)
        connection = self.eio.sockets.get(eio_sid)
        if connection is not None and not connection.namespaces and not connection.closing:
            self._refused.add(eio_sid)
