"""The library's classes that are subclassed here. They carry no types: this is where `Any` comes in.

What they are leaned on for, private names included, is listed in tests/unit/realtime/test_library_pins.py.
"""

from typing import Any

import engineio
import engineio.async_socket
import socketio

EngineIOServer: Any = engineio.AsyncServer
EngineIOSocket: Any = engineio.async_socket.AsyncSocket
SocketIOServer: Any = socketio.AsyncServer
SocketIOManager: Any = socketio.AsyncManager
SocketIONamespace: Any = socketio.AsyncNamespace
