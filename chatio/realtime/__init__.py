"""Realtime: the seam to python-socketio. The one package that knows the library's insides, and nothing of chat."""

from socketio.exceptions import ConnectionRefusedError as ConnectRefused

from chatio.realtime.broadcast.fanout import Fanout
from chatio.realtime.close_reasons import CloseReason
from chatio.realtime.engineio.admission import handshake_rate, load_shedding
from chatio.realtime.engineio.handler import Endpoint
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.options import RealtimeOptions, Refusal
from chatio.realtime.socketio.connect import TemporarilyUnavailable
from chatio.realtime.socketio.dispatch import NO_ACK, ack_requested
from chatio.realtime.socketio.manager import LogStart
from chatio.realtime.socketio.server import Server

__all__ = [
    "NO_ACK",
    "CloseReason",
    "ConnectRefused",
    "Endpoint",
    "EngineServer",
    "Fanout",
    "LogStart",
    "RealtimeOptions",
    "Refusal",
    "Server",
    "TemporarilyUnavailable",
    "ack_requested",
    "create_server",
    "handshake_rate",
    "load_shedding",
]


def create_server(options: RealtimeOptions | None = None) -> tuple[Server, Endpoint]:
    """A Socket.IO server, and the endpoint to mount at its `path`."""
    server = Server(options or RealtimeOptions())
    return server, Endpoint(server.eio, "/socket.io")
