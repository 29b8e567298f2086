"""WebSocket, server side (RFC 6455): the handshake (section 4.2) and frames (section 5), both ways.

Pure: no sockets, no loop. The server negotiates no extension, so every reserved bit is an error;
permessage-deflate costs about 199 KB a connection instead of 42 and twice the CPU of a delivery, and Node has
it off as well.
"""

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Mapping

from tornado.util import _websocket_mask

from chatio.realtime.close_reasons import INVALID_DATA, NORMAL, PROTOCOL_ERROR, TOO_BIG

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
VERSION = "13"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


def switching_protocols(headers: Mapping[str, str]) -> bytes | None:
    """The 101 answer to a client's handshake; None if the handshake is not one. Names as Tornado writes them.

    The first subprotocol on offer is chosen, as by Node's server: browsers close a WebSocket without.
    """
    key = headers.get("Sec-Websocket-Key", "")
    tokens = map(str.strip, headers.get("Connection", "").lower().split(","))
    if "upgrade" not in tokens or headers.get("Sec-Websocket-Version") != VERSION:
        return None
    try:
        nonce = binascii.a2b_base64(key, strict_mode=True)
    except ValueError:
        return None
    offers = map(str.strip, headers.get("Sec-Websocket-Protocol", "").split(","))
    subprotocol = next(filter(None, offers), "")
    if len(nonce) != 16 or (subprotocol and not _TOKEN.fullmatch(subprotocol)):
        return None
    digest = hashlib.sha1(key.encode() + _GUID).digest()  # noqa: S324 - RFC 6455 names it, and no secret is in it
    chosen = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"{chosen}Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n"
    ).encode()


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


class FrameReader:
    """Turns received bytes into whole messages."""

    __slots__ = ("_buffer", "_message", "_opcode", "error", "frames", "is_idle")

    def __init__(self) -> None:
        self.frames = 0  # that were read
        self.error: FrameError | None = None  # the rule that the peer broke: nothing may be fed any more
        self.is_idle = True  # nothing half-read is left
        self._buffer = bytearray()
        self._message = bytearray()
        self._opcode = CONTINUATION  # of the fragmented message that is being put together

    @property
    def held_bytes(self) -> int:
        return len(self._buffer) + len(self._message)

    def feed(self, data: bytes, limit: int) -> list[tuple[int, bytes]]:
        """Opcode (never CONTINUATION) and payload of each message and control frame that `data` completes.

        A frame behind them that breaks RFC 6455 or a limit sets `error`. One that makes its message larger than
        `limit` bytes is refused by its header, before its payload is kept.
        """
        buffer: bytes | bytearray = data
        if self._buffer:  # appended to, not joined: no copy of a megabyte for each byte that a peer drips
            self._buffer += data
            buffer = self._buffer
        at = 0
        messages = []
        try:
            while at < len(buffer) and (header := self._header(buffer, at, limit)) and header[1] <= len(buffer):
                start, at, first = header
                self.frames += 1
                payload = _websocket_mask(bytes(buffer[start - 4 : start]), bytes(buffer[start:at]))
                opcode = first & 0x0F
                if opcode < CLOSE and (opcode == CONTINUATION or not first & _FIN):
                    self._opcode = opcode or self._opcode
                    self._message += payload
                    if not first & _FIN:
                        continue
                    opcode, payload = self._opcode, bytes(self._message)
                    self._opcode, self._message = CONTINUATION, bytearray()
                elif opcode == CLOSE:
                    close_code(payload)
                messages.append((opcode, payload))
        except FrameError as error:
            self.error = error
        if buffer is self._buffer:
            del self._buffer[:at]
        elif at < len(buffer):
            self._buffer = bytearray(buffer[at:])
        self.is_idle = not self._buffer and self._opcode == CONTINUATION
        return messages

    def _header(self, buffer: bytes | bytearray, at: int, limit: int) -> tuple[int, int, int] | None:
        """Where the payload starts and ends, and the first byte; None while the header is incomplete."""
        if len(buffer) < at + 2:
            return None
        first, second = buffer[at], buffer[at + 1]
        opcode, size = first & 0x0F, second & 0x7F
        if first & _RESERVED or opcode not in _OPCODES:
            raise FrameError(PROTOCOL_ERROR, "reserved bit or opcode")
        if not second & _MASKED:
            raise FrameError(PROTOCOL_ERROR, "unmasked")
        if opcode >= CLOSE:
            if size > 125 or not first & _FIN:
                raise FrameError(PROTOCOL_ERROR, "control frame")
        elif (opcode == CONTINUATION) != (self._opcode != CONTINUATION):
            raise FrameError(PROTOCOL_ERROR, "fragmentation")
        start = at + 2
        if size > 125:
            width = 2 if size == 126 else 8
            if len(buffer) < start + width:
                return None
            size = int.from_bytes(buffer[start : start + width])
            start += width
            if size < (126 if width == 2 else 1 << 16) or size >> 63:
                raise FrameError(PROTOCOL_ERROR, "length encoding")
        if size + len(self._message) > limit and opcode < CLOSE:
            raise FrameError(TOO_BIG, "message size")
        if len(buffer) < start + 4:
            return None
        return start + 4, start + 4 + size, first
