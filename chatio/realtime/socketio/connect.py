"""CONNECT and DISCONNECT: how a client enters a namespace and leaves it.

The library tells a client that is being decided upon what happens in the namespace already, sends its CONNECT
answer after the packets of its connect handler, keeps it for ever if it leaves meanwhile or the handler raises,
and keeps the connection of a client that it refused. Here packets to the client wait for the answer, and in each
case the tables end as they began.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from socketio.exceptions import ConnectionRefusedError as ConnectRefused

from chatio.realtime.broadcast.fanout import Fanout
from chatio.realtime.close_reasons import CONNECT_TIMEOUT, TRY_AGAIN_LATER, CloseReason
from chatio.realtime.engineio.packets import ProtocolError
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.invoke import INTERNAL_ERROR, raise_if_cancelled
from chatio.realtime.library import DisconnectReason
from chatio.realtime.limits import (
    CONNECT_GAP_SECONDS,
    LATER_SECONDS,
    MAX_NAMESPACES,
    MAX_REFUSED_CONNECTS,
    REFUSED_SECONDS,
    SESSION_ID_BYTES,
)
from chatio.realtime.log import report
from chatio.realtime.socketio.manager import LogStart, Manager, Peer
from chatio.realtime.socketio.packets import PacketType, encode
from chatio.realtime.websocket.timeouts import TimeoutQueue

# The call of a handler: event, namespace, arguments.
Call = Callable[..., Awaitable[Any]]


class TemporarilyUnavailable(Exception):
    """Raised by a connect handler: this client cannot enter now, and is to come back by itself.

    It gets no answer, since a CONNECT_ERROR would keep it away for good; after a while its connection is closed
    (1013, "try again later"), which it takes for a lost one.
    """

    def __init__(self, reason: CloseReason) -> None:
        super().__init__(reason.text)
        self.reason = reason


class Connector:
    """Decides which client is in which namespace. Event loop only."""

    def __init__(
        self,
        engine: EngineServer,
        manager: Manager,
        call: Call,
        *,
        environ: dict[str, dict[str, Any]],
        connect_timeout: float,
    ) -> None:
        """`call` runs the handlers of "connect" and "disconnect". `environ`: by eio_sid."""
        self._engine = engine
        self._manager = manager
        self._call = call
        self._environ = environ
        self.fanouts: dict[str, Fanout] = {}  # by namespace
        # Connections in no namespace; with a refused CONNECT; to be closed for a while.
        self.unconnected: TimeoutQueue[Peer] = TimeoutQueue(
            connect_timeout, lambda peer: peer.connection.refuse(CONNECT_TIMEOUT)
        )
        self.refused: TimeoutQueue[Peer] = TimeoutQueue(REFUSED_SECONDS, _drop_if_idle)
        self.later: TimeoutQueue[Peer] = TimeoutQueue(
            LATER_SECONDS, lambda peer: _drop_if_idle(peer, TRY_AGAIN_LATER)
        )

    # CONNECT

    async def connect(self, peer: Peer, namespace: str, auth: Any, *, is_served: bool) -> None:
        """Answer a CONNECT. Raises ProtocolError."""
        connection, manager = peer.connection, self._manager
        if peer.refused_connects >= MAX_REFUSED_CONNECTS:
            raise ProtocolError("CONNECT refused too often")
        if not is_served:
            self._refuse(peer, namespace, {"message": "Invalid namespace"})
            return
        if (left := peer.leaving.get(namespace)) is not None:  # by the server: the client may come back at once
            await left.wait()
        if connection.closing:
            return
        if namespace in peer.sids:
            raise ProtocolError("CONNECT twice")
        if len(peer.sids) >= MAX_NAMESPACES:
            raise ProtocolError("namespaces")
        if peer.connecting is not None:  # a namespace that the client entered a moment ago
            self._release(peer, peer.connecting, peer.sids[peer.connecting])
        sid = secrets.token_urlsafe(SESSION_ID_BYTES)
        manager.basic_enter_room(sid, namespace, None, eio_sid=connection.sid)
        peer.connecting = namespace
        refusal: Any = {"message": INTERNAL_ERROR}
        try:
            accepted = await self._call("connect", namespace, sid, self._environ[connection.sid], auth or None)
            refusal = {"message": "Connection rejected by server"} if accepted is False else None
        except (Exception, asyncio.CancelledError) as error:
            refusal = _refusal_of(error)
        finally:
            if refusal is not None:
                peer.take_deferred()
                peer.log_start = None
                self._leave(peer, namespace, sid)
        if refusal is not None:
            self._refuse(peer, namespace, refusal)
            return
        peer.sids[namespace] = sid
        connection.signed_in(self._engine.max_http_buffer_size)
        self.unconnected.discard(peer)
        answer = {"sid": sid} if peer.log_start is None else {"sid": sid, "pid": peer.log_start.pid}
        for packet in encode(PacketType.CONNECT, namespace, answer):
            connection.write(packet)
        if peer.deferred:
            asyncio.get_running_loop().call_later(CONNECT_GAP_SECONDS, self._release, peer, namespace, sid)
            return
        peer.connecting = None
        self._follow(peer, namespace)

    def follow(self, sid: str, namespace: str, after: int, pid: str) -> None:
        """See `Server.follow`."""
        peer = self._manager.peers.get(self._manager.rooms[namespace][None][sid])
        if peer is not None:
            peer.log_start = LogStart(self.fanouts[namespace], after, pid)

    def _release(self, peer: Peer, namespace: str, sid: str) -> None:
        """Send the packets that were deferred behind the CONNECT answer to `sid`, and then the log, once."""
        if peer.connecting == namespace and peer.sids.get(namespace) == sid:
            for packet in peer.take_deferred():
                peer.connection.write(packet)
            self._follow(peer, namespace)

    def _follow(self, peer: Peer, namespace: str) -> None:
        connection, start, peer.log_start = peer.connection, peer.log_start, None
        if start is not None and namespace in peer.sids and not connection.closing:
            cursor = connection.subscription = start.fanout.join(connection, start.after)
            peer.following = namespace, start.fanout, cursor

    def _refuse(self, peer: Peer, namespace: str, refusal: Any) -> None:
        """Answer a CONNECT with an error, once, and close the connection soon unless it is in a namespace."""
        if isinstance(refusal, TemporarilyUnavailable):
            self._engine.refused(peer.connection.address, refusal.reason)
            self.later.add(peer)
            return
        peer.refused_connects += 1
        try:
            packets = encode(PacketType.CONNECT_ERROR, namespace, refusal)
        except Exception as error:  # the data that the handler refused with has no JSON
            report("connect refusal", error)
            packets = encode(PacketType.CONNECT_ERROR, namespace, {"message": INTERNAL_ERROR})
        for packet in packets:
            peer.connection.write(packet)
        self.close_soon(peer)

    def close_soon(self, peer: Peer) -> None:
        """Close the connection after `REFUSED_SECONDS`, unless its client is in a namespace by then."""
        if not peer.sids and not peer.connection.closing:
            self.refused.add(peer)

    # DISCONNECT

    async def disconnect(self, peer: Peer, namespace: str, reason: str, *, tells_client: bool = False) -> None:
        """Take a client out of `namespace`, by its own wish or ours; without effect if it is not in there.

        The disconnect handler still finds the client's rooms and session.
        """
        sid = peer.sids.get(namespace)
        if sid is None or namespace in peer.leaving:
            return
        peer.leaving[namespace], peer.partial = asyncio.Event(), None
        if tells_client:
            peer.write(namespace, encode(PacketType.DISCONNECT, namespace))
        try:
            await self._call("disconnect", namespace, sid, reason)
        except (Exception, asyncio.CancelledError) as error:
            raise_if_cancelled(error)
            report("disconnect handler", error)
        finally:
            self._leave(peer, namespace, sid)

    def _leave(self, peer: Peer, namespace: str, sid: str) -> None:
        """The client is not in `namespace` any more. In none at all, it has the time of a new one to enter one."""
        self._release(peer, namespace, sid)
        self._manager.basic_disconnect(sid, namespace)
        peer.sids.pop(namespace, None)
        if (left := peer.leaving.pop(namespace, None)) is not None:
            left.set()
        if peer.following is not None and peer.following[0] == namespace:
            _, fanout, cursor = peer.following
            peer.following = peer.connection.subscription = None
            fanout.leave(cursor)
        if not peer.sids and not peer.connection.closing:
            self.unconnected.add(peer)

    async def connection_closed(self, peer: Peer, reason: str) -> None:
        for queue in (self.unconnected, self.refused, self.later):
            queue.discard(peer)
        peer.connecting = None
        for namespace in list(peer.sids):
            await self.disconnect(peer, namespace, reason)


def _refusal_of(error: BaseException) -> Any:
    """The data of the CONNECT_ERROR for what a connect handler raised, or the TemporarilyUnavailable."""
    raise_if_cancelled(error)
    if isinstance(error, ConnectRefused):
        return error.error_args
    if isinstance(error, TemporarilyUnavailable):
        return error
    if isinstance(error, ConnectionRefusedError):
        return {"message": "Connection refused by server"}
    report("connect handler", error)
    return {"message": INTERNAL_ERROR}


def _drop_if_idle(peer: Peer, code: int = 1000) -> None:
    if not peer.sids and peer.connecting is None:
        peer.connection.drop(DisconnectReason.SERVER_DISCONNECT, code=code)
