"""WebSocket handshake, server side (RFC 6455, section 4.2), and the bare socket that is left after it."""

import base64
import binascii
import hashlib
import re
import socket

from tornado.httputil import HTTPHeaders
from tornado.iostream import IOStream, StreamClosedError

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
VERSION = "13"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


def switching_protocols(headers: HTTPHeaders) -> bytes | None:
    """The 101 answer to a client's handshake; None if the handshake is not one.

    The first subprotocol on offer is chosen, as by Node's server: browsers close a WebSocket without.
    """
    key = headers.get("Sec-WebSocket-Key", "")
    tokens = [token.strip().lower() for token in headers.get("Connection", "").split(",")]
    if "upgrade" not in tokens or headers.get("Sec-WebSocket-Version") != VERSION:
        return None
    try:
        nonce = binascii.a2b_base64(key, strict_mode=True)
    except ValueError:
        return None
    offers = [offer.strip() for offer in headers.get("Sec-WebSocket-Protocol", "").split(",")]
    subprotocol = next(filter(None, offers), "")
    if len(nonce) != 16 or (subprotocol and not _TOKEN.fullmatch(subprotocol)):
        return None
    digest = hashlib.sha1(key.encode() + _GUID).digest()  # noqa: S324 - RFC 6455 names it, and no secret is in it
    chosen = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"{chosen}Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n"
    ).encode()


def take_socket(stream: IOStream) -> tuple[socket.socket, bytes]:
    """A socket of our own for the connection of a stream, and what the stream had read already.

    Closes the stream, whose objects are free afterwards. Raises OSError (StreamClosedError is one) if the
    connection is gone.
    """
    if stream.closed():
        raise StreamClosedError
    early = bytes(stream._read_buffer)  # `read_bytes` would ask the kernel for more, 3 % of a connect
    own: socket.socket = stream.socket.dup()
    own.setblocking(False)
    stream.close()
    return own, early
