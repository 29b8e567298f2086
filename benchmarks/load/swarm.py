"""All connected clients and the loop that reads for them: counts broadcasts, times some, answers pings.

The few clients that are `watched` (the senders, and those whose delivery times count) are read as soon as
something comes. All others are read in sweeps, 50 a second: several broadcasts then come in one read, and no
server pays for waking this process at each of its sends, as none does over a network. Measured with Node, one
sender and 500 clients: 7.7 µs of this process for a delivery without sweeps, 5.0 µs with them.

A delivery time ends when the kernel has the message in its client's socket (SO_TIMESTAMPNS). When this process
reads it depends on what else it has to read, and on the processes beside it.
"""

import select
import socket
import struct
import time
from collections.abc import Callable

from benchmarks.load.wire import MessageFrames, acked_sequence, sequence_of
from tests.client.protocol import PONG

_BUFFER_BYTES = 1 << 16  # more than arrives between two sweeps, less than a socket holds
_SWEEP_SECONDS = 0.02
_SWEEP_READS = 32  # at a time; the watched come first again after them
_SMALLEST_BROADCAST = 126  # anything shorter is a ping, an ack or a NOOP; every broadcast is longer
_PING = ord("2")
_SO_TIMESTAMPNS = 35  # include/uapi/asm-generic/socket.h; Python has no name for it
_TIMESPEC = struct.Struct("@ll")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)


class LostError(Exception):
    """A client was closed, or a server broke the protocol: the figures of the visit are void."""


class Client:
    """One connection. `tail` is the beginning of a frame whose rest has not arrived yet."""

    __slots__ = ("sock", "tail", "watched")

    def __init__(self, sock: socket.socket, tail: bytes = b"") -> None:
        self.sock = sock
        self.tail = tail
        self.watched = False


class Swarm:
    """Owns its clients; one thread, no callbacks but `on_seen(client, sequence, seconds)`.

    `sent_at` is in seconds of the system's clock, as the kernel's timestamps are.
    """

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.deliveries = 0
        self.sent_at: list[float] = []
        self.times: list[float] = []
        self.ack_times: list[float] = []
        self.on_seen: Callable[[Client, int, float], None] = lambda client, sequence, seconds: None
        self._by_descriptor: dict[int, Client] = {}
        self._watched = select.epoll()
        self._others = select.epoll()
        self._next_sweep = 0.0
        self._buffer = bytearray(_BUFFER_BYTES)
        self._arrived_at = 0.0  # what is being read of a watched client
        self._frames = MessageFrames()

    def add(self, client: Client) -> None:
        """Take over a connected client; from here on its socket does not block."""
        client.sock.setblocking(False)
        self.clients.append(client)
        self._by_descriptor[client.sock.fileno()] = client
        self._others.register(client.sock, select.EPOLLIN)

    def watch(self, chosen: list[Client]) -> None:
        """Watch these clients and no others from now on."""
        for client in self.clients:
            if client.watched:
                self._watched.unregister(client.sock)
                self._others.register(client.sock, select.EPOLLIN)
                client.sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 0)
                client.watched = False
        for client in chosen:
            self._others.unregister(client.sock)
            self._watched.register(client.sock, select.EPOLLIN)
            client.sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            client.watched = True

    def send(self, client: Client, *, acked: bool = False) -> int:
        """Send the next message from `client`; returns its number. LostError, if that blocks."""
        sequence = len(self.sent_at)
        self.sent_at.append(time.time())
        self._write(client, self._frames.acked_frame(sequence) if acked else self._frames.frame(sequence))
        return sequence

    def serve(self, timeout_seconds: float, sweep: bool = False) -> None:
        """Read what the watched have, after waiting at most that long, and a part of a sweep if one is due.

        With `sweep` one is due in any case.
        """
        now = time.perf_counter()
        if sweep or now >= self._next_sweep:
            ready = self._others.poll(0, _SWEEP_READS)
            self._read(ready)
            if len(ready) < _SWEEP_READS:
                self._next_sweep = now + _SWEEP_SECONDS
        self._read(self._watched.poll(max(0.0, min(timeout_seconds, self._next_sweep - time.perf_counter()))))

    def sweep(self) -> None:
        """Read everything that is there, for all clients."""
        while ready := self._others.poll(0) + self._watched.poll(0):
            self._read(ready)

    def _read(self, ready: list[tuple[int, int]]) -> None:
        buffer, clients = self._buffer, self._by_descriptor
        for descriptor, _ in ready:
            client = clients[descriptor]
            try:
                size = self._receive_stamped(client.sock) if client.watched else client.sock.recv_into(buffer)
            except ConnectionError as error:
                raise LostError(f"a client was reset: {error}") from error
            if not size:
                raise LostError("a client was closed")
            if client.tail:
                data: bytes | bytearray = client.tail + buffer[:size]
                self._take(client, data, len(data))
            else:
                self._take(client, buffer, size)

    def _receive_stamped(self, sock: socket.socket) -> int:
        """Read into the buffer, and note when the last byte of that arrived."""
        size, ancillary, _, _ = sock.recvmsg_into([self._buffer], _ANCILLARY_BYTES)
        if ancillary:  # not at the end
            seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
            self._arrived_at = seconds + nanoseconds / 1e9
        return size

    def _take(self, client: Client, data: bytes | bytearray, size: int) -> None:
        """Count the whole frames in `data[:size]` and keep the rest: 0.2 µs a frame."""
        at, watched = 0, client.watched
        count = 0
        while at + 4 <= size:
            length = data[at + 1]
            if length < _SMALLEST_BROADCAST:
                end = at + 2 + length
                if end > size:
                    break
                self._take_control(client, bytes(data[at:end]))
            else:
                end = at + 4 + (data[at + 2] << 8) + data[at + 3]
                if end > size:
                    break
                count += 1
                if watched:
                    self._see(client, sequence_of(data, at, end))
            at = end
        if size - at == 3 and data[at + 1] == 1:
            self._take_control(client, bytes(data[at:size]))
            at = size
        self.deliveries += count
        client.tail = bytes(data[at:size]) if at < size else b""

    def _take_control(self, client: Client, frame: bytes) -> None:
        if frame[0] != 0x81 or frame[2:4] in (b"1", b"41", b"44"):
            raise LostError(f"a server ended a connection: opcode {frame[0] & 15}")
        if frame[2] == _PING:
            self._write(client, PONG)
        elif (sequence := acked_sequence(frame)) is not None:
            self.ack_times.append(self._arrived_at - self.sent_at[sequence])

    def _see(self, client: Client, sequence: int) -> None:
        seconds = self._arrived_at - self.sent_at[sequence]
        self.times.append(seconds)
        self.on_seen(client, sequence, seconds)

    def _write(self, client: Client, data: bytes) -> None:
        try:
            sent = client.sock.send(data)
        except OSError as error:
            raise LostError(f"a client cannot send: {error}") from error
        if sent < len(data):
            raise LostError("a server takes no more messages")
