"""One Engine.IO connection: a polling session that may become a WebSocket, or a WebSocket from the start.

The library gives a connection a queue, a writer task, a receive task and a ping task, each of which can die
or wait alone. Here what arrives is read and answered in the callback that received it; only messages for the
application run in a task, one for each burst, in order. An idle connection on a WebSocket has no task, no
queue and no parser.
"""

import asyncio
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from chatio.realtime.engineio import payload
from chatio.realtime.engineio.intake import Intake
from chatio.realtime.engineio.payload import EncodedPacket
from chatio.realtime.engineio.poll_queue import Outbox
from chatio.realtime.engineio.receive_queue import Inbox
from chatio.realtime.socketio.packets import Engine, ProtocolError, decode_engine
from chatio.realtime.websocket.frames import NORMAL, PROTOCOL_ERROR

if TYPE_CHECKING:
    from chatio.realtime.broadcast.cursor import Cursor
    from chatio.realtime.engineio.server import EngineServer
    from chatio.realtime.engineio.upgrade import Upgrade
    from chatio.realtime.websocket.transport import WebSocket


class Stage(IntEnum):
    """Where a connection is in its life; it only ever moves forward, but for a failed upgrade."""

    POLLING = 0
    UPGRADING = 1  # a WebSocket has been probed; GETs are answered with a NOOP
    WEBSOCKET = 2
    CLOSING = 3  # the transport is closed, the disconnect handlers run
    CLOSED = 4


class SessionClosed(Exception):
    """This connection answers no more requests."""


