"""Engine.IO server: sessions, their heartbeat and their end.

`engineio.AsyncServer` keeps the API (`disconnect`, sessions, CORS). Its request handling is never called: the
Tornado handler (handler.py) calls the methods below instead. Nothing in the installed library is patched.
"""

import asyncio
import json
import secrets
from collections.abc import Coroutine
from typing import Any, Final

from chatio.realtime.close_reasons import LABELS, CloseReason
from chatio.realtime.engineio import packets
from chatio.realtime.engineio.admission import ConnectionLimit
from chatio.realtime.engineio.connection import Application, Connection, PendingUpgrade
from chatio.realtime.engineio.http_errors import BAD_REQUEST_CODE, HandshakeError, HttpError
from chatio.realtime.engineio.receive_queue import InputRate, ReceiveQueue
from chatio.realtime.library import DisconnectReason, EngineIOServer
from chatio.realtime.limits import LEAVING_SECONDS, LINGER_SECONDS, SESSION_ID_BYTES, UPGRADE_SECONDS
from chatio.realtime.log import library_logger, log_refusal
from chatio.realtime.options import RealtimeOptions
from chatio.realtime.websocket.transport import WebSocket
from chatio.telemetry.counters import LabelledCounter
from chatio.throttling.input_budget import Allowance, BudgetPool
from chatio.throttling.timeouts import TimeoutQueue

# A message has 9 steps, a polling request 20: 8,000 messages of members a second, 2,000 requests of strangers.
MEMBERS: Final = Allowance(steps=75_000, steps_at_once=300, address_steps=4_000, client_steps=200)
STRANGERS: Final = Allowance(steps=40_000, steps_at_once=300, address_steps=4_000, client_steps=0)


