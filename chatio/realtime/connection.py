"""One Engine.IO connection: a polling session that may become a WebSocket, or a WebSocket from the start.

The library gives a connection a queue, a writer task, a receive task and a ping task, each of which can die or
wait alone. Here what arrives is read and answered in the callback that received it; only messages for the
application run in a task, one for each burst, in order. An idle connection on a WebSocket has no task, no queue and
no parser. It polls with a list and a future of its own: the library's queue costs 1.5 KiB and bounds nothing.
"""

import asyncio
from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from engineio.async_socket import AsyncSocket

from chatio.realtime import outgoing
from chatio.realtime.frames import NORMAL, PROTOCOL_ERROR
from chatio.realtime.limits import (
    INBOX_BYTES,
    MAX_RUNNING_HANDLERS,
    MESSAGE_OVERHEAD_BYTES,
    PENDING_OUTPUT_BYTES,
)
from chatio.realtime.outgoing import Outgoing
from chatio.realtime.packets import Engine, ProtocolError, decode_engine

if TYPE_CHECKING:
    from chatio.realtime.engine import EngineServer
    from chatio.realtime.fanout import Cursor
    from chatio.realtime.upgrade import Upgrade
    from chatio.realtime.websocket import WebSocket


class Stage(IntEnum):
    """Where a connection is in its life; it only ever moves forward, but for a failed upgrade."""

    POLLING = 0
    UPGRADING = 1  # a WebSocket has been probed; GETs are answered with a NOOP
    WEBSOCKET = 2
    CLOSING = 3  # the transport is closed, the disconnect handlers run
    CLOSED = 4


class SessionClosed(Exception):  # noqa: N818 - a state, not a fault
    """This connection answers no more requests."""