class Connection(Intake):
    """What `engineio.AsyncServer` keeps for each client. Event loop only; only `poll` and `close` wait."""

    __slots__ = (
        "_session",
        "address",
        "cursor",
        "namespaces",
        "outbox",
        "refused_connects",
        "server",
        "sid",
        "stage",
        "upgrade",
        "websocket",
    )

    def __init__(self, server: "EngineServer", sid: str, address: str, max_input_bytes: int) -> None:
        super().__init__(max_input_bytes)
        self.server = server
        self.sid = sid
        self.address = address  # of the client
        self.stage = Stage.POLLING
        self.websocket: WebSocket | None = None
        self.upgrade: Upgrade | None = None
        self.refused_connects = 0
        self.namespaces: tuple[str, ...] = ()  # Socket.IO's, those it is connected to
        self.cursor: Cursor | None = None  # in the log that it follows, if it does
        self.outbox: Outbox | None = Outbox()
        self._session: dict[str, Any] | None = None

    # What the library reads of its sockets.

    @property
    def connected(self) -> bool:
        return self.stage < Stage.CLOSING

    @property
    def upgraded(self) -> bool:
        return self.websocket is not None

    @property
    def upgrading(self) -> bool:
        return self.stage is Stage.UPGRADING

    @property
    def closing(self) -> bool:
        return self.stage >= Stage.CLOSING

    @property
    def closed(self) -> bool:
        return self.stage is Stage.CLOSED

    @property
    def session(self) -> dict[str, Any]:
        if self._session is None:
            self._session = {}
        return self._session

    @session.setter
    def session(self, session: dict[str, Any]) -> None:
        self._session = session

    # Input

    def message_received(self, message: str | bytes) -> None:
        """A message on the WebSocket."""
        try:
            self.receive_encoded(message)
        except ProtocolError as error:
            self.refuse(str(error))

    def receive_encoded(self, raw: str | bytes) -> None:
        """One Engine.IO packet from the client. Raises ProtocolError."""
        kind, data = decode_engine(raw)
        if self.closing:
            return
        if kind is Engine.MESSAGE:
            if self.inbox is None:
                self.inbox = Inbox(self)
            self.inbox.add(data)
            if self.websocket is not None and self.is_full:
                self.websocket.pause()
        elif kind is Engine.PONG:
            self.server.heartbeat.beat(self)
        elif kind is Engine.CLOSE:
            self._client_leaves()
        else:
            raise ProtocolError("Engine.IO packet type")

    def _client_leaves(self) -> None:
        if self.outbox is not None and not self.outbox.is_polled:
            self.server.leaving.add(self)
        else:
            self.drop(self.server.reason.CLIENT_DISCONNECT, farewell=payload.NOOP)

    # Output

    async def send(self, pkt: Any) -> None:
        """The library's way to send: an `engineio.packet.Packet`. Never waits."""
        self.write(EncodedPacket.from_library(pkt))

    def write(self, packet: EncodedPacket) -> None:
        """Send one packet, in order; a client that does not take what is sent to it is dropped."""
        if self.closing or (self.cursor is not None and self.cursor.hold(packet)):
            return
        self._write_now(packet)

    def offer(self, packets: list[EncodedPacket]) -> bool:
        """Send what comes from the log; False if it waits, and the cursor will be told when it is taken."""
        if self.websocket is not None:
            return self.websocket.offer(b"".join([packet.frame for packet in packets]))
        for packet in packets:
            self._write_now(packet)
        return False

    def output_moved(self, *, all_taken: bool) -> None:
        """The client took some of what waited for it, or all."""
        if self.cursor is not None and self.cursor.is_stalled:
            self.cursor.moved(all_taken=all_taken)

    def _write_now(self, packet: EncodedPacket) -> None:
        if self.websocket is not None:
            self.websocket.send(packet.frame)
        elif self.outbox is not None:
            self.outbox.add(packet)
            if self.outbox.is_full:
                self.refuse("output not taken")
            elif self.stage is Stage.POLLING:
                self.outbox.release()

    @property
    def is_flushed(self) -> bool:
        """Nothing waits for the client, neither here nor in the log that it follows."""
        if self.cursor is not None and not self.cursor.is_level:
            return False
        if self.websocket is not None:
            return not self.websocket.pending_output_bytes
        return self.outbox is None or self.outbox.is_empty

    @property
    def is_writable_now(self) -> bool:
        """A packet that is sent now goes out at once: to a WebSocket, or as the answer to a GET that waits."""
        if self.websocket is not None:
            return True
        return self.stage is Stage.POLLING and self.outbox is not None and self.outbox.is_polled

    def ping(self) -> None:
        self._write_now(payload.PING)  # goes before all that waits in the log for who reads slowly

    async def poll(self) -> list[EncodedPacket]:
        """What a GET is answered with, as soon as there is something. Raises SessionClosed."""
        outbox, reason = self.outbox, self.server.reason
        if self.server.heartbeat.is_overdue(self) and not self.is_paused:
            self.drop(reason.PING_TIMEOUT)
        if self.server.leaving.discard(self):
            self.drop(reason.CLIENT_DISCONNECT)
            return [payload.NOOP]
        if outbox is not None and outbox.is_polled:
            self.refuse("two GETs at once")
        if self.closing or outbox is None:
            raise SessionClosed
        farewell = await outbox.until_released() if self.stage is Stage.POLLING else None
        if farewell is not None:
            return [farewell]
        if self.stage is not Stage.POLLING:
            return [payload.NOOP]
        packets = outbox.take()
        self.output_moved(all_taken=True)
        return packets

    # The way to a WebSocket

    def begin_upgrade(self) -> None:
        """A WebSocket was probed: let the GET that waits go, so that the client can stop polling."""
        self.stage = Stage.UPGRADING
        if self.outbox is not None:
            self.outbox.release(payload.NOOP)

    def upgrade_failed(self, upgrade: "Upgrade") -> None:
        """Back to polling, with all that has waited since."""
        if self.upgrade is not upgrade:
            return
        self.upgrade = None
        if self.stage is Stage.UPGRADING:
            self.stage = Stage.POLLING

    def use_websocket(self, websocket: "WebSocket") -> None:
        """From now on this connection is `websocket`: send on it what was waiting."""
        waiting = self.outbox.take() if self.outbox is not None else []
        self.websocket, self.upgrade, self.outbox = websocket, None, None
        self.stage = Stage.WEBSOCKET
        websocket.owner = self
        for packet in waiting:
            self._write_now(packet)
        self.output_moved(all_taken=True)

    # The end

    def connection_lost(self, broken_rule: str | None) -> None:
        """The WebSocket is gone."""
        reason = self.server.reason
        if broken_rule is not None and not self.closing:
            self.server.refused(self.address, broken_rule)
        self.drop(reason.TRANSPORT_CLOSE if broken_rule is None else reason.TRANSPORT_ERROR)

    def refuse(self, rule: str) -> None:
        """Close for something the client did."""
        if not self.closing:
            self.server.refused(self.address, rule)
            self.drop(self.server.reason.TRANSPORT_ERROR, code=PROTOCOL_ERROR, drain_input=False)

    async def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """The library's way to close: returns when the disconnect handlers have run.

        Never waits for the client, nor for the very handler that calls it.
        """
        finished = self.begin_close(reason or self.server.reason.SERVER_DISCONNECT)
        if finished is not None and wait:
            await asyncio.shield(finished)

    def begin_close(self, reason: str) -> "asyncio.Task[None] | None":
        """Close, without hearing out the client; the task to wait for, if the caller may wait."""
        finished = self.drop(reason, drain_input=False)
        is_own_handler = self.inbox is not None and asyncio.current_task() is self.inbox.worker
        return None if is_own_handler else finished

    def drop(
        self, reason: str, *, code: int = NORMAL, farewell: EncodedPacket = payload.CLOSE, drain_input: bool = True
    ) -> "asyncio.Task[None] | None":
        """Close the transport now, with `code` or `farewell` to a waiting GET; then tell the application.

        `drain_input`: what the client sent before it left is handled first; else only what is begun is finished.
        Answers the task that tells it, or None if the connection was closed before.
        """
        if self.closing:
            return None
        self.stage = Stage.CLOSING
        if self.inbox is not None and not drain_input:
            self.inbox.clear()
        self._let_go(code, farewell)
        return self.server.spawn(self._finish(reason))

    def abort(self) -> None:
        """Close for good and at once: what waits is lost, and the client's TCP is not asked."""
        if self.websocket is not None:
            self.websocket.reset()
        self.drop(self.server.reason.TRANSPORT_ERROR, drain_input=False)

    def discard(self) -> None:
        """Close without a word to the application, for which this connection was never open."""
        self.stage = Stage.CLOSED
        self._let_go(NORMAL, payload.CLOSE)
        self.server.forget(self)

    def _let_go(self, code: int, farewell: EncodedPacket) -> None:
        self.server.forget_timers(self)
        self.stop_intake()
        if self.upgrade is not None:
            self.upgrade.abandon()
        if self.websocket is not None:
            self.websocket.close(code)
        if self.outbox is not None:
            self.outbox.release(farewell)
            self.outbox = None
        self.resume_if_room()

    async def _finish(self, reason: str) -> None:
        try:
            if self.inbox is not None:
                await asyncio.wait([self.inbox.worker])
            await self.server.disconnected(self, reason)
        finally:
            self.stage = Stage.CLOSED
            self.server.forget(self)
