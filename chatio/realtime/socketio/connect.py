"""CONNECT and DISCONNECT: how a client enters a namespace and leaves it.

The library tells a client that is being decided upon what happens in the namespace already, sends its CONNECT
answer after the packets of its connect handler, keeps it for ever if it leaves meanwhile or the handler raises,
and keeps the connection of a client that it refused. Here packets to the client wait for the answer, and in each
case the tables end as they began.
"""

import asyncio
from collections.abc import Collection
from typing import Any

from socketio.exceptions import ConnectionRefusedError as ConnectRefused

from chatio.realtime.close_reasons import CONNECT_TIMEOUT, TRY_AGAIN_LATER, CloseReason
from chatio.realtime.engineio.packets import ProtocolError
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.library import DisconnectReason
from chatio.realtime.limits import (
    CONNECT_GAP_SECONDS,
    LATER_SECONDS,
    MAX_NAMESPACES,
    MAX_REFUSED_CONNECTS,
    REFUSED_SECONDS,
)
from chatio.realtime.log import report
from chatio.realtime.socketio.dispatch import INTERNAL_ERROR, Dispatcher, raise_if_cancelled
from chatio.realtime.socketio.manager import Manager
from chatio.realtime.socketio.packets import PacketType, encode
from chatio.realtime.socketio.peer import Connecting, Following, LogStart, Peer
from chatio.realtime.websocket.timeouts import TimeoutQueue


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
        dispatcher: Dispatcher,
        *,
        namespaces: Collection[str],
        environ: dict[str, dict[str, Any]],
        connect_timeout: float,
    ) -> None:
        """`namespaces`: that clients may enter beside those with handlers. `environ`: by eio_sid."""
        self._engine = engine
        self._manager = manager
        self._dispatcher = dispatcher
        self._namespaces = namespaces
        self._environ = environ
        self.peers: dict[str, Peer] = {}  # by eio_sid
        # Connections in no namespace; with a refused CONNECT; to be closed for a while.
        self.unconnected: TimeoutQueue[Peer] = TimeoutQueue(
            connect_timeout, lambda peer: peer.connection.refuse(CONNECT_TIMEOUT)
        )
        self.refused: TimeoutQueue[Peer] = TimeoutQueue(REFUSED_SECONDS, _drop_if_idle)
        self.later: TimeoutQueue[Peer] = TimeoutQueue(
            LATER_SECONDS, lambda peer: _drop_if_idle(peer, TRY_AGAIN_LATER)
        )

    # CONNECT

    async def connect(self, peer: Peer, namespace: str, auth: Any) -> None:
        """Answer a CONNECT. Raises ProtocolError."""
        connection = peer.connection
        if peer.refused_connects >= MAX_REFUSED_CONNECTS:
            raise ProtocolError("CONNECT refused too often")
        if namespace not in self._namespaces and not self._dispatcher.serves(namespace):
            self._refuse(peer, namespace, {"message": "Invalid namespace"})
            return
        if len(peer.namespaces) >= MAX_NAMESPACES:
            raise ProtocolError("namespaces")
        sid = self._manager.begin_connect(connection.sid, namespace)
        if sid is None:
            raise ProtocolError("CONNECT twice")
        self._release(peer, peer.connecting)  # of a namespace that the client entered a moment ago
        connecting = peer.connecting = Connecting(namespace)
        refusal: Any = {"message": INTERNAL_ERROR}
        try:
            refusal = await self._decide(connection.sid, namespace, sid, auth)
        finally:
            if refusal is not None:
                self.leave(peer, namespace, sid)
        if refusal is not None:
            peer.connecting = None
            self._refuse(peer, namespace, refusal)
            return
        self._manager.finish_connect(sid)
        peer.namespaces = (*peer.namespaces, namespace)
        connection.received.max_bytes = self._engine.max_http_buffer_size
        self.unconnected.discard(peer)
        answer = {"sid": sid}
        if connecting.log_start is not None:
            answer["pid"] = connecting.log_start.pid
        _answer(peer, PacketType.CONNECT, namespace, answer)
        if connecting.deferred:
            asyncio.get_running_loop().call_later(CONNECT_GAP_SECONDS, self._release, peer, connecting)
        else:
            self._release(peer, connecting)

    def follow(self, peer: Peer, start: LogStart) -> None:
        """For a connect handler: send the client a log from `start`, once its CONNECT is answered."""
        if peer.connecting is not None:
            peer.connecting.log_start = start

    async def _decide(self, eio_sid: str, namespace: str, sid: str, auth: Any) -> Any:
        """Run the connect handler:

        None if it accepts, else the data of CONNECT_ERROR, or TemporarilyUnavailable.
        """
        try:
            accepted = await self._dispatcher.call("connect", namespace, sid, self._environ[eio_sid], auth or None)
        except ConnectRefused as refusal:
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

    def _release(self, peer: Peer, connecting: Connecting | None) -> None:
        """Send the packets that were deferred behind a CONNECT answer, unless that was done."""
        if connecting is None or peer.connecting is not connecting:
            return
        peer.connecting = None
        connection, start = peer.connection, connecting.log_start
        for packet in connecting.deferred:
            connection.write(packet)
        if start is not None and connecting.namespace in peer.namespaces and not connection.closing:
            cursor = connection.subscription = start.fanout.join(connection, start.after)
            peer.following = Following(connecting.namespace, start.fanout, cursor)

    def _refuse(self, peer: Peer, namespace: str, refusal: Any) -> None:
        """Answer a CONNECT with an error, once, and close the connection soon unless it is in a namespace."""
        if isinstance(refusal, TemporarilyUnavailable):
            self._engine.refused(peer.connection.address, refusal.reason)
            self.later.add(peer)
            return
        peer.refused_connects += 1
        try:
            _answer(peer, PacketType.CONNECT_ERROR, namespace, refusal)
        except Exception as error:  # the data that the handler refused with has no JSON
            report("connect refusal", error)
            _answer(peer, PacketType.CONNECT_ERROR, namespace, {"message": INTERNAL_ERROR})
        self.close_soon(peer)

    def close_soon(self, peer: Peer) -> None:
        """Close the connection after `REFUSED_SECONDS`, unless its client is in a namespace by then."""
        if not peer.namespaces and not peer.connection.closing:
            self.refused.add(peer)

    # DISCONNECT

    async def disconnect(self, peer: Peer, namespace: str, reason: str, *, tells_client: bool = False) -> None:
        """Take a client out of `namespace`, by its own wish or ours; without effect if it is not in there."""
        sid = self._manager.connected_sid(peer.connection.sid, namespace)
        if sid is None:
            return
        self._manager.begin_disconnect(sid)
        peer.partial = None
        if tells_client:
            peer.write(namespace, encode(PacketType.DISCONNECT, namespace))
        try:
            await self._dispatcher.call("disconnect", namespace, sid, reason)
        except (Exception, asyncio.CancelledError) as error:
            raise_if_cancelled(error)
            report("disconnect handler", error)
        finally:
            self.leave(peer, namespace, sid)

    def leave(self, peer: Peer, namespace: str, sid: str) -> None:
        """The client is not in `namespace` any more. In none at all, it has the time of a new one to enter one."""
        self._manager.basic_disconnect(sid, namespace)
        peer.namespaces = tuple(name for name in peer.namespaces if name != namespace)
        following = peer.following
        if following is not None and following.namespace == namespace:
            peer.following = peer.connection.subscription = None
            following.fanout.leave(following.cursor)
        if not peer.namespaces and not peer.connection.closing:
            self.unconnected.add(peer)

    async def connection_closed(self, peer: Peer, reason: str) -> None:
        for queue in (self.unconnected, self.refused, self.later):
            queue.discard(peer)
        peer.connecting = None
        for namespace in peer.namespaces:
            await self.disconnect(peer, namespace, reason)
        del self.peers[peer.connection.sid]


def _answer(peer: Peer, kind: PacketType, namespace: str, data: Any) -> None:
    for packet in encode(kind, namespace, data):
        peer.connection.write(packet)


def _drop_if_idle(peer: Peer, code: int = 1000) -> None:
    if not peer.namespaces and peer.connecting is None:
        peer.connection.drop(DisconnectReason.SERVER_DISCONNECT, code=code)
