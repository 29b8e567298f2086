"""All connected clients and the loop that reads for them: counts broadcasts, times some, answers pings.

Every broadcast that arrives costs this process 2 to 3 µs where it comes alone and 0.3 µs in a run of fifty; the
servers need more for each (`report` says so when it comes near). Most clients only count frames; the few that are
`watched` also look at the number in each, for delivery times and for the closed loop.
"""

import select
import socket
import time
from collections.abc import Callable

from benchmarks.load.wire import PONG, MessageFrames, sequence_of

_BUFFER_BYTES = 1 << 16
_SMALLEST_BROADCAST = 126  # anything shorter is a ping, an ack or a NOOP; every broadcast is longer
_PING = ord("2")


class Lost(Exception):
    """A client was closed, or a server sent what it should not: the run is worthless."""


class Client:
    """One connection. `tail` is the beginning of a frame whose rest has not arrived yet."""

    __slots__ = ("receive_into", "sock", "tail", "watched")

    def __init__(self, sock: socket.socket, tail: bytes = b"") -> None:
        self.sock = sock
        self.receive_into = sock.recv_into
        self.tail = tail
        self.watched = False


class Swarm:
    """Owns its clients; one thread, no callbacks but `on_seen(client, sequence)`."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.deliveries = 0
        self.sent_at: list[float] = []
        self.times: list[float] = []
        self.on_seen: Callable[[Client, int], None] = lambda client, sequence: None
        self._by_descriptor: dict[int, Client] = {}
        self._epoll = select.epoll()
        self._buffer = bytearray(_BUFFER_BYTES)
        self._frames = MessageFrames()

    def add(self, client: Client) -> None:
        """Take over a connected client; from here on its socket does not block."""
        client.sock.setblocking(False)
        self.clients.append(client)
        self._by_descriptor[client.sock.fileno()] = client
        self._epoll.register(client.sock, select.EPOLLIN)

    def send(self, client: Client) -> int:
        """Send the next message from `client`; returns its number. Lost, if the server takes nothing more."""
        sequence = len(self.sent_at)
        self.sent_at.append(time.perf_counter())
        self._write(client, self._frames.frame(sequence))
        return sequence

    def serve(self, timeout_seconds: float) -> None:
        """Read once from each client that has something, after waiting at most that long for the first."""
        buffer, clients = self._buffer, self._by_descriptor
        for descriptor, _ in self._epoll.poll(timeout_seconds):
            client = clients[descriptor]
            try:
                size = client.receive_into(buffer)
            except ConnectionError as error:
                raise Lost(f"a client was reset: {error}") from error
            if not size:
                raise Lost("a client was closed")
            if client.tail:
                data: bytes | bytearray = client.tail + buffer[:size]
                self._take(client, data, len(data))
            else:
                self._take(client, buffer, size)

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
            raise Lost(f"a server ended a connection: opcode {frame[0] & 15}")
        if frame[2] == _PING:
            self._write(client, PONG)

    def _see(self, client: Client, sequence: int) -> None:
        self.times.append(time.perf_counter() - self.sent_at[sequence])
        self.on_seen(client, sequence)

    def _write(self, client: Client, data: bytes) -> None:
        try:
            sent = client.sock.send(data)
        except OSError as error:
            raise Lost(f"a client cannot send: {error}") from error
        if sent < len(data):
            raise Lost("a server takes no more messages")
