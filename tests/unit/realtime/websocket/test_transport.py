"""Output that a WebSocket's client does not take at once, on a real pair of sockets."""

import asyncio
import socket
import tracemalloc

from chatio.realtime.close_reasons import CloseReason
from chatio.realtime.engineio.server import MEMBERS
from chatio.realtime.websocket.frames import PING, PONG, frame
from chatio.realtime.websocket.transport import WebSocket
from chatio.throttling.input_budget import BudgetPool
from chatio.throttling.timeouts import TimeoutQueue
from tests.client.wire import client_frame, soon, until


class Listener:
    """Ignores all events but the end of waiting output."""

    def __init__(self) -> None:
        self.all_taken = asyncio.Event()
        self.lost = asyncio.Event()

    max_input_bytes = 1 << 20
    max_output_bytes = 1 << 30
    budget = BudgetPool(MEMBERS, is_on=False).of("")

    def message_received(self, message: str | bytes) -> None: ...

    def input_read(self, size_bytes: int, frames: int) -> None: ...

    def output_moved(self, *, all_taken: bool) -> None:
        if all_taken:
            self.all_taken.set()

    def connection_lost(self, reason: CloseReason | None) -> None:
        self.lost.set()


def pair() -> tuple[WebSocket, Listener, socket.socket]:
    near = socket.create_server(("127.0.0.1", 0))
    with near:
        peer = socket.create_connection(near.getsockname())
        own, _ = near.accept()
    own.setblocking(False)
    peer.setblocking(False)
    listener = Listener()
    lingering: TimeoutQueue[WebSocket] = TimeoutQueue(1.0, WebSocket.abort)
    websocket = WebSocket(own, lingering)
    websocket.listener = listener
    return websocket, listener, peer


async def fill(websocket: WebSocket) -> bytes:
    """Send until the socket takes no more; what was sent."""
    filler = frame(2, bytes(65_536))
    sent = b""
    while websocket.offer(filler):
        sent += filler
    return sent + filler


async def test_output_that_waits_comes_whole_and_in_order() -> None:
    websocket, listener, peer = pair()
    with peer:
        expected = bytearray(await fill(websocket))
        for number in range(2000):
            websocket.offer(frame(1, f"{number}".encode()))
            expected += frame(1, f"{number}".encode())
        assert websocket.pending_output_bytes > 0
        received = bytearray()
        while len(received) < len(expected):
            received += await soon(asyncio.get_running_loop().sock_recv(peer, 10_000))
        assert received == expected
        await soon(listener.all_taken.wait())
        assert websocket.pending_output_bytes == 0
        websocket.abort()


async def received_by(peer: socket.socket, count: int) -> bytes:
    """The next `count` bytes."""
    received = bytearray()
    while len(received) < count:
        received += await soon(asyncio.get_running_loop().sock_recv(peer, count - len(received)))
    return bytes(received)


async def test_pings_of_one_read_are_answered_by_one_pong_for_the_last() -> None:
    websocket, _, peer = pair()
    with peer:
        websocket.start(b"".join(client_frame(PING, b"%d" % number) for number in range(100)))
        websocket.offer(frame(1, b"behind it"))
        expected = frame(PONG, b"99") + frame(1, b"behind it")
        assert await received_by(peer, len(expected)) == expected
        websocket.abort()


async def test_pings_whose_answers_are_not_read_hold_one_pong_and_no_memory() -> None:
    websocket, _, peer = pair()
    with peer:
        expected = bytearray(await fill(websocket))
        websocket.offer(frame(1, bytes(1 << 20)))
        websocket.offer(frame(1, b"joined to it"))
        expected += frame(1, bytes(1 << 20)) + frame(1, b"joined to it")
        size = websocket.pending_output_bytes
        tracemalloc.start()
        websocket.start(b"")
        for number in range(200):
            peer.send(client_frame(PING, b"%d" % number))
            await asyncio.sleep(0)
        await until(lambda: websocket.pending_output_bytes <= size)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert websocket.pending_output_bytes == size
        assert peak < size / 2
        expected += frame(PONG, b"199")
        assert await received_by(peer, len(expected)) == expected
        websocket.abort()


async def test_output_before_sign_in_is_bounded_by_what_a_listener_says() -> None:
    websocket, listener, peer = pair()
    with peer:
        listener.max_output_bytes = 1 << 30
        await fill(websocket)
        listener.max_output_bytes = websocket.pending_output_bytes + 1000
        websocket.offer(frame(1, b"x" * 900))
        assert websocket.pending_output_bytes
        websocket.offer(frame(1, b"x" * 900))
        await soon(listener.lost.wait())
        assert not websocket.pending_output_bytes