class Connection(AsyncSocket):  # type: ignore[misc]
    """What `engineio.AsyncServer` keeps for each client. Event loop only."""

    __slots__ = (
        "_inbox",
        "_inbox_bytes",
        "_outbox",
        "_outbox_bytes",
        "_poller",
        "_room",
        "_session",
        "_worker",
        "address",
        "cursor",
        "max_input_bytes",
        "namespaces",
        "posting",
        "running_handlers",
        "server",
        "sid",
        "stage",
        "upgrade",
        "websocket",
    )

    def __init__(self, server: "EngineServer", sid: str, address: str, max_input_bytes: int) -> None:
        self.server = server
        self.sid = sid
        self.address = address  # of the client, for the log
        self.max_input_bytes = max_input_bytes
        self.stage = Stage.POLLING
        self.websocket: WebSocket | None = None
        self.upgrade: Upgrade | None = None
        self.posting = False  # a POST is being received
        self.running_handlers = 0
        self.namespaces: tuple[str, ...] = ()  # Socket.IO's, those it is connected to
        self.cursor: Cursor | None = None  # in the log that it follows, if it does
        self._session: dict[str, Any] | None = None
        self._inbox: deque[str | bytes] | None = None
        self._inbox_bytes = 0
        self._worker: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._outbox: list[Outgoing] | None = []
        self._outbox_bytes = 0
        self._poller: asyncio.Future[Outgoing | None] | None = None

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

    def input_limit(self) -> int:
        return self.max_input_bytes

    @property
    def is_paused(self) -> bool:
        """We do not read what it sends, so that its answer to a ping may be on its way."""
        if self.websocket is None:
            return self.posting and self.is_full
        return self.websocket.is_paused

    @property
    def is_full(self) -> bool:
        """It holds as much unhandled input as it may."""
        return (
            self._inbox_bytes >= min(INBOX_BYTES, self.max_input_bytes)
            or self.running_handlers >= MAX_RUNNING_HANDLERS
        )

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
            self._enqueue(data)
        elif kind is Engine.PONG:
            self.server.heartbeat.beat(self)
        elif kind is Engine.CLOSE:
            self._client_leaves()
        else:
            raise ProtocolError("Engine.IO packet type")

    def _enqueue(self, data: str | bytes) -> None:
        if self._inbox is None:
            self._inbox = deque()
        self._inbox.append(data)
        self._inbox_bytes += len(data) + MESSAGE_OVERHEAD_BYTES
        if self._worker is None:
            self._worker = self.server.spawn(self._work())
        if self.websocket is not None and self.is_full:
            self.websocket.pause()

    async def _work(self) -> None:
        """Hand the inbox to the application, in order, and yield now and then: a burst must not hold up others."""
        handled = 0
        try:
            while self._inbox and not self.closing:
                data = self._inbox.popleft()
                await self.server.deliver(self, data)
                self._inbox_bytes -= len(data) + MESSAGE_OVERHEAD_BYTES
                self.make_room()
                handled += 1
                if handled % 32 == 0:
                    await asyncio.sleep(0)
        finally:
            self._worker = self._inbox = None
            self._inbox_bytes = 0
            self.make_room()

    async def until_room(self) -> None:
        """Wait until this connection takes more input, or is closed."""
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._room)

    def make_room(self) -> None:
        """Some of the input was handled: read on, if it is enough."""
        if self.is_full and not self.closing:
            return
        if self._room is not None:
            self._room.set_result(None)
            self._room = None
        if self.websocket is not None and self.websocket.is_paused:
            self.websocket.resume()

    def handler_done(self) -> None:
        """One of its handlers that ran at the same time as others is done."""
        self.running_handlers -= 1
        self.make_room()

    def _client_leaves(self) -> None:
        if self.websocket is None and self._poller is None:
            self.server.leaving.add(self)
        else:
            self.drop(self.server.reason.CLIENT_DISCONNECT, farewell=outgoing.NOOP)

    # Output

    async def send(self, pkt: Any) -> None:
        """The library's way to send: an `engineio.packet.Packet`. Never waits."""
        self.write(Outgoing.from_library(pkt))

    def write(self, packet: Outgoing) -> None:
        """Send one packet, in order; what is too much for a client that does not take it closes the connection."""
        if self.closing or (self.cursor is not None and self.cursor.hold(packet)):
            return
        self._write_now(packet)

    def offer(self, packets: list[Outgoing]) -> bool:
        """Send what comes from the log; False if it waits, and `cursor.moved` will be told when it is taken."""
        if self.websocket is not None:
            return self.websocket.offer(b"".join([packet.frame for packet in packets]))
        for packet in packets:
            self._write_now(packet)
        return False

    def _write_now(self, packet: Outgoing) -> None:
        if self.websocket is not None:
            self.websocket.send(packet.frame)
            return
        assert self._outbox is not None
        self._outbox.append(packet)
        self._outbox_bytes += packet.size_bytes
        if self._outbox_bytes > PENDING_OUTPUT_BYTES:
            self.refuse("output not taken")
        elif self.stage is Stage.POLLING:
            self.release_poll(None)

    async def poll(self) -> list[Outgoing]:
        """What a GET is answered with, as soon as there is something. Raises SessionClosed."""
        if self.server.heartbeat.is_overdue(self):
            self.ping_timeout()
        if self.server.leaving.discard(self):
            self.drop(self.server.reason.CLIENT_DISCONNECT)
            return [outgoing.NOOP]
        if self._poller is not None:
            self.refuse("two GETs at once")
        if self.closing or self.websocket is not None:
            raise SessionClosed
        farewell = None
        if not self._outbox and self.stage is Stage.POLLING:
            self._poller = asyncio.get_running_loop().create_future()
            try:
                farewell = await self._poller
            finally:
                self._poller = None
        if farewell is not None:
            return [farewell]
        return [outgoing.NOOP] if self.stage is not Stage.POLLING else self.take_outbox()

    def release_poll(self, farewell: Outgoing | None) -> None:
        """Answer the GET that is waiting, if one is: with `farewell`, or with what there is to send."""
        if self._poller is not None and not self._poller.done():
            self._poller.set_result(farewell)

    def take_outbox(self) -> list[Outgoing]:
        """What waits to be sent, which is no longer ours."""
        packets, self._outbox, self._outbox_bytes = self._outbox or [], [], 0
        self.output_moved(all_taken=True)
        return packets

    def output_moved(self, *, all_taken: bool) -> None:
        """The client took some of what waited for it, or all."""
        if self.cursor is not None and self.cursor.is_stalled:
            self.cursor.moved(all_taken=all_taken)

    def use_websocket(self, websocket: "WebSocket", first: list[Outgoing]) -> None:
        """From now on this connection is `websocket`: send `first` on it, then what was waiting."""
        self.websocket = websocket
        self.stage = Stage.WEBSOCKET
        self.upgrade = None
        websocket.owner = self
        waiting = self.take_outbox()
        self._outbox = None
        for packet in [*first, *waiting]:
            self._write_now(packet)

    def begin_upgrade(self) -> None:
        """A WebSocket was probed: let the GET that waits go, so that the client can stop polling."""
        self.stage = Stage.UPGRADING
        self.release_poll(outgoing.NOOP)

    def upgrade_failed(self) -> None:
        """Back to polling, with all that has waited since."""
        self.upgrade = None
        if self.stage is Stage.UPGRADING:
            self.stage = Stage.POLLING

    def ping(self) -> None:
        self._write_now(outgoing.PING)  # goes before all that waits in the log for who reads slowly

    # The end

    def ping_timeout(self) -> None:
        self.drop(self.server.reason.PING_TIMEOUT)

    def transport_lost(self, broken_rule: str | None) -> None:
        """The WebSocket is gone."""
        reason = self.server.reason
        if broken_rule is not None and not self.closing:
            self.server.refusals.refused(self.address, broken_rule)
        self.drop(reason.TRANSPORT_CLOSE if broken_rule is None else reason.TRANSPORT_ERROR)

    def refuse(self, rule: str) -> None:
        """Close for something the client did."""
        if not self.closing:
            self.server.refusals.refused(self.address, rule)
            self.drop(self.server.reason.TRANSPORT_ERROR, code=PROTOCOL_ERROR)

    async def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """The library's way to close. Returns when the disconnect handlers have run; never waits for the client."""
        finished = self.drop(reason or self.server.reason.SERVER_DISCONNECT)
        if finished is not None and wait and asyncio.current_task() is not self._worker:
            await asyncio.shield(finished)

    def drop(
        self, reason: str, *, code: int = NORMAL, farewell: Outgoing = outgoing.CLOSE
    ) -> "asyncio.Task[None] | None":
        """Close the transport now, with `code` or, to a waiting GET, `farewell`; then run the disconnect handlers.

        Answers the task that runs them, or None if the connection was closed before.
        """
        if self.closing:
            return None
        self.stage = Stage.CLOSING
        self.server.forget_timers(self)
        if self.upgrade is not None:
            self.upgrade.abandon()
        if self.websocket is not None:
            self.websocket.close(code)
        self.release_poll(farewell)
        self._outbox = None
        self.make_room()
        return self.server.spawn(self._finish(reason))

    def abort(self) -> None:
        """Close for good and at once: what waits is lost, and the client's TCP is not asked."""
        if self.websocket is not None:
            self.websocket.reset()
        self.drop(self.server.reason.TRANSPORT_ERROR)

    def discard(self) -> None:
        """Close without a word to anybody: this connection was never opened."""
        self.stage = Stage.CLOSED
        self._outbox = None
        self.release_poll(outgoing.CLOSE)

    async def _finish(self, reason: str) -> None:
        try:
            await self.server.disconnected(self, reason)
        finally:
            self.stage = Stage.CLOSED
            self.server.sockets.pop(self.sid, None)
