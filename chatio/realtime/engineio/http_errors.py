"""HTTP errors of handshake and polling, with Node's codes and texts (engine.io, Server.errorMessages)."""

from typing import Final

from chatio.realtime.close_reasons import (
    DRAINING,
    ORIGIN_FORBIDDEN,
    SESSION_UNKNOWN,
    CloseReason,
    protocol_violation,
)
from chatio.realtime.limits import LEAVING_RETRY_SECONDS
from chatio.realtime.options import Refusal

BAD_REQUEST_CODE: Final = 3  # for all that Node has no code for, too


class HandshakeError(Exception):
    """A request that is answered with an error; the reason's text is the message."""

    def __init__(self, status: int, code: int, reason: CloseReason, *, retry_after_seconds: int = 0) -> None:
        super().__init__(reason.text)
        self.status, self.code, self.reason = status, code, reason
        self.retry_after_seconds = retry_after_seconds  # 0: coming back makes no sense

    @classmethod
    def of(cls, refusal: Refusal) -> "HandshakeError":
        """The error for a client that an admission check refuses."""
        return cls(503, BAD_REQUEST_CODE, refusal.reason, retry_after_seconds=refusal.retry_after_seconds)


def unknown_transport() -> HandshakeError:
    return HandshakeError(400, 0, protocol_violation("Transport unknown"))


def unknown_session() -> HandshakeError:
    return HandshakeError(400, 1, SESSION_UNKNOWN)


def bad_method() -> HandshakeError:
    return HandshakeError(400, 2, protocol_violation("Bad handshake method"))


def bad_request() -> HandshakeError:
    return HandshakeError(400, BAD_REQUEST_CODE, protocol_violation("Bad request"))


def unauthorized() -> HandshakeError:
    return HandshakeError(401, 4, protocol_violation("Unauthorized"))


def forbidden() -> HandshakeError:
    return HandshakeError(403, 4, ORIGIN_FORBIDDEN)


def too_large() -> HandshakeError:
    return HandshakeError(413, BAD_REQUEST_CODE, protocol_violation("Payload too large"))


def unsupported_version() -> HandshakeError:
    return HandshakeError(400, 5, protocol_violation("Unsupported protocol version"))


def draining() -> HandshakeError:
    return HandshakeError(503, BAD_REQUEST_CODE, DRAINING, retry_after_seconds=LEAVING_RETRY_SECONDS)
