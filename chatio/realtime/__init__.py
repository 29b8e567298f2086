"""Realtime: the seam to python-socketio. The one package that knows the library's insides, and nothing of chat."""

from tornado.web import RequestHandler

from chatio.realtime.broadcast.fanout import Fanout
from chatio.realtime.close_reasons import CloseReason
from chatio.realtime.engineio.admission import handshake_rate, load_shedding
from chatio.realtime.engineio.handler import handler_for
from chatio.realtime.engineio.server import EngineServer
from chatio.realtime.options import RealtimeOptions, Refusal
from chatio.realtime.socketio.connect import TemporarilyUnavailable
from chatio.realtime.socketio.dispatch import NO_ACK, ack_requested
from chatio.realtime.socketio.server import Server
from chatio.realtime.websocket.input_budget import Allowance, BudgetPool

__all__ = [
    "NO_ACK",
    "Allowance",
    "BudgetPool",
    "CloseReason",
    "EngineServer",
    "Fanout",
    "RealtimeOptions",
    "Refusal",
    "Server",
    "TemporarilyUnavailable",
    "ack_requested",
    "create_server",
    "handler_for",
    "handshake_rate",
    "load_shedding",
]


def create_server(options: RealtimeOptions | None = None) -> tuple[Server, type[RequestHandler]]:
    """A Socket.IO server, and the Tornado handler class to mount at "/socket.io/"."""
    server = Server(options or RealtimeOptions())
    return server, handler_for(server.eio)
