"""A WebSocket on a bare socket: what a connection is made of once its handshake is over.

Tornado's handler, request, stream and protocol objects cost 14.7 KiB for as long as they live, so they are
let go of after the handshake. What stays is this object and a reader on the event loop: no task, no buffer,
and no parser either while nothing is half-read.
"""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from enum import IntEnum
from typing import Protocol

from chatio.realtime.limits import PENDING_OUTPUT_BYTES, READ_BYTES
from chatio.realtime.log import report
from chatio.realtime.websocket.frames import (
    CLOSE,
    INVALID_DATA,
    NORMAL,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    close_code,
    close_frame,
    frame,
)
from chatio.realtime.websocket.timeouts import TimeoutQueue


class WebSocketListener(Protocol):
    """Who is told what happens on the socket. No method may raise."""

    def input_limit(self) -> int:
        """The largest message it takes now, bytes."""

    def message_received(self, message: str | bytes) -> None:
        """A whole message."""

    def input_read(self, size_bytes: int) -> None:
        """So much was read from the socket, frames' heads and pings included; what it held was handed over."""

    def output_moved(self, *, all_taken: bool) -> None:
        """The socket took some of what was waiting, or all of it."""

    def connection_lost(self, broken_rule: str | None) -> None:
        """The socket is of no more use. `broken_rule`: what the peer did wrong, if it did."""


_NO_LINGER = struct.pack("ii", 1, 0)


class State(IntEnum):
    OPEN = 0
    CLOSING = 1  # our close frame is sent, or waits to be; input is thrown away
    CLOSED = 2


class WebSocket:
    """One server-side WebSocket. Event loop only; no method waits for the peer, and none raises."""

    __slots__ = ("_lingering", "_loop", "_pending", "_reader", "_reading", "_socket", "_state", "owner")

    def __init__(
        self, sock: socket.socket, owner: WebSocketListener, lingering: "TimeoutQueue[WebSocket]"
    ) -> None:
        """Take `sock`, which must be non-blocking and connected.

        `lingering` bounds the time a close may take.
        """
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # with Nagle an echo takes 45 ms, not 1.3
        self.owner = owner
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._lingering = lingering
        # Output that the socket did not take yet: what one `send` left, uncopied, or several of them joined. A
        # bytearray grows and shrinks at its ends without a copy: with 3 MB waiting, 2,700 pings in one read cost
        # the loop 2.1 s when each answer was joined to a new copy.
        self._pending: memoryview | bytearray | None = None
        self._reader: FrameReader | None = None  # only while a frame or message is incomplete
        self._state = State.OPEN
        self._reading = False

    def start(self, early: bytes) -> None:
        """Begin to read; `early` is what came together with the handshake."""
        self.resume()
        if early:
            self._feed(early)

    @property
    def is_paused(self) -> bool:
        return self._state is State.OPEN and not self._reading

    @property
    def held_input_bytes(self) -> int:
        return self._reader.held_bytes if self._reader is not None else 0

    @property
    def pending_output_bytes(self) -> int:
        return len(self._pending) if self._pending is not None else 0

    def unacknowledged_bytes(self) -> int:
        """What the kernel holds for the peer and the peer's has not acknowledged (tcp(7), SIOCOUTQ)."""
        if self._state is State.CLOSED:
            return 0
        return int.from_bytes(fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def pause(self) -> None:
        """Stop reading: the peer's output backs up in TCP."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._socket.fileno())

    def resume(self) -> None:
        """Read on."""
        if not self._reading and self._state is not State.CLOSED:
            self._reading = True
            self._loop.add_reader(self._socket.fileno(), self._on_readable)

    def send(self, frames: bytes) -> None:
        """Write whole frames: at once if the socket takes them, else when it does.

        Too many of them drop the peer.
        """
        if self._state is State.OPEN:
            self._write(frames)

    def offer(self, frames: bytes) -> bool:
        """`send`, and whether the socket took all of it. What it did not take is kept without being copied."""
        if self._pending is None and self._state is State.OPEN:
            try:
                sent = self._socket.send(frames)
            except OSError:  # would block, or is broken: `_write` tells which
                sent = 0
            if sent == len(frames):
                return True
            frames = frames[sent:] if sent else frames
        self.send(frames)
        return self._pending is None

    def close(self, code: int = NORMAL) -> None:
        """Say goodbye and go.

        The frame is flushed and its FIN awaited in the background, for a bounded time.
        """
        if self._state is not State.OPEN:
            return
        self._state = State.CLOSING
        self._reader = None
        self.resume()
        self._lingering.add(self)
        self._write(close_frame(code))
        if self._pending is None:
            self._half_close()

    def reset(self) -> None:
        """`abort`, and have the kernel forget at once what the peer did not acknowledge (RST)."""
        if self._state is not State.CLOSED:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.abort()

    def abort(self) -> None:
        """Close the socket now; what was not written is lost. The owner is not told."""
        if self._state is State.CLOSED:
            return
        self.pause()
        if self._pending is not None:
            self._loop.remove_writer(self._socket.fileno())
            self._pending = None
        self._state = State.CLOSED
        self._lingering.discard(self)
        self._reader = None
        self._socket.close()

    def _write(self, data: bytes) -> None:
        if self._pending is not None:
            if len(self._pending) + len(data) > PENDING_OUTPUT_BYTES:
                self._lose("output not taken")
            else:
                if isinstance(self._pending, memoryview):
                    self._pending = bytearray(self._pending)
                self._pending += data
            return
        try:
            sent = self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._lose(None)
            return
        if sent < len(data):
            self._pending = memoryview(data)[sent:]
            self._loop.add_writer(self._socket.fileno(), self._on_writable)

    def _on_writable(self) -> None:
        if self._pending is None:
            return
        try:
            sent = self._socket.send(self._pending)
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
            self.owner.output_moved(all_taken=False)
            return
        self._pending = None
        self._loop.remove_writer(self._socket.fileno())
        if self._state is State.CLOSING:
            self._half_close()
        else:
            self.owner.output_moved(all_taken=True)

    def _half_close(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.abort()

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._lose(None)
        elif self._state is State.OPEN:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        reader = self._reader or FrameReader()
        try:
            for opcode, payload in reader.feed(data, self.owner.input_limit()):
                self._handle(opcode, payload)
                if self._state is not State.OPEN:
                    return
        except FrameError as error:
            self._fail(error.code, f"WebSocket: {error}")
            return
        except Exception as error:
            report("reading a WebSocket", error)
            self._lose("internal error")
            return
        self._reader = None if reader.idle else reader
        self.owner.input_read(len(data))

    def _handle(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._write(frame(PONG, payload))
        elif opcode == CLOSE:
            self.close(close_code(payload))
            self.owner.connection_lost(None)
        elif opcode == TEXT:
            try:
                text = payload.decode()
            except UnicodeDecodeError:
                raise FrameError(INVALID_DATA, "UTF-8") from None
            self.owner.message_received(text)
        elif opcode != PONG:
            self.owner.message_received(payload)

    def _fail(self, code: int, rule: str) -> None:
        self.close(code)
        self.owner.connection_lost(rule)

    def _lose(self, rule: str | None) -> None:
        """The socket is gone, or given up. The owner hears of it once the caller is done."""
        was_open = self._state is State.OPEN
        self.abort()
        if was_open:
            self._loop.call_soon(self.owner.connection_lost, rule)
