"""HTTP errors of handshake and polling, with Node's codes and texts (engine.io, Server.errorMessages)."""

import json
from dataclasses import dataclass
from typing import Final, NamedTuple

from chatio.realtime import close_reasons
from chatio.realtime.close_reasons import CloseReason, protocol_violation
from chatio.realtime.limits import LEAVING_RETRY_SECONDS
from chatio.realtime.websocket.frames import VERSION

BAD_REQUEST_CODE: Final = 3  # for all that Node has no code for, too


class HttpError(NamedTuple):
    """The reason's text is the message for the client."""

    status: int
    code: int
    reason: CloseReason
    retry_after_seconds: int = 0  # 0: coming back makes no sense

    @property
    def headers(self) -> dict[str, str]:
        if self is NO_WEBSOCKET:
            return {"Sec-WebSocket-Version": VERSION}  # RFC 6455, section 4.2.2
        if self is METHOD_UNKNOWN:
            return {"Allow": "GET, POST, OPTIONS"}  # RFC 9110, section 15.5.6
        if self.retry_after_seconds:
            return {"Retry-After": str(self.retry_after_seconds), "Access-Control-Expose-Headers": "Retry-After"}
        return {}

    @property
    def body(self) -> bytes:
        later = {"retry_after_seconds": self.retry_after_seconds} if self.retry_after_seconds else {}
        return json.dumps({"code": self.code, "message": self.reason.text} | later).encode()


UNKNOWN_TRANSPORT: Final = HttpError(400, 0, protocol_violation("Transport unknown"))
UNKNOWN_SESSION: Final = HttpError(400, 1, close_reasons.SESSION_UNKNOWN)
OTHER_SERVER: Final = HttpError(400, 1, close_reasons.SESSION_ELSEWHERE)
BAD_METHOD: Final = HttpError(400, 2, protocol_violation("Bad handshake method"))
METHOD_UNKNOWN: Final = HttpError(405, BAD_REQUEST_CODE, protocol_violation("Method Not Allowed"))
BAD_REQUEST: Final = HttpError(400, BAD_REQUEST_CODE, protocol_violation("Bad request"))
NO_WEBSOCKET: Final = HttpError(400, BAD_REQUEST_CODE, protocol_violation("Bad request"))  # it is not valid
FORBIDDEN: Final = HttpError(403, 4, close_reasons.ORIGIN_FORBIDDEN)
TOO_LARGE: Final = HttpError(413, BAD_REQUEST_CODE, protocol_violation("Payload too large"))
UNSUPPORTED_VERSION: Final = HttpError(400, 5, protocol_violation("Unsupported protocol version"))
TOO_MANY_REQUESTS: Final = HttpError(503, BAD_REQUEST_CODE, close_reasons.TOO_MANY_FRAMES, 1)
SHUTTING_DOWN: Final = HttpError(503, BAD_REQUEST_CODE, close_reasons.DRAINING, LEAVING_RETRY_SECONDS)
FAILED: Final = HttpError(500, BAD_REQUEST_CODE, protocol_violation("Internal Server Error"))


@dataclass(eq=False)
class HandshakeError(Exception):
    """A request that is answered with `error`."""

    error: HttpError
