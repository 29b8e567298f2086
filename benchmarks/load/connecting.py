"""Connects clients in waves: by WebSocket alone, or by polling and an upgrade as Socket.IO's own client does.

A wave does each step for all its clients before it waits for the first answer: a server whose answers are
held up by Nagle's algorithm (python-socketio as it comes) costs a wave 40 ms, not a client.
"""

import json
import socket
from collections.abc import Iterable, Iterator

from benchmarks.load.swarm import Client, LostError
from benchmarks.load.wire import polling_request, user_token
from tests.client.protocol import SOCKET_IO, connect_packet, plain_frame, websocket_request

WAVE = 64
TIMEOUT_SECONDS = 30.0
_POLLS = 3  # how many polls may pass before one brings the answer to CONNECT


class Stream:
    """A blocking socket and what was read ahead of it.

    Its local port is the kernel's choice at `connect`, never at `bind`, which looks for a port that is in use
    towards no server at all: 3 to 6 ms a client while thousands were in TIME_WAIT from the last visit.
    """

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ahead = b""

    def until(self, end: bytes) -> bytes:
        while end not in self.ahead:
            self._more()
        data, _, self.ahead = self.ahead.partition(end)
        return data

    def exactly(self, size: int) -> bytes:
        while len(self.ahead) < size:
            self._more()
        data, self.ahead = self.ahead[:size], self.ahead[size:]
        return data

    def head(self, status: int) -> bytes:
        """The headers of an HTTP answer, in lower case; LostError if its status is another."""
        head = self.until(b"\r\n\r\n")
        if int(head.split(b" ", 2)[1]) != status:
            raise LostError(f"a handshake was answered {head.splitlines()[0]!r}")
        return head.lower()

    def body(self) -> bytes:
        """The body of an HTTP answer 200 that announces its length, as those of Engine.IO do."""
        length = self.head(200).partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        return self.exactly(int(length))

    def frame(self) -> bytes:
        """The payload of one frame, shorter than 64 KiB."""
        size = self.exactly(2)[1]
        return self.exactly(int.from_bytes(self.exactly(2), "big") if size == 126 else size)

    def _more(self) -> None:
        data = self.sock.recv(1 << 16)
        if not data:
            raise LostError("a server closed a connection in its handshake")
        self.ahead += data


def waves(numbers: Iterable[int]) -> Iterator[list[int]]:
    """`numbers` in lists of at most WAVE."""
    left = list(numbers)
    for start in range(0, len(left), WAVE):
        yield left[start : start + WAVE]


def connect_wave(port: int, secret: str, numbers: Iterable[int], upgraded: bool) -> list[Client]:
    """Connect these users to `/chat` at 127.0.0.1:`port` and sign them in. LostError, OSError."""
    tokens = [user_token(secret, number) for number in numbers]
    if upgraded:
        return _by_polling(port, tokens)
    streams = [Stream(port) for _ in tokens]
    for stream in streams:
        stream.sock.sendall(websocket_request())
    for stream in streams:
        stream.head(101)
        _expect(stream.frame(), b"0{")
    for stream, token in zip(streams, tokens, strict=True):
        stream.sock.sendall(plain_frame(connect_packet(token)))
    for stream in streams:
        _expect(stream.frame(), b"40/chat,{")
    return [Client(stream.sock, stream.ahead) for stream in streams]


def joined(port: int, secret: str, number: int) -> Stream:
    """A user who is in `/chat`, by WebSocket. LostError, OSError."""
    stream = Stream(port)
    stream.sock.sendall(websocket_request())
    stream.head(101)
    _expect(stream.frame(), b"0{")
    stream.sock.sendall(plain_frame(connect_packet(user_token(secret, number))))
    _expect(stream.frame(), b"40/chat,{")
    return stream


def _by_polling(port: int, tokens: list[str]) -> list[Client]:
    polling = [Stream(port) for _ in tokens]
    for stream in polling:
        stream.sock.sendall(polling_request("GET", ""))
    queries = ["&sid=" + json.loads(stream.body()[1:])["sid"] for stream in polling]
    for stream, query, token in zip(polling, queries, tokens, strict=True):
        stream.sock.sendall(polling_request("POST", query, connect_packet(token)))
    for stream, query in zip(polling, queries, strict=True):
        stream.body()
        stream.sock.sendall(polling_request("GET", query))
    for stream, query in zip(polling, queries, strict=True):
        _await_connected(stream, query)
    return _upgrade(port, polling, queries)


def _await_connected(stream: Stream, query: str) -> None:
    for _ in range(_POLLS):
        if stream.body().startswith(b"40/chat,{"):
            return
        stream.sock.sendall(polling_request("GET", query))
    raise LostError("CONNECT was not answered")


def _upgrade(port: int, polling: list[Stream], queries: list[str]) -> list[Client]:
    streams = [Stream(port) for _ in queries]
    for stream, query in zip(streams, queries, strict=True):
        stream.sock.sendall(websocket_request(f"{SOCKET_IO}websocket{query}"))
    for stream in streams:
        stream.head(101)
        stream.sock.sendall(plain_frame(b"2probe"))
    for stream in streams:
        _expect(stream.frame(), b"3probe")
        stream.sock.sendall(plain_frame(b"5"))
    for stream in polling:
        stream.sock.close()
    return [Client(stream.sock, stream.ahead) for stream in streams]


def _expect(payload: bytes, start: bytes) -> None:
    if not payload.startswith(start):
        raise LostError(f"a server answered {payload[:80]!r} where {start!r} was due")
