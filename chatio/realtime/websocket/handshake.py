"""WebSocket handshake, server side (RFC 6455, section 4.2)."""

import base64
import binascii
import hashlib
import re

from tornado.httputil import HTTPHeaders

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
