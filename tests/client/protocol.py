"""The bytes that a client sends: HTTP/1.1, WebSocket (RFC 6455), Engine.IO 4, Socket.IO 5 and a JWT.

This module knows no sockets. The tests' clients and the benchmark's load tool build on it.
"""

import base64
import hashlib
import hmac
import json
import os
import struct
import time
import uuid
from typing import Any

SOCKET_IO = "/socket.io/?EIO=4&transport="
ENGINE_IO = "/engine.io/?EIO=4&transport="
NO_MASK = bytes(4)  # a mask as good as any (RFC 6455, 5.3), which leaves the payload as it is
PONG = b"\x81\x81\0\0\0\x003"


def http_request(method: str, target: str, body: bytes | None = None, **headers: str) -> bytes:
    """A request whose headers are named as Python names go: `Content_Type`.

    A body has a Content-Length, unless the headers say another or that the body is chunked.
    """
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in ({"Host": "localhost"} | headers).items()]
    if body is not None and "Content_Length" not in headers and "Transfer_Encoding" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def websocket_request(target: str = f"{SOCKET_IO}websocket", **headers: str) -> bytes:
    """The opening handshake (RFC 6455, 4.1), without any extension, as Node's own client offers none."""
    wanted = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": base64.b64encode(os.urandom(16)).decode(),
    }
    return http_request("GET", target, None, **(wanted | headers))


def client_frame(
    opcode: int, payload: bytes, *, fin: bool = True, masked: bool = True, reserved: int = 0, mask: bytes = b"mask"
) -> bytes:
    """A frame as a client sends it, or, on purpose, as it must not."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    size, bit = len(payload), 0x80 if masked else 0
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 1 << 16:
        head = struct.pack(">BBH", first, bit | 126, size)
    else:
        head = struct.pack(">BBQ", first, bit | 127, size)
    if not masked:
        return head + payload
    if mask == NO_MASK:
        return head + mask + payload
    repeated = int.from_bytes((mask * (size // 4 + 1))[:size])
    return head + mask + (int.from_bytes(payload) ^ repeated).to_bytes(size)


def plain_frame(payload: bytes) -> bytes:
    """A text frame that shows its payload."""
    return client_frame(1, payload, mask=NO_MASK)


def text(message: str) -> bytes:
    return client_frame(1, message.encode())


def connect_packet(token: str, **auth: str) -> bytes:
    """The CONNECT of `/chat` that carries the token."""
    return b"40/chat," + json.dumps({"token": token, **auth}).encode()


def token(key: str, subject: str, *, name: str | None = None, **claims: Any) -> str:
    """A JWT (HS256) with the claims that `POST /login` issues, good for a day unless `claims` say otherwise."""
    now = int(time.time())
    sound = {
        "id": subject,
        "name": name or subject,
        "email": f"{subject}@chat.test",
        "sub": subject,
        "iat": now,
        "exp": now + 86_400,
        "jti": uuid.uuid4().hex,
    }
    signed = _base64url(b'{"alg":"HS256","typ":"JWT"}') + b"." + _base64url(json.dumps(sound | claims).encode())
    return (signed + b"." + _base64url(hmac.digest(key.encode(), signed, hashlib.sha256))).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
