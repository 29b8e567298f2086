"""The bytes of the load tool: WebSocket frames (RFC 6455), HTTP requests, Engine.IO 4, Socket.IO 5.

Knows no sockets. A client must mask what it sends (5.3); the mask here is zero, which leaves the payload as
it is, so a message is built by joining bytes.
"""

import base64
import hashlib
import hmac
import json
import time
import uuid

NAMESPACE = b"/chat"
PONG = b"\x81\x81\0\0\0\x003"
MARK = b"seq="
TEXT_BYTES = 200
_SEQUENCE_DIGITS = 9
_FILLER = b"All work and no play makes Jack a dull boy. "


def frame(payload: bytes) -> bytes:
    """One text frame from a client, masked with zeros; `payload` is shorter than 64 KiB."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, 0x80 | size)) + b"\0\0\0\0" + payload
    return b"\x81\xfe" + size.to_bytes(2, "big") + b"\0\0\0\0" + payload


def request(method: str, query: str, body: bytes = b"") -> bytes:
    """A polling request of Engine.IO 4; `query` follows `EIO=4&transport=polling`."""
    head = (
        f"{method} /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def websocket_request(query: str = "") -> bytes:
    """The opening handshake (RFC 6455, 4.1), without any extension, as Node's own client offers none."""
    return (
        f"GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1\r\nHost: localhost\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(uuid.uuid4().bytes).decode()}\r\n\r\n"
    ).encode()


def connect_packet(token: str) -> bytes:
    """The CONNECT of `/chat` that carries the token."""
    return b"40" + NAMESPACE + b"," + json.dumps({"token": token}).encode()


def token(secret: str, number: int) -> str:
    """A JWT (HS256) of user `number` with the claims that `POST /login` issues, good for a day."""
    now = int(time.time())
    subject = str(uuid.UUID(int=number))
    claims = {
        "id": subject,
        "name": f"User {number:05d}",
        "email": f"user{number:05d}@example.com",
        "sub": subject,
        "iat": now,
        "exp": now + 86_400,
        "jti": uuid.uuid4().hex,
    }
    signed = _base64url(b'{"alg":"HS256","typ":"JWT"}') + b"." + _base64url(json.dumps(claims).encode())
    return (signed + b"." + _base64url(hmac.digest(secret.encode(), signed, hashlib.sha256))).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class MessageFrames:
    """Frames of `send-message` that differ in their number alone, which stands in `id` and in `content`."""

    def __init__(self) -> None:
        number = b"0" * _SEQUENCE_DIGITS
        text = MARK + number + b" " + _FILLER * (TEXT_BYTES // len(_FILLER) + 1)
        body = {
            "id": f"{uuid.uuid4()}-{number.decode()}",
            "content": text[:TEXT_BYTES].decode(),
            "author_id": "",
            "author_name": "",
            "timestamp": "10:32 AM",
            "status": "sent",
        }
        packet = b"42" + NAMESPACE + b"," + json.dumps(["send-message", body], separators=(",", ":")).encode()
        self._start, self._middle, self._end = frame(packet).split(number)

    def frame(self, sequence: int) -> bytes:
        """The frame of message `sequence`, 0 to 999,999,999."""
        number = b"%09d" % sequence
        return self._start + number + self._middle + number + self._end


def sequence_of(data: bytes | bytearray, start: int, end: int) -> int:
    """The number of the broadcast whose frame is `data[start:end]`; ValueError if it has none."""
    at = data.index(MARK, start, end) + len(MARK)
    return int(data[at : at + _SEQUENCE_DIGITS])
