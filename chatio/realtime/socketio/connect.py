"""CONNECT and DISCONNECT: how a client enters a namespace and leaves it.

The library tells a client that is being decided upon what happens in the namespace already, sends its CONNECT
answer after the packets of its connect handler, keeps it for ever if it leaves meanwhile or the handler raises,
and keeps the connection of a client that it refused. Here packets to the client wait for the answer, and in each
case the tables end as they began.
"""

import asyncio
import secrets
from dataclasses import InitVar, dataclass, field
from functools import partial
from typing import Any

from socketio.exceptions import ConnectionRefusedError as ConnectRefused

from chatio.realtime import limits
from chatio.realtime.broadcast.fanout import Fanout
from chatio.realtime.close_reasons import CONNECT_TIMEOUT, NORMAL, TRY_AGAIN_LATER, CloseReason
from chatio.realtime.engineio.packets import ProtocolError
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.library import DisconnectReason
from chatio.realtime.log import report
from chatio.realtime.socketio.handlers import INTERNAL_ERROR, Handlers, raise_if_cancelled, reported
from chatio.realtime.socketio.manager import Manager, Peer
from chatio.realtime.socketio.packets import PacketType, encode
from chatio.realtime.websocket.timeouts import TimeoutQueue


class TemporarilyUnavailable(Exception):
    """Raised by a connect handler: this client cannot enter now, and is to come back by itself.

    It gets no answer, since a CONNECT_ERROR would keep it away for good; after a while its connection is closed
    (1013, "try again later"), which it takes for a lost one.
    """

    def __init__(self, reason: CloseReason) -> None:
        super().__init__(reason.text)
        self.reason = reason