class EngineServer(EngineIOServer):  # type: ignore[misc]
    """An `engineio.AsyncServer` for the handler of handler.py. Event loop only."""

    application: Application  # set before the first connection

    def __init__(self, options: RealtimeOptions, *, first_input_bytes: int | None = None) -> None:
        """`first_input_bytes`: a connection may send so many before the application raises `max_input_bytes`."""
        super().__init__(
            async_mode="tornado",
            async_handlers=False,
            monitor_clients=False,
            logger=library_logger,
            ping_interval=options.ping_interval,
            ping_timeout=options.ping_timeout,
            max_http_buffer_size=options.max_http_buffer_size,
            cors_allowed_origins=options.cors_allowed_origins,
        )
        self.lifecycle = options.lifecycle
        self.sid_prefix = f"{options.server_name}." if options.server_name else ""
        self.trusted_proxies = options.trusted_proxies
        self.input_rate = InputRate(options.input_bytes_per_second, options.input_burst_bytes)
        is_paced = self.input_rate.burst_seconds > 0
        self.strangers = BudgetPool(STRANGERS, is_on=is_paced)  # clients that are in no namespace
        self.members = BudgetPool(MEMBERS, is_on=is_paced)
        self.connection_limit = ConnectionLimit(options.max_connections, options.max_connections_per_address)
        self.opened = LabelledCounter(["polling", "websocket"])  # sessions, by their first transport
        self.upgraded = 0  # sessions that went from polling to WebSocket
        self.refusals = LabelledCounter([*LABELS, *(reason.label for reason in options.close_reasons)])
        # A ping is due so long after the last answer, and its answer so long after the ping.
        self.pings: TimeoutQueue[Connection] = TimeoutQueue(options.ping_interval, Connection.ping)
        self.pongs: TimeoutQueue[Connection] = TimeoutQueue(options.ping_timeout, Connection.end_unanswered)
        self.leaving: TimeoutQueue[Connection] = TimeoutQueue(LEAVING_SECONDS, Connection.leave)
        self.upgrades: TimeoutQueue[PendingUpgrade] = TimeoutQueue(UPGRADE_SECONDS, lambda each: each.abandon())
        self.lingering: TimeoutQueue[WebSocket] = TimeoutQueue(LINGER_SECONDS, WebSocket.abort)
        self._checks = options.admission_checks
        self._first_input_bytes = min(self.max_http_buffer_size, first_input_bytes or self.max_http_buffer_size)
        interval, timeout = round(options.ping_interval * 1000), round(options.ping_timeout * 1000)
        times = {"pingInterval": interval, "pingTimeout": timeout, "maxPayload": options.max_http_buffer_size}
        self._greeting_tail = json.dumps(times, separators=(",", ":"))[1:]
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `coroutine` in the background; the server holds the task until it is done."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # The life of a session

    def admit(self, address: str) -> Connection:
        """A new session for the client at `address`. Raises HandshakeError.

        Checked and counted in one step: of two clients that come for the last place one gets it.
        """
        refusal = self.connection_limit.admit(address, self._checks)
        if refusal is not None:
            raise HandshakeError(HttpError(503, BAD_REQUEST_CODE, *refusal))
        sid = self.sid_prefix + secrets.token_urlsafe(SESSION_ID_BYTES)
        has_sign_in = self._first_input_bytes < self.max_http_buffer_size
        budget = (self.strangers if has_sign_in else self.members).join(address)
        connection = self.sockets[sid] = Connection(self, sid, address, budget, self._first_input_bytes)
        connection.received = ReceiveQueue(connection, self.application.receive, self.input_rate)
        return connection

    def begin(self, connection: Connection, environ: dict[str, Any]) -> None:
        """Tell the application of a session whose transport can be written to."""
        self.opened["polling" if connection.websocket is None else "websocket"] += 1
        self.application.connected(connection, environ)
        self.pings.add(connection)

    def greeting(self, sid: str, *, may_upgrade: bool = False) -> str:
        """The OPEN packet (Engine.IO protocol, "Handshake"). Times in milliseconds, below a second too."""
        upgrades = '["websocket"]' if may_upgrade else "[]"
        return f'0{{"sid":"{sid}","upgrades":{upgrades},{self._greeting_tail}'

    def forget(self, connection: Connection) -> None:
        """Nothing is left of `connection`."""
        if self.sockets.pop(connection.sid, None) is not None:
            self.connection_limit.release(connection.address)

    # Telemetry

    def refused(self, address: str, reason: CloseReason) -> None:
        """Count and log that a client at `address` was refused or its connection closed."""
        self.refusals[reason.label if reason.label in self.refusals else "protocol"] += 1
        log_refusal(address, reason.text)

    def open_by_transport(self) -> dict[str, int]:
        """How many connections each transport has, closing ones included. 0.8 ms for 10,000."""
        websockets = sum(connection.websocket is not None for connection in self.sockets.values())
        return {"polling": len(self.sockets) - websockets, "websocket": websockets}

    def table_sizes(self) -> dict[str, int]:
        """How many entries each table has; all 0 when no client is connected."""
        return {
            "sockets": len(self.sockets),
            "connection_limit": len(self.connection_limit),
            "budgets": len(self.strangers) + len(self.members),
            "heartbeat": len(self.pings) + len(self.pongs),
            "leaving": len(self.leaving),
            "upgrades": len(self.upgrades),
            "lingering": len(self.lingering),
            "tasks": len(self._tasks),
        }

    # The library's API

    async def disconnect(self, sid: str | None = None) -> None:
        """Close one connection, or all; return when the disconnect handlers have run."""
        chosen = [each for each in self.sockets.values() if sid in (None, each.sid)]
        reason = DisconnectReason.SERVER_DISCONNECT
        closing = [(each.drop(reason, farewell=packets.CLOSE, drain_input=False), each) for each in chosen]
        own = asyncio.current_task()  # a handler that closes its own connection is not waited for
        await asyncio.gather(
            *(asyncio.shield(task) for task, each in closing if task and each.received.worker is not own)
        )
