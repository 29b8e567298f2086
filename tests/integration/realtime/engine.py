"""An Engine.IO server without Socket.IO: its application calls handlers that a test names."""

import inspect
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from chatio.realtime import Endpoint, EngineServer, RealtimeOptions
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.packets import encode
from tests.client.wire import serving


class Engine:
    """The application and its server. `on` sets the handler of "connect", "message" or "disconnect"."""

    def __init__(self, options: RealtimeOptions) -> None:
        self.server = EngineServer(options)
        self.server.application, self.handler = self, Endpoint(self.server, "/engine.io")
        self.sockets, self.table_sizes = self.server.sockets, self.server.table_sizes
        self._handlers: dict[str, Callable[..., Any]] = {}

    def on(self, event: str, handler: Callable[..., Any]) -> None:
        self._handlers[event] = handler

    def send(self, sid: str, data: Any) -> None:
        if sid in self.sockets:
            text = data if isinstance(data, str | bytes) else json.dumps(data, separators=(",", ":"))
            self.sockets[sid].write(encode(text if isinstance(text, bytes) else f"4{text}"))

    def connected(self, connection: Connection, environ: dict[str, Any]) -> None:
        if "connect" in self._handlers:
            self._handlers["connect"](connection.sid, environ)

    async def receive(self, connection: Connection, data: str | bytes) -> None:
        await self._call("message", connection.sid, data)

    async def disconnected(self, connection: Connection, reason: str) -> None:
        await self._call("disconnect", connection.sid, reason)

    async def _call(self, event: str, *args: Any) -> Any:
        result = self._handlers[event](*args) if event in self._handlers else None
        return await result if inspect.isawaitable(result) else result


@asynccontextmanager
async def echoing(**options: Any) -> AsyncIterator[tuple[Engine, int]]:
    """An Engine.IO server that answers each message with itself."""
    engine = Engine(RealtimeOptions(**({"ping_interval": 60.0, "ping_timeout": 20.0} | options)))
    engine.on("message", engine.send)
    async with serving(engine.handler, "/engine.io/") as port:
        yield engine, port