@dataclass(eq=False)
class Connector:
    """Decides which client is in which namespace. Event loop only."""

    engine: EngineServer
    manager: Manager
    handlers: Handlers
    environ: dict[str, dict[str, Any]]  # of each open connection, by eio_sid
    connect_timeout: InitVar[float]
    fanouts: dict[str, Fanout] = field(default_factory=dict)  # by namespace

    def __post_init__(self, connect_timeout: float) -> None:
        # Connections in no namespace; with a refused CONNECT; to be closed for a while.
        self.unconnected: TimeoutQueue[Peer] = TimeoutQueue(connect_timeout, _refuse_silent)
        self.refused: TimeoutQueue[Peer] = TimeoutQueue(limits.REFUSED_SECONDS, _drop_if_idle)
        self.later: TimeoutQueue[Peer] = TimeoutQueue(
            limits.LATER_SECONDS, partial(_drop_if_idle, code=TRY_AGAIN_LATER)
        )

    # CONNECT

    def connection_opened(self, peer: Peer, environ: dict[str, Any]) -> None:
        self.manager.peers[peer.connection.sid] = peer
        self.environ[peer.connection.sid] = environ
        self.unconnected.add(peer)

    async def connect(self, peer: Peer, namespace: str, auth: Any) -> None:
        """Answer a CONNECT. Raises ProtocolError."""
        connection = peer.connection
        if peer.refused_connects >= limits.MAX_REFUSED_CONNECTS:
            raise ProtocolError("CONNECT refused too often")
        if not self.handlers.serves(namespace):
            self._refuse(peer, namespace, {"message": "Invalid namespace"})
            return
        if (left := peer.leaving.get(namespace)) is not None:  # by the server: the client may come back at once
            await left.wait()
        if connection.closing:
            return
        if namespace in peer.sids:
            raise ProtocolError("CONNECT twice")
        if len(peer.sids) >= limits.MAX_NAMESPACES:
            raise ProtocolError("namespaces")
        if peer.connecting is not None:  # a namespace that the client entered a moment ago
            self._release(peer, peer.connecting, peer.sids[peer.connecting])
        sid = secrets.token_urlsafe(limits.SESSION_ID_BYTES)
        self.manager.basic_enter_room(sid, namespace, None, eio_sid=connection.sid)
        peer.connecting = namespace
        refusal: Any = {"message": INTERNAL_ERROR}
        try:
            refusal = await self._decide(namespace, sid, self.environ[connection.sid], auth)
        finally:
            if refusal is not None:
                peer.take_deferred()
                peer.log_start = None
                self._leave(peer, namespace, sid)
        if refusal is not None:
            self._refuse(peer, namespace, refusal)
            return
        peer.sids[namespace] = sid
        connection.max_input_bytes = self.engine.max_http_buffer_size
        self.unconnected.discard(peer)
        pid = {} if peer.log_start is None else {"pid": peer.log_start[1]}
        for packet in encode(PacketType.CONNECT, namespace, {"sid": sid} | pid):
            connection.write(packet)
        if peer.deferred:
            asyncio.get_running_loop().call_later(limits.CONNECT_GAP_SECONDS, self._release, peer, namespace, sid)
        else:
            self._release(peer, namespace, sid)

    async def _decide(self, namespace: str, sid: str, environ: dict[str, Any], auth: Any) -> Any:
        """None if the handler lets `sid` in; else the data of the CONNECT_ERROR, or the TemporarilyUnavailable."""
        try:
            accepted = await self.handlers.call("connect", namespace, sid, environ, auth or None)
        except (Exception, asyncio.CancelledError) as error:
            raise_if_cancelled(error)
            if isinstance(error, ConnectRefused):
                return error.error_args
            if isinstance(error, TemporarilyUnavailable):
                return error
            if isinstance(error, ConnectionRefusedError):
                return {"message": "Connection refused by server"}
            report("connect handler", error)
            return {"message": INTERNAL_ERROR}
        return {"message": "Connection rejected by server"} if accepted is False else None

    def follow(self, sid: str, namespace: str, after: int, pid: str) -> None:
        """See `Server.follow`."""
        peer = self.manager.peers.get(self.manager.rooms[namespace][None][sid])
        if peer is not None:
            peer.log_start = after, pid

    def _release(self, peer: Peer, namespace: str, sid: str) -> None:
        """Send the packets that were deferred behind the CONNECT answer to `sid`, and then the log, once."""
        connection = peer.connection
        if peer.connecting != namespace or peer.sids.get(namespace) != sid:
            return
        for packet in peer.take_deferred():
            connection.write(packet)
        start, peer.log_start = peer.log_start, None
        if start is not None and not connection.closing:
            cursor = connection.subscription = self.fanouts[namespace].join(connection, start[0])
            peer.following = namespace, cursor

    def _refuse(self, peer: Peer, namespace: str, refusal: Any) -> None:
        """Answer a CONNECT with an error, once, and close the connection soon unless it is in a namespace."""
        if isinstance(refusal, TemporarilyUnavailable):
            self.engine.refused(peer.connection.address, refusal.reason)
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
        peer.leaving[namespace] = asyncio.Event()
        if tells_client:
            peer.write(namespace, encode(PacketType.DISCONNECT, namespace))
        try:
            with reported("disconnect handler"):
                await self.handlers.call("disconnect", namespace, sid, reason)
        finally:
            self._leave(peer, namespace, sid)

    def _leave(self, peer: Peer, namespace: str, sid: str) -> None:
        """The client is not in `namespace` any more. In none at all, it has the time of a new one to enter one."""
        self._release(peer, namespace, sid)
        self.manager.basic_disconnect(sid, namespace)
        peer.sids.pop(namespace, None)
        if (left := peer.leaving.pop(namespace, None)) is not None:
            left.set()
        if peer.following is not None and peer.following[0] == namespace:
            cursor, peer.following, peer.connection.subscription = peer.following[1], None, None
            self.fanouts[namespace].leave(cursor)
        if not peer.sids and not peer.connection.closing:
            self.unconnected.add(peer)

    async def connection_closed(self, peer: Peer, reason: str) -> None:
        for queue in (self.unconnected, self.refused, self.later):
            queue.discard(peer)
        peer.connecting = None
        for namespace in list(peer.sids):
            await self.disconnect(peer, namespace, reason)
        del self.manager.peers[peer.connection.sid], self.environ[peer.connection.sid]


def _refuse_silent(peer: Peer) -> None:
    peer.connection.refuse(CONNECT_TIMEOUT)


def _drop_if_idle(peer: Peer, *, code: int = NORMAL) -> None:
    if not peer.sids and peer.connecting is None:
        peer.connection.drop(DisconnectReason.SERVER_DISCONNECT, code=code)
