"""CONNECT and DISCONNECT: how a client enters a namespace and leaves it.

The library tells a client that is being decided upon what happens in the namespace already, sends its CONNECT
answer after the packets of its connect handler, keeps it for ever if it leaves meanwhile or the handler raises,
and keeps the connection of a client that it refused. Here packets to the client wait for the answer, and in each
case the tables end as they began.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import InitVar, dataclass, field
from typing import Any, Final

from socketio.exceptions import ConnectionRefusedError as ConnectRefused

from chatio.errors import ANSWERS, Unforeseen
from chatio.realtime import close_reasons, limits
from chatio.realtime.broadcast.cursor import Cursor
from chatio.realtime.broadcast.fanout import Fanout
from chatio.realtime.close_reasons import CloseReason, protocol_violation
from chatio.realtime.engineio.packets import CLOSE, ProtocolError
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.library import DisconnectReason
from chatio.realtime.log import report
from chatio.realtime.socketio.manager import LogStart, Manager, Peer
from chatio.realtime.socketio.packets import PacketType, encode
from chatio.throttling.timeouts import TimeoutQueue

INTERNAL_ERROR: Final = ANSWERS[Unforeseen].message  # what a client is told of a failed handler


@dataclass(eq=False)
class TemporarilyUnavailable(Exception):
    """Raised by a connect handler: this client cannot enter now, and is to come back by itself.

    It gets no answer, since a CONNECT_ERROR would keep it away for good; after a while its connection is closed
    (1013, "try again later"), which it takes for a lost one.
    """

    reason: CloseReason


@dataclass(eq=False)
class Connector:
    """Decides which client is in which namespace. Event loop only."""

    engine: EngineServer
    manager: Manager
    call: Callable[..., Awaitable[Any]]  # of a handler: event, namespace, arguments
    connect_seconds: InitVar[float]
    fanouts: dict[str, Fanout] = field(default_factory=dict)  # by namespace

    def __post_init__(self, connect_seconds: float) -> None:
        def queue(seconds: float, on_due: Callable[[Peer], object]) -> TimeoutQueue[Peer]:
            return TimeoutQueue(seconds, on_due)

        def close(reason: CloseReason) -> Callable[[Peer], None]:
            return lambda peer: peer.connection.refuse(reason, farewell=CLOSE)

        late = protocol_violation("Socket.IO: attachments did not follow")
        # Clients in no namespace; refused a moment ago; that shall come back later; whose attachments are missing.
        self.unconnected = queue(connect_seconds, close(close_reasons.CONNECT_TIMEOUT))
        self.refused = queue(limits.REFUSED_SECONDS, _drop_if_idle)
        self.later = queue(limits.LATER_SECONDS, lambda peer: _drop_if_idle(peer, close_reasons.TRY_AGAIN_LATER))
        self.partial = queue(limits.ATTACHMENT_SECONDS, close(late))

    # CONNECT

    async def connect(self, peer: Peer, namespace: str, auth: Any, environ: Any) -> None:
        """Answer a CONNECT; `environ` is None for a namespace that is not served. Raises ProtocolError."""
        connection = peer.connection
        self.check_refused(peer)
        if environ is None:
            self._refuse(peer, namespace, {"message": "Invalid namespace"})
            return
        if (left := peer.leaving.get(namespace)) is not None:  # by the server: the client may come back at once
            await left.wait()
        if connection.closing:
            return
        if namespace in peer.sids:
            raise ProtocolError("CONNECT twice")
        if peer.connecting is not None:  # a namespace that the client entered a moment ago
            self._release(peer, peer.connecting, peer.sids[peer.connecting])
        sid = secrets.token_urlsafe(limits.SESSION_ID_BYTES)
        peer.connecting = namespace
        refusal = await self._decide(peer, namespace, sid, environ, auth or None)
        if refusal is not None:
            peer.take_deferred()
            self._leave(peer, namespace, sid)
            self._refuse(peer, namespace, refusal)
            return
        peer.sids[namespace] = sid
        connection.signed_in(self.engine.max_http_buffer_size)
        self.unconnected.discard(peer)
        pid = {} if peer.log_start is None else {"pid": peer.log_start.pid}
        connection.write(*encode(PacketType.CONNECT, namespace, {"sid": sid} | pid))
        if peer.deferred:
            asyncio.get_running_loop().call_later(
                limits.CONNECT_GAP_SECONDS, self._release_now, peer, namespace, sid
            )
        else:
            self._release(peer, namespace, sid)

    def enter_main(self, peer: Peer) -> None:
        """Answer a CONNECT to "/", which has no handler: some clients begin with it. Raises ProtocolError."""
        self.check_refused(peer)
        if peer.is_in_main:
            raise ProtocolError("CONNECT twice")
        peer.is_in_main = True
        peer.refused += 1
        peer.write("/", encode(PacketType.CONNECT, "/", {"sid": secrets.token_urlsafe(limits.SESSION_ID_BYTES)}))

    def is_leaving(self, peer: Peer) -> bool:
        """Its connection is about to be closed: packets may cross that."""
        return peer in self.refused or peer in self.later

    def check_refused(self, peer: Peer) -> None:
        if peer.refused >= limits.MAX_REFUSED_CONNECTS:
            raise ProtocolError("refused too often")

    async def _decide(self, peer: Peer, namespace: str, sid: str, environ: dict[str, Any], auth: Any) -> Any:
        """None if the handler lets `sid` in; else the data of the CONNECT_ERROR, or the TemporarilyUnavailable."""
        # Room None is every client in the namespace. It needs no bidict: no sid is looked up by its eio_sid.
        self.manager.rooms.setdefault(namespace, {}).setdefault(None, {})[sid] = peer.connection.sid
        try:
            accepted = await self.call("connect", namespace, sid, environ, auth)
        except ConnectRefused as error:
            return error.error_args
        except TemporarilyUnavailable as error:
            return error
        except ConnectionRefusedError:
            return {"message": "Connection refused by server"}
        except (Exception, asyncio.CancelledError) as error:
            report("connect handler", error)
            return {"message": INTERNAL_ERROR}
        if isinstance(accepted, LogStart):
            peer.log_start = accepted
        return {"message": "Connection rejected by server"} if accepted is False else None

    def _release(self, peer: Peer, namespace: str, sid: str) -> None:
        """Send the packets that were deferred behind the CONNECT answer to `sid`, and then the log, once."""
        if peer.connecting != namespace or peer.sids.get(namespace) != sid:
            return
        if peer.deferred:
            peer.write(namespace, peer.take_deferred())
        peer.connecting = None
        start, peer.log_start = peer.log_start, None
        if start is not None and not peer.connection.closing:
            peer.connection.subscription = self.fanouts[namespace].join(peer.connection, start.after)

    def _release_now(self, peer: Peer, namespace: str, sid: str) -> None:
        try:
            self._release(peer, namespace, sid)
        except Exception as error:
            self.fail(peer, "the log's beginning", error)

    def fail(self, peer: Peer, what: str, error: Exception) -> None:
        """Close a connection after an exception of the seam's own: the client is to come back, and recover."""
        report(what, error)
        reason = DisconnectReason.TRANSPORT_ERROR
        peer.connection.drop(reason, code=close_reasons.SERVER_ERROR, drain_input=False)

    def _refuse(self, peer: Peer, namespace: str, refusal: Any) -> None:
        """Answer a CONNECT with an error, once, and close the connection soon unless it is in a namespace."""
        if isinstance(refusal, TemporarilyUnavailable):
            self.engine.refused(peer.connection.address, refusal.reason)
            self.later.add(peer)
            return
        peer.refused += 1
        try:
            packets = encode(PacketType.CONNECT_ERROR, namespace, refusal)
        except Exception as error:  # the data that the handler refused with has no JSON
            report("connect refusal", error)
            packets = encode(PacketType.CONNECT_ERROR, namespace, {"message": INTERNAL_ERROR})
        peer.write(namespace, packets)
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
            await self.call("disconnect", namespace, sid, reason)
        except (Exception, asyncio.CancelledError) as error:
            report("disconnect handler", error)
        finally:
            self._leave(peer, namespace, sid)

    def _leave(self, peer: Peer, namespace: str, sid: str) -> None:
        """The client is not in `namespace` any more. In none at all, it has the time of a new one to enter one."""
        self._release(peer, namespace, sid)
        self.manager.basic_disconnect(sid, namespace)
        peer.sids.pop(namespace, None)
        if (left := peer.leaving.pop(namespace, None)) is not None:
            left.set()
        cursor, fanout = peer.connection.subscription, self.fanouts.get(namespace)
        if fanout is not None and isinstance(cursor, Cursor) and cursor.fanout is fanout:
            peer.connection.subscription = None
            fanout.leave(cursor)
        if not peer.sids and not peer.connection.closing:
            self.unconnected.add(peer)

    async def connection_closed(self, peer: Peer, reason: str) -> None:
        for queue in (self.unconnected, self.refused, self.partial, self.later):
            queue.discard(peer)
        peer.connecting = None
        for namespace in list(peer.sids):
            await self.disconnect(peer, namespace, reason)


def _drop_if_idle(peer: Peer, code: int = close_reasons.NORMAL) -> None:
    if not peer.sids and peer.connecting is None:
        # The 400 behind a NOOP would be a `connect_error` of a socket that is not connected yet.
        peer.connection.drop(DisconnectReason.SERVER_DISCONNECT, code=code, farewell=CLOSE)
