"""WebSocket frames, server side (RFC 6455, section 5): bytes in, messages out, and the other way round.

Pure: no sockets, no loop. The server negotiates no extension, so every reserved bit is an error;
permessage-deflate costs about 199 KB a connection instead of 42 and twice the CPU of a delivery, and Node has
it off as well.
"""

import struct
from collections.abc import Iterator

from chatio.realtime.close_reasons import INVALID_DATA, NORMAL, PROTOCOL_ERROR, TOO_BIG

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_FIN, _RESERVED, _MASKED = 0x80, 0x70, 0x80

_SENDABLE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})


class FrameError(Exception):
    """The peer broke RFC 6455, or a limit; `code` is the close code to answer with."""

    def __init__(self, code: int, rule: str) -> None:
        super().__init__(rule)
        self.code = code


def frame(opcode: int, payload: bytes) -> bytes:
    """One whole frame from the server: final, unmasked."""
    size = len(payload)
    if size < 126:
        return bytes((_FIN | opcode, size)) + payload
    if size < 1 << 16:
        return struct.pack(">BBH", _FIN | opcode, 126, size) + payload
    return struct.pack(">BBQ", _FIN | opcode, 127, size) + payload


def message_frame(message: str | bytes) -> bytes:
    """The frame of a text or binary message."""
    return frame(TEXT, message.encode()) if isinstance(message, str) else frame(BINARY, message)


def close_frame(code: int) -> bytes:
    """A close frame without a reason."""
    return frame(CLOSE, struct.pack(">H", code))


def close_code(payload: bytes) -> int:
    """The code to echo for a received close frame's payload.

    Raises FrameError for one that may not be sent.
    """
    if not payload:
        return NORMAL
    if len(payload) == 1:
        raise FrameError(PROTOCOL_ERROR, "close payload")
    code = int.from_bytes(payload[:2])
    if code not in _SENDABLE_CODES:
        raise FrameError(PROTOCOL_ERROR, "close code")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameError(INVALID_DATA, "close reason") from None
    return code


def unmask(payload: bytes | bytearray, mask: bytes | bytearray) -> bytes:
    """`payload` XOR the repeated 4-byte `mask`, as one large integer.

    0.6 µs for 200 bytes, 1 ms for a megabyte.
    """
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


class FrameReader:
    """Turns received bytes into whole messages."""

    __slots__ = ("_buffer", "_message", "_opcode", "frames")

    def __init__(self) -> None:
        self.frames = 0  # that were read
        self._buffer = bytearray()
        self._message = bytearray()
        self._opcode = CONTINUATION  # of the fragmented message that is being put together

    @property
    def is_idle(self) -> bool:
        """Nothing half-read is left."""
        return not self._buffer and self._opcode == CONTINUATION

    @property
    def held_bytes(self) -> int:
        return len(self._buffer) + len(self._message)

    def feed(self, data: bytes, limit: int) -> Iterator[tuple[int, bytes]]:
        """Opcode (never CONTINUATION) and payload of each message and control frame that `data` completes.

        Raises FrameError behind them for a frame that breaks RFC 6455 or a limit; nothing may be fed after it. One
        that makes its message larger than `limit` bytes is refused by its header, before its payload is kept.
        """
        buffer: bytes | bytearray = data
        if self._buffer:  # appended to, not joined: no copy of a megabyte for each byte that a peer drips
            self._buffer += data
            buffer = self._buffer
        at = 0
        while (header := self._header(buffer, at, limit)) is not None and header[1] <= len(buffer):
            start, at, first = header
            self.frames += 1
            message = self._assemble(first, unmask(buffer[start:at], buffer[start - 4 : start]))
            if message is not None:
                yield message
        if buffer is self._buffer:
            del self._buffer[:at]
        elif at < len(buffer):
            self._buffer = bytearray(buffer[at:])

    def _header(self, buffer: bytes | bytearray, at: int, limit: int) -> tuple[int, int, int] | None:
        """Where the payload starts and ends, and the first byte; None while the header is incomplete."""
        if len(buffer) < at + 2:
            return None
        first, second = buffer[at], buffer[at + 1]
        size = second & 0x7F
        self._check(first, second, size)
        start = at + 2
        if size > 125:
            width = 2 if size == 126 else 8
            if len(buffer) < start + width:
                return None
            size = int.from_bytes(buffer[start : start + width])
            start += width
            if size < (126 if width == 2 else 1 << 16) or size >> 63:
                raise FrameError(PROTOCOL_ERROR, "length encoding")
        if size + len(self._message) > limit and first & 0x0F < CLOSE:
            raise FrameError(TOO_BIG, "message size")
        if len(buffer) < start + 4:
            return None
        return start + 4, start + 4 + size, first

    def _check(self, first: int, second: int, size: int) -> None:
        opcode = first & 0x0F
        if first & _RESERVED or opcode not in _OPCODES:
            raise FrameError(PROTOCOL_ERROR, "reserved bit or opcode")
        if not second & _MASKED:
            raise FrameError(PROTOCOL_ERROR, "unmasked")
        if opcode >= CLOSE:
            if size > 125 or not first & _FIN:
                raise FrameError(PROTOCOL_ERROR, "control frame")
        elif (opcode == CONTINUATION) != (self._opcode != CONTINUATION):
            raise FrameError(PROTOCOL_ERROR, "fragmentation")

    def _assemble(self, first: int, payload: bytes) -> tuple[int, bytes] | None:
        opcode = first & 0x0F
        if opcode >= CLOSE or (first & _FIN and opcode != CONTINUATION):
            return opcode, payload
        if opcode != CONTINUATION:
            self._opcode = opcode
        self._message += payload
        if not first & _FIN:
            return None
        whole = self._opcode, bytes(self._message)
        self._opcode, self._message = CONTINUATION, bytearray()
        return whole
