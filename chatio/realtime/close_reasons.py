"""Close reasons: why a client was refused or its connection closed, one value for metric, log and close frame.

The label is one of a few, known beforehand: most reasons are rules of the protocol, and a graph needs to say only
that it was one of them. The text is ours, never what a client sent. The code is the WebSocket's (RFC 6455, section
7.4.1; 1013 is in IANA's registry).
"""

from typing import Final, NamedTuple

NORMAL, GOING_AWAY, PROTOCOL_ERROR, INVALID_DATA, POLICY, TOO_BIG = 1000, 1001, 1002, 1007, 1008, 1009
SERVER_ERROR, TRY_AGAIN_LATER = 1011, 1013


class CloseReason(NamedTuple):
    label: str
    text: str
    code: int = PROTOCOL_ERROR


def protocol_violation(text: str, code: int = PROTOCOL_ERROR) -> CloseReason:
    """The reason for a client that broke a rule of WebSocket, Engine.IO or Socket.IO; `text` names the rule."""
    return CloseReason("protocol", text, code)


DRAINING: Final = CloseReason("leaving", "Shutting down")
OVERLOADED: Final = CloseReason("overloaded", "Overloaded")
SERVER_FULL: Final = CloseReason("full", "Too many connections")
ADDRESS_FULL: Final = CloseReason("address_full", "Too many connections from one address")
HANDSHAKE_RATE: Final = CloseReason("address_rate", "Too many handshakes from one address")
ORIGIN_FORBIDDEN: Final = CloseReason("origin", "Forbidden")
SESSION_UNKNOWN: Final = CloseReason("unknown_session", "Session ID unknown")
SESSION_ELSEWHERE: Final = CloseReason(
    "other_server", "Session ID unknown"
)  # a proxy that does not know the server
CONNECT_TIMEOUT: Final = CloseReason("silent", "no CONNECT")
OUTPUT_NOT_TAKEN: Final = CloseReason("slow", "output not taken")
TOO_MANY_FRAMES: Final = CloseReason("flood", "too many frames", POLICY)

# Every label that the seam counts by itself.
LABELS: Final = (
    *("leaving", "overloaded", "full", "address_full", "address_rate", "origin"),
    *("unknown_session", "other_server", "silent", "slow", "flood", "protocol"),
)
