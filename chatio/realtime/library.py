"""The library's classes that the seam subclasses. They carry no types: this is where `Any` comes in.

The private names that the seam leans on are listed in tests/unit/realtime/test_library_pins.py.
"""

from typing import Any

import engineio
import socketio

EngineIOServer: Any = engineio.AsyncServer
SocketIOServer: Any = socketio.AsyncServer
SocketIOManager: Any = socketio.AsyncManager
SocketIONamespace: Any = socketio.AsyncNamespace
DisconnectReason: Any = engineio.AsyncServer.reason  # texts that disconnect handlers are given
