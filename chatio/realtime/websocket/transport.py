"""WebSocket transport on a bare socket: all that is left of a connection once its handshake is over.

Tornado's handler, request, stream and protocol objects cost 14.7 KiB for as long as they live. Here no task, no
buffer and, while nothing is half-read, no parser stays.
"""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from enum import IntEnum
from typing import Protocol

from chatio.realtime.close_reasons import INVALID_DATA, NORMAL, OUTPUT_NOT_TAKEN, CloseReason, protocol_violation
from chatio.realtime.limits import FIRST_BYTES, LINGER_BYTES, READ_BYTES, READ_STEPS
from chatio.realtime.log import report
from chatio.realtime.websocket import frames
from chatio.realtime.websocket.frames import FrameReader
from chatio.throttling.input_budget import FLOOD_FRAMES, Budget
from chatio.throttling.timeouts import TimeoutQueue


class WebSocketListener(Protocol):
    """The owner of a WebSocket, told of its events. No method may raise."""

    @property
    def max_input_bytes(self) -> int: ...  # of the largest message that it takes now
    @property
    def max_output_bytes(self) -> int: ...  # that may wait for its client
    @property
    def budget(self) -> Budget: ...  # that its client draws on

    def message_received(self, message: str | bytes) -> None:
        """The client sent a whole message."""

    def input_read(self, size_bytes: int, frames: int) -> None:
        """So many bytes and frames were read, pings included, and their messages handed over."""

    def output_moved(self, *, all_taken: bool) -> None:
        """The socket took some of the waiting output, or all of it."""

    def connection_lost(self, reason: CloseReason | None) -> None:
        """The socket is of no more use. `reason`: the rule that the client broke, if it broke one."""


_NO_LINGER = struct.pack("ii", 1, 0)


class State(IntEnum):
    OPEN = 0
    CLOSING = 1  # our close frame is sent, or waits to be; input is thrown away
    CLOSED = 2


