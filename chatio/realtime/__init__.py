"""The seam to python-socketio: the one package that knows the library's insides, and nothing of chat."""

from collections.abc import Iterable
from typing import Any

from tornado.web import RequestHandler

from chatio.realtime.broadcast.fanout import Fanout
from chatio.realtime.engineio.admission import AdmissionCheck, HandshakeRate, LoadShedding, Refusal
from chatio.realtime.engineio.handler import handler_for
from chatio.realtime.engineio.input_rate import Pace
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.options import RealtimeOptions
from chatio.realtime.socketio.dispatch import TemporarilyUnavailable, ack_requested
from chatio.realtime.socketio.server import Server

__all__ = [
    "AdmissionCheck",
    "EngineServer",
    "Fanout",
    "HandshakeRate",
    "LoadShedding",
    "Pace",
    "RealtimeOptions",
    "Refusal",
    "Server",
    "TemporarilyUnavailable",
    "ack_requested",
    "create_engine",
    "create_server",
]


def create_server(
    typed: RealtimeOptions | None = None,
    *,
    connect_timeout: float = 45.0,
    trusted_proxies: Iterable[str] = (),
    **options: Any,
) -> tuple[Server, type[RequestHandler]]:
    """A Socket.IO server, and the Tornado handler class to mount at "/socket.io/".

    `options` are those of `socketio.AsyncServer`. `connect_timeout`: seconds within which a client must have
    joined a namespace, or is closed (Node's default). `trusted_proxies`: addresses and CIDR blocks whose
    X-Forwarded-For is believed; ValueError for one that is neither. `max_connections` and
    `max_connections_per_address` (IPv6: per /64): how many there may be at once. `gates`: who else is asked before
    a handshake, see `AdmissionCheck`. `input_pace`: how fast one connection may send, see `Pace`.
    """
    if typed is not None:
        connect_timeout, trusted_proxies = typed.connect_timeout, map(str, typed.trusted_proxies)
        options = {
            "namespaces": list(typed.namespaces),
            "cors_allowed_origins": typed.cors_allowed_origins,
            "ping_interval": typed.ping_interval,
            "ping_timeout": typed.ping_timeout,
            "max_http_buffer_size": typed.max_http_buffer_size,
            "max_connections": typed.max_connections,
            "max_connections_per_address": typed.max_connections_per_address,
            "gates": typed.admission_checks,
            "input_pace": typed.input_rate,
            "async_handlers": False,
        }
    server = Server(connect_timeout=connect_timeout, trusted_proxies=trusted_proxies, **options)
    return server, handler_for(server.eio)


def create_engine(
    *, trusted_proxies: Iterable[str] = (), **options: Any
) -> tuple[EngineServer, type[RequestHandler]]:
    """An Engine.IO server, and the Tornado handler class to mount at "/engine.io/".

    `options` are those of `engineio.AsyncServer`; the rest is as in `create_server`.
    """
    engine = EngineServer(trusted_proxies=trusted_proxies, **options)
    return engine, handler_for(engine)
