"""Socket.IO server: the library's API (`on`, `emit`, `call`, rooms, sessions, namespaces) on our own protocol.

`socketio.AsyncServer` keeps the API; its handling of packets is never called. Beside the API stand logs that
clients follow, volatile events, and the ways in which a server closes its clients.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from chatio.realtime.broadcast.cursor import EncodedLog, Log
from chatio.realtime.broadcast.fanout import Fanout
from chatio.realtime.close_reasons import CloseReason
from chatio.realtime.engineio.drain import Drain
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.library import DisconnectReason, SocketIOServer
from chatio.realtime.limits import BEFORE_CONNECT_BYTES
from chatio.realtime.log import library_logger
from chatio.realtime.options import RealtimeOptions
from chatio.realtime.socketio.connect import Connector
from chatio.realtime.socketio.dispatch import Dispatcher, Handlers
from chatio.realtime.socketio.manager import Manager
from chatio.realtime.socketio.packets import encode_event

F = TypeVar("F", bound=Callable[..., Any])


class Server(SocketIOServer):  # type: ignore[misc]
    """A `socketio.AsyncServer` whose `eio` is an `EngineServer`. Event loop only, but for registering handlers."""

    eio: EngineServer
    manager: Manager

    def __init__(self, options: RealtimeOptions) -> None:
        self._options = options
        super().__init__(client_manager=Manager(), logger=library_logger)
        handlers = Handlers(self.handlers, self.namespace_handlers, self.not_handled)
        self._connector = Connector(self.eio, self.manager, handlers.call, options.connect_timeout)
        self.eio.application = Dispatcher(
            self.manager, handlers, self._connector, self.environ, options.takes_binary
        )
        self._drain = Drain(self.eio)
        # shut_down(seconds, handover): close all connections within `seconds`, so that clients come back.
        self.shut_down = self._drain.drain

    def _engineio_server_class(self) -> Callable[..., EngineServer]:
        return lambda **_options: EngineServer(self._options, first_input_bytes=BEFORE_CONNECT_BYTES)

    def on(self, event: str, handler: Any = None, namespace: str | None = None) -> Callable[[F], F]:
        """As in the library, but typed. Raises ValueError for a catch-all handler ("*"), which is never called."""
        if "*" in (event, namespace):
            raise ValueError("catch-all handlers are not served")
        return super().on(event, handler, namespace) or (lambda decorated: decorated)

    def create_fanout(
        self,
        namespace: str,
        log: Log,
        event: Callable[[Any], list[Any] | None],
        *,
        slow_client_seconds: float = 30.0,
    ) -> Fanout:
        """The delivery of `log` to the clients of `namespace`: each entry as `event(entry)`, a name and arguments.

        `event` returns None for an entry that says nothing any more: clients get a NOOP in its place. A namespace
        has one log, and a connection follows one. `slow_client_seconds`: see `Fanout`.
        """
        encoded = EncodedLog(log, event, partial(encode_event, namespace))
        fanout = self._connector.fanouts[namespace] = Fanout(encoded, slow_seconds=slow_client_seconds)
        return fanout

    def send_volatile(self, namespace: str, event: str, data: dict[str, Any], *, but: str | None = None) -> None:
        """Send an event to each client that follows the namespace's log and is caught up, except the sid `but`.

        Volatile (Socket.IO's term): not part of the log, and lost for a client that lags or connects later.
        """
        excepted = None if but is None else self.manager.peer_of(but, namespace)
        packet, fanout = encode_event(namespace, [event, data]), self._connector.fanouts[namespace]
        fanout.send_volatile(packet, but=None if excepted is None else excepted.connection)

    def backlog(self, sid: str, namespace: str) -> int:
        """How many messages wait behind the one of the client `sid` that is being handled."""
        peer = self.manager.peer_of(sid, namespace)
        return 0 if peer is None else len(peer.connection.received)

    def close_connection(self, sid: str, namespace: str, reason: CloseReason) -> None:
        """Close the connection of `sid` for `reason`, without a DISCONNECT packet: the client may come back."""
        if (peer := self.manager.peer_of(sid, namespace)) is not None:
            peer.connection.refuse(reason)

    async def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Disconnect a client from a namespace, as the library does. Its connection stays open for a while."""
        namespace, reason = namespace or "/", DisconnectReason.SERVER_DISCONNECT
        if (peer := self.manager.peer_of(sid, namespace)) is not None:
            await self._connector.disconnect(peer, namespace, reason, tells_client=True)

    async def dismiss(self, sid: str, namespace: str, event: str, data: dict[str, Any]) -> None:
        """Tell a client by `event` why it is disconnected, disconnect it, and close its connection soon after.

        Never waits for the client, which does not come back by itself: a DISCONNECT tells it not to.
        """
        if (peer := self.manager.peer_of(sid, namespace)) is None:
            return
        await self.emit(event, data, to=sid, namespace=namespace)
        await self.disconnect(sid, namespace=namespace)
        self._connector.close_soon(peer)

    @property
    def connections(self) -> int:
        return len(self.eio.sockets)

    def drain_now(self, sid: str, namespace: str) -> None:
        """Close one client's connection before its turn, while the server drains."""
        if (peer := self.manager.peer_of(sid, namespace)) is not None:
            self._drain.drain_now(peer.connection)

    def table_sizes(self) -> dict[str, int]:
        """How many entries each table has; all 0 when no client is connected."""
        connector = self._connector
        return {
            **self.eio.table_sizes(),
            **self.manager.table_sizes(),
            "environ": len(self.environ),
            "unconnected": len(connector.unconnected),
            "refused": len(connector.refused),
            "partial": len(connector.partial),
            "later": len(connector.later),
        }