class WebSocket:
    """One server-side WebSocket. Event loop only; no method waits for the peer, and none raises."""

    __slots__ = (
        *("_early", "_is_waiting", "_is_wanted", "_is_watched", "_lingering", "_loop", "_pending", "_ping"),
        *("_reader", "_sends_close", "_state", "_to_discard", "listener", "sock"),
    )

    listener: WebSocketListener  # set by the owner before it calls anything

    def __init__(
        self, sock: socket.socket, lingering: "TimeoutQueue[WebSocket]", *, sends_close: bool = True
    ) -> None:
        """Take `sock`, non-blocking and connected. `lingering` bounds the time a close may take.

        `sends_close=False`: a client that stops to read at a close frame is sent none, and so sees the end.
        """
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # with Nagle an echo takes 45 ms, not 1.3
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._lingering = lingering
        self._sends_close = sends_close
        # Output that the socket did not take yet: the rest of one `send`, uncopied, or several joined, which
        # grow and shrink in place: with 3 MB waiting, 2,700 pings in one read took 2.1 s with a copy for each.
        self._pending: memoryview | bytearray | None = None
        self._reader: FrameReader | None = None  # only while a frame or message is incomplete
        self._ping: bytes | None = None  # the last one without an answer; older ones need none (section 5.5.3)
        self._state = State.OPEN
        self._early = b""
        self._is_wanted = False  # the listener takes input now
        self._is_waiting = False  # for its turn to be read
        self._is_watched = False  # by the loop, for input
        self._to_discard = LINGER_BYTES  # of input behind our close frame

    # Input

    def start(self, early: bytes) -> None:
        """Begin to read; `early`: the bytes that arrived together with the handshake."""
        self._early = early
        self.resume_reading()
        if early:
            self._on_readable()

    @property
    def is_paused(self) -> bool:
        return self._state is State.OPEN and (self._is_waiting or not self._is_wanted)

    @property
    def held_input_bytes(self) -> int:
        return self._reader.held_bytes if self._reader is not None else 0

    def pause_reading(self) -> None:
        """Read no more for now: the client's output backs up in TCP."""
        self._is_wanted = False
        self._watch()

    def resume_reading(self) -> None:
        self._is_wanted = self._state is not State.CLOSED
        self._watch()

    def _watch(self) -> None:
        """Have the loop tell of input only while it is wanted and may be read."""
        was_watched, self._is_watched = self._is_watched, self._is_wanted and not self._is_waiting
        if was_watched and not self._is_watched:
            self._loop.remove_reader(self.sock.fileno())
        elif self._is_watched and not was_watched:
            self._loop.add_reader(self.sock.fileno(), self._on_readable)
            if self._early:
                self._loop.call_soon(self._on_readable)

    def _on_readable(self) -> None:
        if self._must_wait():
            if not self._is_waiting:
                self._is_waiting = True
                self._watch()
                self.listener.budget.wait(self._on_turn)
        elif self._is_wanted:
            self._read()

    def _must_wait(self) -> bool:
        budget = self.listener.budget
        return (budget.pool.is_spent or budget.is_spent) and self._state is State.OPEN and budget.must_wait

    def _on_turn(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._watch()
            if self._is_wanted:
                self._read()

    def _read(self) -> None:
        try:
            data, self._early = self._early or self.sock.recv(READ_BYTES), b""
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._lose(None)
        elif self._state is State.OPEN:
            if self._feed(data[:FIRST_BYTES]) > FLOOD_FRAMES:  # tiny frames: the rest in another turn
                self._early = data[FIRST_BYTES:]
                self._loop.call_soon(self._on_readable)
            elif len(data) > FIRST_BYTES and self._state is State.OPEN:
                self._feed(data[FIRST_BYTES:])
        else:
            self._discarded(len(data))

    def _discarded(self, size_bytes: int) -> None:
        budget = self.listener.budget
        budget.charge(READ_STEPS)
        self._to_discard -= size_bytes
        if self._to_discard < 0 or budget.must_wait:  # a flood, which does not look at what it gets
            self.abort()

    def _feed(self, data: bytes) -> int:
        """Hand over the messages of `data`. Returns the number of its frames."""
        reader = self._reader or FrameReader()
        frames_before = reader.frames
        try:
            for opcode, payload in reader.feed(data, self.listener.max_input_bytes):
                if opcode == frames.TEXT:
                    self.listener.message_received(payload.decode())  # an upgrade changes the listener
                elif opcode == frames.BINARY:
                    self.listener.message_received(payload)
                elif opcode == frames.PING:
                    self._ping = payload
                elif opcode == frames.CLOSE:
                    self.close(frames.close_code(payload))
                    self.listener.connection_lost(None)
                if self._state is not State.OPEN:
                    return 0
            if (error := reader.error) is not None:
                self._fail(protocol_violation(f"WebSocket: {error}", error.code))
                return reader.frames - frames_before
        except UnicodeDecodeError:
            self._fail(protocol_violation("WebSocket: UTF-8", INVALID_DATA))
        except Exception as failure:
            report("reading a WebSocket", failure)
            self._lose(protocol_violation("internal error"))
        else:
            self._reader = None if reader.is_idle else reader
            if self._ping is not None:
                self._answer_ping()
            self.listener.input_read(len(data), reader.frames - frames_before)
        return reader.frames - frames_before

    def _answer_ping(self) -> None:
        """Answer the last ping once no output waits: a client that reads no pongs makes the server hold one."""
        if self._ping is not None and self._pending is None:
            payload, self._ping = self._ping, None
            self.offer(frames.frame(frames.PONG, payload))

    # Output

    @property
    def pending_output_bytes(self) -> int:
        return len(self._pending) if self._pending is not None else 0

    def unacknowledged_bytes(self) -> int:
        """The output in the kernel that the client's has not acknowledged (tcp(7), SIOCOUTQ)."""
        if self._state is State.CLOSED:
            return 0
        return int.from_bytes(fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def offer(self, data: bytes | memoryview) -> bool:
        """Write whole frames: at once if the socket takes them, else when it does. False: output waits.

        Past the listener's `max_output_bytes` the connection is lost; on one that is closing nothing is written.
        """
        if self._state is not State.OPEN:
            return True
        if self._pending is None:
            try:
                sent = self.sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self._lose(None)
                return True
            if sent == len(data):
                return True
            self._pending = memoryview(data)[sent:]
            self.listener.output_moved(all_taken=False)
            self._loop.add_writer(self.sock.fileno(), self._on_writable)
        elif len(self._pending) + len(data) > self.listener.max_output_bytes:
            self._lose(OUTPUT_NOT_TAKEN)
        else:
            if isinstance(self._pending, memoryview):
                self._pending = bytearray(self._pending)
            self._pending += data
        return self._pending is None

    def _on_writable(self) -> None:
        if self._pending is None:
            return
        try:
            sent = self.sock.send(self._pending)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lose(None)
            return
        if sent < len(self._pending):
            if isinstance(self._pending, bytearray):
                del self._pending[:sent]
            else:
                self._pending = self._pending[sent:]
            self.listener.output_moved(all_taken=False)
            return
        self._pending = None
        self._loop.remove_writer(self.sock.fileno())
        if self._state is State.CLOSING:
            self._half_close()
        else:
            self._answer_ping()
            self.listener.output_moved(all_taken=self._pending is None)

    # End

    def close(self, code: int = NORMAL) -> None:
        """Begin the closing handshake (RFC 6455, section 7.1.2), which goes on for a bounded time."""
        if self._state is not State.OPEN:
            return
        is_flushed = self.offer(frames.close_frame(code)) if self._sends_close else self._pending is None
        if self._state is State.OPEN:  # the socket was not found broken
            self._state = State.CLOSING
            self._reader, self._early, self._is_waiting = None, b"", False
            self.resume_reading()
            self._lingering.add(self)
            if is_flushed:
                self._half_close()

    def _half_close(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.abort()

    def abort(self, *, drops_output: bool = False) -> None:
        """Close the socket now; unwritten output is lost. The listener is not told.

        `drops_output`: the kernel drops at once all output that the client did not acknowledge (RST).
        """
        if self._state is State.CLOSED:
            return
        if drops_output:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._early, self._is_waiting = b"", False
        self.pause_reading()
        if self._pending is not None:
            self._loop.remove_writer(self.sock.fileno())
            self._pending = None
        self._state = State.CLOSED
        self._lingering.discard(self)
        self._reader = None
        self.sock.close()

    def _fail(self, reason: CloseReason) -> None:
        self.close(reason.code)
        self.listener.connection_lost(reason)

    def _lose(self, reason: CloseReason | None) -> None:
        """The socket is gone, or given up. The listener is told once the caller is done."""
        was_open = self._state is State.OPEN
        self.abort()
        if was_open:
            self._loop.call_soon(self.listener.connection_lost, reason)
