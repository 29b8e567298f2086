"""Which requests are let in: decided from the head alone, before a byte of a body is read and before any 101.

The library's handler sends 101 first, and then keeps what it should have refused, open for ever.
"""

from tornado.httputil import HTTPServerRequest

from chatio.realtime.engineio.admission import Refusal, first_refusal
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.limits import LEAVING_RETRY_SECONDS


class Refused(Exception):
    """A request that is answered with an error.

    Codes and texts are Node's (engine.io, Server.errorMessages).
    """

    def __init__(self, status: int, code: int, message: str, *, retry_after_seconds: int = 0) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.retry_after_seconds = retry_after_seconds  # 0: there is nothing to wait for


def unknown_transport() -> Refused:
    return Refused(400, 0, "Transport unknown")


def unknown_session() -> Refused:
    return Refused(400, 1, "Session ID unknown")


def bad_method() -> Refused:
    return Refused(400, 2, "Bad handshake method")


def bad_request() -> Refused:
    return Refused(400, 3, "Bad request")


def unauthorized() -> Refused:
    return Refused(401, 4, "Unauthorized")


def forbidden() -> Refused:
    return Refused(403, 4, "Forbidden")


def too_large() -> Refused:
    return Refused(413, 3, "Payload too large")


def unsupported_version() -> Refused:
    return Refused(400, 5, "Unsupported protocol version")


def shutting_down() -> Refused:
    return Refused(503, 3, "Shutting down", retry_after_seconds=LEAVING_RETRY_SECONDS)


def not_now(refusal: Refusal) -> Refused:
    """Code 3, as whatever Node has no code for."""
    return Refused(503, 3, refusal.reason.capitalize(), retry_after_seconds=refusal.retry_after_seconds)


def argument(request: HTTPServerRequest, name: str) -> str:
    """The first value of a query argument, "" if there is none."""
    values = request.query_arguments.get(name)
    return values[0].decode("latin-1") if values else ""


def is_upgrade(request: HTTPServerRequest) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def body_bytes(request: HTTPServerRequest) -> int:
    """The length that a body says it has; 0 for one that comes in chunks."""
    length = request.headers.get("Content-Length", "0")
    return int(length[:20]) if length.isascii() and length.isdigit() else 0


def admitted(engine: EngineServer, request: HTTPServerRequest) -> Connection | None:
    """The session that a GET or POST belongs to, None for a handshake. Raises Refused."""
    transport, sid = argument(request, "transport"), argument(request, "sid")
    if transport not in engine.transports:
        raise unknown_transport()
    if request.method not in ("GET", "POST"):
        raise bad_method()
    if (transport == "websocket") != is_upgrade(request) or argument(
        request, "j"
    ):  # "j": JSONP, which IE 9 needed
        raise bad_request()
    if sid:
        return _session(engine, sid, transport)
    if argument(request, "EIO") != "4":
        raise unsupported_version()
    if request.method != "GET":
        raise bad_method()
    if not engine.accepting:
        raise shutting_down()
    return None


def open_connection(engine: EngineServer, address: str) -> Connection:
    """A new session for a client at `address`, if the gates let it in. Raises Refused.

    Asked and counted in one step: of two that come for the last place one gets it.
    """
    refusal = first_refusal(engine.gates, address)
    if refusal is not None:
        raise not_now(refusal)
    return engine.new_connection(address)


def _session(engine: EngineServer, sid: str, transport: str) -> Connection:
    connection: Connection | None = engine.sockets.get(sid)
    if connection is None or connection.closing:
        raise unknown_session()
    if transport == "websocket":
        if not engine.can_upgrade:
            raise bad_request()
    elif connection.websocket is not None:
        raise bad_request()
    return connection


def admit_post(connection: Connection, request: HTTPServerRequest) -> None:
    """Begin to receive a polling body: one at a time, and none that says it is too large. Raises Refused."""
    if connection.posting:
        connection.refuse("two POSTs at once")
        raise bad_request()
    if body_bytes(request) > connection.max_input_bytes:
        connection.refuse("polling body size")
        raise too_large()
    connection.posting = True
