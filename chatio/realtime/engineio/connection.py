"""Engine.IO connection: a polling session that may become a WebSocket, or a WebSocket from the start.

The callback that receives a packet reads and answers it; only messages for the application run in a task, one for
each burst, in order. An idle connection on a WebSocket has no task, no queue and no parser.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from chatio.realtime.close_reasons import (
    NORMAL,
    OUTPUT_NOT_TAKEN,
    TOO_MANY_FRAMES,
    CloseReason,
    protocol_violation,
)
from chatio.realtime.engineio import packets
from chatio.realtime.engineio.packets import EncodedPacket, PacketType, ProtocolError, decode
from chatio.realtime.engineio.poll_queue import PollQueue
from chatio.realtime.engineio.receive_queue import ReceiveQueue
from chatio.realtime.library import DisconnectReason
from chatio.realtime.limits import (
    BEFORE_CONNECT_BYTES,
    CLOSE_STEPS,
    PACKET_STEPS,
    PENDING_OUTPUT_BYTES,
    READ_STEPS,
    UNCHARGED_STEPS,
)
from chatio.realtime.websocket.transport import WebSocket
from chatio.throttling.input_budget import Budget, BudgetPool
from chatio.throttling.timeouts import TimeoutQueue

# What Node ignores, too: socket.io-client-swift sends a NOOP in a race, others a second UPGRADE.
IGNORED: Final = (PacketType.OPEN, PacketType.UPGRADE, PacketType.NOOP)

# A request this close to its session's ping timeout finds the session ended: timers run up to this late.
EARLY_SECONDS: Final = 0.005


class Application(Protocol):
    """The protocol above. No method may raise."""

    def connected(self, connection: "Connection", environ: dict[str, Any]) -> None:
        """A client opened `connection`."""

    async def receive(self, connection: "Connection", data: str | bytes) -> None:
        """The client sent a message; the next one is handed over when this returns."""

    async def disconnected(self, connection: "Connection", reason: str) -> None:
        """The connection has ended."""


class PendingUpgrade(Protocol):
    def abandon(self) -> None: ...


class Host(Protocol):
    """The server, as its connections know it."""

    application: Application
    pings: "TimeoutQueue[Connection]"  # clients that are sent a ping next
    pongs: "TimeoutQueue[Connection]"  # clients that have not answered it
    leaving: "TimeoutQueue[Connection]"  # polling clients that said CLOSE, and may have a GET on its way
    upgrades: TimeoutQueue[PendingUpgrade]
    upgraded: int  # completed upgrades
    members: BudgetPool  # of signed-in clients

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]": ...
    def forget(self, connection: "Connection") -> None: ...
    def refused(self, address: str, reason: CloseReason) -> None: ...


class Subscription(Protocol):
    """The place of a connection in a log that it is sent."""

    @property
    def is_caught_up(self) -> bool:
        """The connection took every entry of the log."""

    def defer(self, packet: EncodedPacket) -> bool:
        """Take `packet`, which is for this connection alone, if entries go before it. False: send it now."""

    def output_moved(self, *, all_taken: bool) -> None:
        """The client took some of the waiting output, or all of it."""


@dataclass(slots=True, eq=False)
class Connection:
    """One client's Engine.IO session: polling, until `use_websocket` makes it a WebSocket.

    Event loop only; only `poll` waits.
    """

    host: Host
    sid: str
    address: str  # of the client
    budget: Budget  # of its address, which it draws on until nothing is left of it
    max_input_bytes: int  # of one message, and of all that wait to be handled
    websocket: WebSocket | None = None
    upgrade: PendingUpgrade | None = None
    is_probed: bool = False  # by the upgrade: GETs are answered with a NOOP, and output waits for the WebSocket
    closing: bool = False  # the transport is closed, the disconnect handlers run, or have
    closed: bool = False  # nothing is left of it
    subscription: Subscription | None = None
    poll_queue: PollQueue | None = None  # while it polls
    posting: bool = False  # the client is sending a POST
    session: dict[str, Any] = field(default_factory=dict)  # of the application
    received: ReceiveQueue = field(init=False)  # the server makes it

    @property
    def upgraded(self) -> bool:  # read by the library
        return self.websocket is not None

    @property
    def max_output_bytes(self) -> int:
        """So much output may wait for the client: little before its CONNECT, whose packets are short."""
        return PENDING_OUTPUT_BYTES if self.max_input_bytes > BEFORE_CONNECT_BYTES else BEFORE_CONNECT_BYTES

    # Input

    def message_received(self, message: str | bytes) -> None:
        """The client sent a packet on its WebSocket."""
        try:
            self.receive(message)
        except ProtocolError as error:
            self.refuse(protocol_violation(str(error)))

    def receive(self, raw: str | bytes) -> None:
        """Take one encoded packet of the client. Raises ProtocolError."""
        if self.closing:
            return
        if raw[:1] == "4":  # nearly every packet is a message
            self.received.put(raw[1:])
            return
        self.received.steps += PACKET_STEPS
        kind, data = decode(raw)
        if kind is PacketType.MESSAGE:
            self.received.put(data)
        elif kind is PacketType.PONG:
            if self.host.pongs.discard(self):  # without a ping it says nothing, and postpones nothing
                self.host.pings.add(self)
        elif kind in IGNORED:
            pass
        elif kind is not PacketType.CLOSE:
            raise ProtocolError("Engine.IO packet type")
        elif self.poll_queue is not None and not self.poll_queue.is_polled:
            self.host.leaving.add(self)  # its GET may be on another connection, which is read later
        else:
            self.leave()

    def leave(self) -> None:
        """The client said CLOSE; a GET that waits is answered with a NOOP."""
        self.drop(DisconnectReason.CLIENT_DISCONNECT)

    def input_read(self, size_bytes: int, frames: int) -> None:
        if not self.closing:
            self.received.charge(size_bytes)
            self.received.steps += max(frames, READ_STEPS)
            is_due = self.received.steps > UNCHARGED_STEPS or self.budget.pool.is_contended
            if is_due and self.budget.charge(self.received.take_steps(), frames):
                self.refuse(TOO_MANY_FRAMES)

    def signed_in(self, max_input_bytes: int) -> None:
        """The client is in a namespace: it may send more, and draws on the budget of those that are."""
        self.max_input_bytes = max_input_bytes
        self.budget.leave()
        self.budget = self.host.members.join(self.address)

    def pause_reading(self) -> None:
        if self.websocket is not None:
            self.websocket.pause_reading()

    def resume_reading(self) -> None:
        if self.websocket is not None:
            self.websocket.resume_reading()

    @property
    def is_signed_in(self) -> bool:
        return self.budget.pool is self.host.members

    @property
    def is_flooding(self) -> bool:
        """The client has sent a lot of late, and its address has spent its budget."""
        return self.budget.is_spent

    @property
    def is_paused(self) -> bool:
        """The server does not read the client's output, or did not a moment ago."""
        if self.received.is_behind:
            return True
        if self.websocket is not None:
            return self.websocket.is_paused
        return bool(self.budget.waiting) or (self.posting and self.received.is_full)

    # Output

    def write(self, packet: EncodedPacket) -> None:
        """Send one packet, in order. A client that does not take its output is dropped."""
        if not self.closing and (self.subscription is None or not self.subscription.defer(packet)):
            self.write_now(packet)

    def output_moved(self, *, all_taken: bool) -> None:
        if self.subscription is not None:
            self.subscription.output_moved(all_taken=all_taken)

    def write_now(self, packet: EncodedPacket) -> None:
        """Send one packet before all that the subscription has deferred."""
        if self.websocket is not None:
            self.websocket.offer(packet.frame)
        elif self.poll_queue is not None:
            self.poll_queue.put(packet)
            if self.poll_queue.is_full:
                self.refuse(OUTPUT_NOT_TAKEN)
            elif not self.is_probed:
                self.poll_queue.release()

    @property
    def is_flushed(self) -> bool:
        """No output waits for the client, neither here nor in the log that it follows."""
        if self.subscription is not None and not self.subscription.is_caught_up:
            return False
        if self.websocket is not None:
            return not self.websocket.pending_output_bytes
        return self.poll_queue is None or self.poll_queue.is_empty

    @property
    def is_writable_now(self) -> bool:
        """A packet that is sent now goes out at once: to a WebSocket, or as the answer to a waiting GET."""
        return self.websocket is not None or (self.poll_queue is not None and self.poll_queue.is_polled)

    def ping(self) -> None:
        """Send a ping, before all entries of the log that wait for a slow client."""
        # Its time begins when it is really sent: a stalled loop must not use up the client's time.
        self.host.pongs.add(self)
        self.write_now(packets.PING)

    def end_unanswered(self) -> None:
        """The client did not answer a ping in time, or its answer waits in output that is not read yet."""
        if self.is_paused:
            self.host.pongs.add(self)
        else:
            self.drop(DisconnectReason.PING_TIMEOUT)

    async def poll(self) -> list[EncodedPacket]:
        """The answer to a GET, as soon as there is one; empty if the session has ended."""
        if self.host.pongs.is_overdue(self, EARLY_SECONDS):
            self.end_unanswered()
        if self.host.leaving.discard(self):
            self.leave()
            return [packets.NOOP]
        queue = self.poll_queue
        if queue is not None and queue.is_polled:
            self.refuse(protocol_violation("two GETs at once"), farewell=packets.CLOSE)
        if self.closing or queue is None:
            return []
        answer = [packets.NOOP] if self.is_probed else await queue.take()
        if queue.is_empty:
            self.output_moved(all_taken=True)
        return answer

    # Upgrade

    def probed(self) -> None:
        """A WebSocket was probed: answer the waiting GET, so that the client can stop polling."""
        self.is_probed = True
        if self.poll_queue is not None:
            self.poll_queue.release(packets.NOOP)

    def use_websocket(self, websocket: WebSocket, greeting: bytes = b"") -> None:
        """From now on this connection is `websocket`: send `greeting` and the waiting output on it."""
        queue, self.poll_queue = self.poll_queue, None
        self.websocket, self.upgrade, self.is_probed = websocket, None, False
        websocket.listener = self
        if greeting:
            websocket.offer(greeting)
        if queue is not None:
            for packet in queue.take_all():
                websocket.offer(packet.frame)
            queue.release(packets.NOOP)
            self.output_moved(all_taken=True)

    # End

    def connection_lost(self, reason: CloseReason | None) -> None:
        """The WebSocket is gone."""
        if reason is not None and not self.closing:
            self.host.refused(self.address, reason)
        self.drop(DisconnectReason.TRANSPORT_CLOSE if reason is None else DisconnectReason.TRANSPORT_ERROR)

    def refuse(self, reason: CloseReason, *, farewell: EncodedPacket = packets.NOOP) -> None:
        """Close the connection for something that the client did."""
        if not self.closing:
            self.host.refused(self.address, reason)
            self.budget.charge(CLOSE_STEPS)
            error = DisconnectReason.TRANSPORT_ERROR
            self.drop(error, code=reason.code, farewell=farewell, drain_input=False)

    def drop(
        self, reason: str, *, code: int = NORMAL, farewell: EncodedPacket = packets.NOOP, drain_input: bool = True
    ) -> "asyncio.Task[None] | None":
        """Close the transport now, with `code`, or `farewell` to a waiting GET; then tell the application.

        After a CLOSE python-engineio's client stays away. After a NOOP its next GET is answered with 400, and it
        comes back, as the others do.
        `drain_input`: the messages that the client sent before are handled first; else only the one that is begun.
        Returns the task that tells the application; None on a closing connection.
        """
        if self.closing:
            return None
        self.closing = True
        if not drain_input:
            self.received.clear()
        for queue in (self.host.pings, self.host.pongs, self.host.leaving):
            queue.discard(self)
        if self.upgrade is not None:
            self.upgrade.abandon()
        if self.websocket is not None:
            self.websocket.close(code)
        if self.poll_queue is not None:
            self.poll_queue.release(farewell)
            self.poll_queue = None
        self.received.close()
        return self.host.spawn(self._finish(reason))

    def abort(self) -> None:
        """Close at once: waiting output is lost, and the client's TCP is not asked."""
        if self.websocket is not None:
            self.websocket.abort(drops_output=True)
        self.drop(DisconnectReason.TRANSPORT_ERROR, drain_input=False)

    async def _finish(self, reason: str) -> None:
        try:
            if self.received.worker is not None:
                await asyncio.wait([self.received.worker])
            await self.host.application.disconnected(self, reason)
        finally:
            self.closed = True
            self.budget.leave()
            self.host.forget(self)
