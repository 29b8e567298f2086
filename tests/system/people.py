"""Light Socket.IO clients, many in one process. They reconnect, recover and repeat as the official ones do."""

import asyncio
import json
import random
import re
from collections.abc import Callable

from tests.client.protocol import PONG, connect_packet, plain_frame, websocket_request

_ID = re.compile(rb'"id":"([^"]+)"')
_RECEIVE = b'42/chat,["receive-message"'
_CONNECTED = b"40/chat,"
_ACK = b"43/chat,"
_FIRST_OFFSET_BYTES = 25  # an offset is the last string of an event


class Person(asyncio.Protocol):
    """One client. It keeps received and acknowledged messages, as pairs of id and offset.

    Each attempt waits for `may_try`, then asks `port`. The client reconnects after 0.5 to 1.5 s, doubled with each
    attempt that fails, up to 5 s: the official client's defaults.
    """

    def __init__(self, token: str, port: Callable[[], int], may_try: asyncio.Event) -> None:
        self.received: list[tuple[str, str]] = []
        self.acked: dict[str, str] = {}
        self.attempts = self.unreachable = self.refused = self.joins = self.failures = 0
        self.joined = asyncio.Event()
        self._token, self._port, self._may_try = token, port, may_try
        self.is_waiting = False
        self._memory: dict[str, str] = {}  # the pid and the offset by which it recovers
        self._unacked: dict[str, str] = {}
        self._in_flight: dict[int, str] = {}
        self._next_ack = 0
        self._lost = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._is_upgraded = False

    async def live(self) -> None:
        """Connect, and reconnect whenever the connection is lost, until cancelled."""
        tries = 0
        while True:
            self._lost.clear()
            self.is_waiting = True
            await self._may_try.wait()
            self.is_waiting = False
            self.attempts += 1
            try:
                await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port())
            except OSError:
                self.unreachable += 1
            else:
                await self._lost.wait()
            tries = 0 if self.joined.is_set() else tries + 1
            self.joined.clear()
            await asyncio.sleep(min(5.0, random.uniform(0.5, 1.5) * 2 ** min(tries, 10)))

    def say(self, message_id: str, content: str) -> None:
        """Send a message, and again after each reconnect, until it is acknowledged."""
        self._unacked[message_id] = content
        if self.joined.is_set():
            self._send(message_id)

    def leave(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @property
    def unacked(self) -> int:
        return len(self._unacked)

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._buffer, self._is_upgraded = transport, b"", False
        transport.write(websocket_request())

    def connection_lost(self, error: Exception | None) -> None:
        self._lost.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_upgraded:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.refused += head.startswith(b"HTTP/1.1 503")
                self.failures += not head.startswith(b"HTTP/1.1 503")
                self.leave()
                return
            self._is_upgraded, self._buffer = True, rest
        while (size := self._frame_bytes()) is not None:
            opcode = self._buffer[0] & 15
            payload = self._buffer[self._head_bytes() : size]
            self._buffer = self._buffer[size:]
            self._take(opcode, payload)

    def _head_bytes(self) -> int:
        return {126: 4, 127: 10}.get(self._buffer[1], 2)

    def _frame_bytes(self) -> int | None:
        """The length of the first frame; None if it is incomplete."""
        if len(self._buffer) < 2 or len(self._buffer) < (head := self._head_bytes()):
            return None
        length = self._buffer[1] if head == 2 else int.from_bytes(self._buffer[2:head])
        return head + length if len(self._buffer) >= head + length else None

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == 8:
            self.leave()
        elif payload.startswith(_RECEIVE):
            found = _ID.search(payload)
            assert found is not None
            offset = payload[-_FIRST_OFFSET_BYTES - 2 : -2].decode()
            self._memory["offset"] = offset
            self.received.append((found[1].decode(), offset))
        elif payload == b"2":
            self._write(PONG)
        elif payload[:2] == b"0{":
            self._write(plain_frame(connect_packet(self._token, **self._memory)))
        elif payload.startswith(_CONNECTED):
            self._memory["pid"] = json.loads(payload[len(_CONNECTED) :])["pid"]
            self.joins += 1
            self.joined.set()
            self._in_flight.clear()
            for message_id in list(self._unacked):
                self._send(message_id)
        elif payload.startswith(_ACK):
            self._take_ack(payload[len(_ACK) :])

    def _take_ack(self, payload: bytes) -> None:
        number, _, answer = payload.partition(b"[")
        message_id = self._in_flight.pop(int(number))
        (ack,) = json.loads(b"[" + answer)
        if ack["ok"]:
            self.acked[message_id] = ack["offset"]
        else:
            self.failures += 1
        del self._unacked[message_id]

    def _send(self, message_id: str) -> None:
        self._next_ack += 1
        self._in_flight[self._next_ack] = message_id
        event = ["send-message", {"id": message_id, "content": self._unacked[message_id]}]
        self._write(plain_frame(f"42/chat,{self._next_ack}{json.dumps(event)}".encode()))

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
