"""The Engine.IO server: sessions, their heartbeat and their end.

`engineio.AsyncServer` keeps the API (`on`, `send`, `disconnect`, sessions, CORS, cookies); everything that
runs is ours. Nothing in the installed library is patched: its request handling is simply never called, since
the Tornado handler (handler.py) comes to the methods below instead.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from chatio.realtime.engineio import payload
from chatio.realtime.engineio.admission import AdmissionCheck, ConnectionLimit
from chatio.realtime.engineio.close_reasons import NAMES, reason_of
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.heartbeat import Heartbeat
from chatio.realtime.engineio.input_rate import Pace
from chatio.realtime.engineio.payload import EncodedPacket
from chatio.realtime.engineio.upgrade import Upgrade
from chatio.realtime.identifiers import Identifiers
from chatio.realtime.invoke import call
from chatio.realtime.library import EngineIOServer
from chatio.realtime.limits import LEAVING_SECONDS, LINGER_SECONDS, UPGRADE_SECONDS
from chatio.realtime.log import library_logger, logger, refused, report
from chatio.realtime.socketio.packets import Engine
from chatio.realtime.socketio.serializer import dumps
from chatio.realtime.websocket.frames import GOING_AWAY
from chatio.realtime.websocket.timeouts import TimeoutQueue
from chatio.realtime.websocket.transport import WebSocket
from chatio.telemetry.counters import LabelledCounter
from chatio.throttling.client_ip import parse_networks

F = TypeVar("F", bound=Callable[..., Any])


def unchanged(handler: F) -> F:
    return handler


class EngineServer(EngineIOServer):  # type: ignore[misc]
    """An `engineio.AsyncServer` for the handler of handler.py. Event loop only, all but `on`."""

    def __init__(
        self,
        *,
        trusted_proxies: Iterable[str] = (),
        first_input_bytes: int | None = None,
        max_connections: int | None = None,
        max_connections_per_address: int | None = None,
        gates: Iterable[AdmissionCheck] = (),
        input_pace: Pace | None = None,
        logger: Any = False,
        json: Any = None,
        **options: Any,
    ) -> None:
        """`first_input_bytes`: what a connection may send before its owner raises `max_input_bytes`.

        `gates`: asked in their order before a handshake, behind the two bounds. `input_pace`: how fast a
        connection is read.
        """
        options |= {"async_mode": "tornado", "monitor_clients": False}
        super().__init__(logger=quiet(logger), **options)
        self.trusted_proxies = parse_networks(trusted_proxies)
        self.first_input_bytes = min(self.max_http_buffer_size, first_input_bytes or self.max_http_buffer_size)
        self.crowd = ConnectionLimit(most=max_connections, most_per_address=max_connections_per_address)
        self.gates: tuple[AdmissionCheck, ...] = (self.crowd, *gates)
        self.input_pace = input_pace or Pace()
        self.accepting = True  # handshakes; sessions that are there are served on
        self.is_handing_over = False  # its port, to the next process: new connections are, or soon will be, there
        self.opened = LabelledCounter(["polling", "websocket"])  # sessions, by the transport they came with
        self.upgraded = 0  # of those that came by polling
        self.refusals = LabelledCounter(NAMES)
        self._identifiers = Identifiers()
        self.heartbeat = Heartbeat(self.ping_interval, self.ping_timeout)
        self.leaving: TimeoutQueue[Connection] = TimeoutQueue(
            LEAVING_SECONDS, lambda connection: _drop(connection, self.reason.CLIENT_DISCONNECT)
        )
        self.upgrades: TimeoutQueue[Upgrade] = TimeoutQueue(UPGRADE_SECONDS, Upgrade.abandon)
        self.lingering: TimeoutQueue[WebSocket] = TimeoutQueue(LINGER_SECONDS, WebSocket.abort)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._json = json

    def on(self, event: str, handler: Any = None) -> Callable[[F], F]:
        """Register a handler, as the library does; a decorator without `handler`, and typed as one."""
        return super().on(event, handler) or unchanged

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `coroutine` in the background; somebody holds the task until it is done."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def generate_id(self) -> str:
        """A session id that nobody can guess."""
        return self._identifiers.next()

    # The life of a session

    async def open_session(self, connection: Connection, environ: dict[str, Any]) -> bool:
        """Ask the connect handler about a new session.

        False if it refused, and then nothing is left of it.
        """
        try:
            answer = await self._trigger_event("connect", connection.sid, environ)
        except BaseException:
            connection.discard()
            raise
        if answer is not None and answer is not True:
            connection.discard()
            return False
        if not connection.closing:
            self.heartbeat.beat(connection)
        return True

    def open_by_transport(self) -> dict[str, int]:
        """How many connections are on each transport now, also those about to end. 0.8 ms of 10,000."""
        websockets = sum(connection.websocket is not None for connection in self.sockets.values())
        return {"polling": len(self.sockets) - websockets, "websocket": websockets}

    def refused(self, address: str, rule: str) -> None:
        """Count and log that a client at `address` was refused or closed, for `rule` in our words."""
        self.refusals.increment(reason_of(rule))
        refused(address, rule)

    def new_connection(self, address: str) -> Connection:
        """A session that is in the table, and nothing more yet."""
        connection = Connection(self, self.generate_id(), address, self.first_input_bytes)
        self.sockets[connection.sid] = connection
        self.crowd.acquire(address)
        return connection

    def forget(self, connection: Connection) -> None:
        """Nothing is left of `connection`."""
        if self.sockets.pop(connection.sid, None) is not None:
            self.crowd.release(connection.address)

    def forget_timers(self, connection: Connection) -> None:
        self.heartbeat.stop(connection)
        self.leaving.discard(connection)

    def greeting(self, sid: str, *, may_upgrade: bool = False) -> EncodedPacket:
        """The OPEN packet (Engine.IO protocol, "Handshake").

        Times in milliseconds, of intervals below a second too.
        """
        interval = self.ping_interval + self.ping_interval_grace_period
        upgrades = ["websocket"] if may_upgrade and self.can_upgrade else []
        values = {
            "sid": sid,
            "upgrades": upgrades,
            "pingInterval": round(interval * 1000),
            "pingTimeout": round(self.ping_timeout * 1000),
            "maxPayload": self.max_http_buffer_size,
        }
        return EncodedPacket(f"{int(Engine.OPEN)}{dumps(values)}")

    @property
    def can_upgrade(self) -> bool:
        return bool(self.allow_upgrades) and "websocket" in self.transports

    def cookie_header(self, connection: Connection) -> str | None:
        """The Set-Cookie value for a new session, if the `cookie` option asks for one."""
        if not self.cookie:
            return None
        plain = {"name": self.cookie, "path": "/", "SameSite": "Lax"}
        attributes = self.cookie if isinstance(self.cookie, dict) else plain
        return str(self._generate_sid_cookie(connection.sid, attributes))

    # What the application is told

    async def deliver(self, connection: Connection, data: str | bytes) -> None:
        """Hand one message to the application; never raises."""
        await self._trigger_event("message", connection.sid, data, run_async=self.async_handlers)

    async def disconnected(self, connection: Connection, reason: str) -> None:
        """Tell the application that `connection` has ended; never raises."""
        await self._trigger_event("disconnect", connection.sid, reason)

    async def _trigger_event(self, event: str, *args: Any, run_async: bool = False) -> Any:
        handler = self.handlers.get(event)
        if handler is None:
            return None
        guarded = self._guarded(event, handler, args)
        if run_async:
            return self.spawn(guarded)
        return await guarded

    async def _guarded(self, event: str, handler: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """A failing connect handler refuses; any other failure is only reported."""
        try:
            return await call(handler, args, optional=event == "disconnect")
        except Exception as error:
            report(f"Engine.IO {event} handler", error)
            return False if event == "connect" else None

    # What the application asks for

    async def send(self, sid: str, data: Any) -> None:
        """Send one message: text, bytes, or a dict or list as JSON. Without effect if the client is gone."""
        if isinstance(data, bytearray):
            data = bytes(data)
        elif not isinstance(data, str | bytes):
            data = (self._json.dumps if self._json is not None else dumps)(data)
        self.write(sid, EncodedPacket.message(data))

    async def send_packet(self, sid: str, pkt: Any) -> None:
        self.write(sid, EncodedPacket.from_library(pkt))

    def write(self, sid: str, packet: EncodedPacket) -> None:
        """Send one packet to `sid`, in order and without waiting; without effect if it is gone."""
        connection = self.sockets.get(sid)
        if connection is not None:
            connection.write(packet)

    async def disconnect(self, sid: str | None = None) -> None:
        """Close one connection, or all; returns when the disconnect handlers have run."""
        chosen = list(self.sockets.values()) if sid is None else [self.sockets[sid]] if sid in self.sockets else []
        closing = [connection.begin_close(self.reason.SERVER_DISCONNECT) for connection in chosen]
        await asyncio.gather(*(asyncio.shield(task) for task in closing if task is not None))

    async def drop_all(self) -> None:
        """Let go of every client as a vanishing server would, and take no new one.

        They come back by themselves: WebSockets are closed with 1001 (going away), waiting GETs answered
        with CLOSE. Returns when the disconnect handlers have run.
        """
        self.accepting = False
        tasks = [
            connection.drop(self.reason.SERVER_DISCONNECT, code=GOING_AWAY, farewell=payload.CLOSE)
            for connection in list(self.sockets.values())
        ]
        await asyncio.gather(*(task for task in tasks if task is not None))

    async def handle_request(self, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        raise NotImplementedError("mount the handler class that came with this server")


def _drop(connection: Connection, reason: str) -> None:
    connection.drop(reason)


def quiet(chosen: Any) -> Any:
    """The logger for the library: what was chosen, ours for True, and for False none that is ever heard."""
    if chosen is True:
        return logger
    return chosen or library_logger
