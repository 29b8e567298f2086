"""Listening and shutting down: real signals to this process, on a real port."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import Application

from chatio.errors import ANSWERS, ShuttingDown
from chatio.server import signals
from chatio.server.lifecycle import Lifecycle, Phase
from chatio.server.serve import serve
from chatio.server.shutdown import Handover, shut_down
from chatio.server.signals import HANDLED, ProcessSignals
from chatio.server.systemd import SystemdNotifier
from handlers.http.auth import public
from handlers.http.base import BaseHandler, NotFoundHandler
from tests.conftest import ExpectedLogs
from tests.unit.handlers.rest_server import ORIGIN, PATIENCE_SECONDS, Answer, Connection, Rest, request

STOPPING = "Draining: 7 connections are closed within 30 seconds"


@pytest.fixture(autouse=True)
def handlers_of_signals() -> Iterator[None]:
    """A server that has shut down ignores signals; these tests do not."""
    kept = {number: signal.getsignal(number) for number in HANDLED}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


class Told(logging.Handler):
    """Collects what the server logs, for tests that wait for a line."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self._more = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self._more.set()

    async def line(self, start: str) -> str:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for line in self.lines:
                    if line.startswith(start):
                        return line
                self._more.clear()
                await self._more.wait()


@pytest.fixture
def told(io_loop: IOLoop, caplog: pytest.LogCaptureFixture) -> Iterator[Told]:
    caplog.set_level(logging.INFO, "chatio")
    told = Told()
    logging.getLogger("chatio").addHandler(told)
    yield told
    logging.getLogger("chatio").removeHandler(told)


class Leaving:
    """The chat's clients, which disconnect when the test says so."""

    connections = 7

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle
        self.begun, self.no_client_polls, self.all_gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def shut_down(self, seconds: float, handover: Handover | None = None) -> None:
        assert (self.lifecycle.phase is Phase.HANDING_OVER) == (handover is not None)
        self.begun.set()
        if handover is not None:
            await self.no_client_polls.wait()
            handover.close_port()
        await self.all_gone.wait()


class Server:
    """`serve` as a task, with one endpoint that answers when it is told to."""

    connections = 7

    def __init__(self, rest: Rest, told: Told, host: str = "127.0.0.1", grace_seconds: float = 30.0) -> None:
        self.happened: list[str] = []
        self.all_gone = asyncio.Event()
        self.all_gone.set()
        self._grace_seconds = grace_seconds
        self.begun, self.answer_now = asyncio.Event(), asyncio.Event()
        self._rest = rest
        self._told = told
        happened, begun, answer_now = self.happened, self.begun, self.answer_now

        class Waiting(BaseHandler):
            @public
            async def get(self) -> None:
                begun.set()
                await answer_now.wait()
                self.answer(200, {})
                happened.append("answered")

        needs = {"services": rest.services}
        application = Application([(r"/", Waiting, needs)], log_function=lambda _: None)
        self.serving = asyncio.ensure_future(
            serve(
                application,
                host=host,
                port=0,
                lifecycle=rest.lifecycle,
                requests=rest.requests,
                clients=self,
                grace_seconds=grace_seconds,
                notifier=SystemdNotifier(),
                status=lambda: "well",
            )
        )

    async def shut_down(self, seconds: float, handover: Handover | None = None) -> None:
        """What the chat does when it is told to."""
        assert seconds < self._grace_seconds
        assert self._rest.lifecycle.phase is Phase.DRAINING
        await self.all_gone.wait()
        self.happened.append("gone")

    async def listening(self) -> str:
        line = await self._told.line("Chat.io is listening on ")
        self._rest.port = int(line.rpartition(":")[2])
        return line

    async def stopped(self, number: signal.Signals | None = None) -> None:
        """Wait for the end of `serve`, after sending the signal to this process."""
        if number is not None:
            os.kill(os.getpid(), number)
        await asyncio.wait_for(self.serving, PATIENCE_SECONDS)


@asynccontextmanager
async def request_under_way(server: Server, rest: Rest) -> AsyncIterator[Connection]:
    """A connection whose request the server has begun to answer."""
    await server.listening()
    async with await rest.connect() as connection:
        await connection.send(request("GET", "/"))
        await asyncio.wait_for(server.begun.wait(), PATIENCE_SECONDS)
        yield connection


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_ends_it_and_each_step_is_one_line(rest: Rest, told: Told, number: signal.Signals) -> None:
    server = Server(rest, told)
    line = await server.listening()
    assert line == f"Chat.io is listening on http://127.0.0.1:{rest.port}"
    server.answer_now.set()
    assert (await rest.call("GET", "/")).status == 200
    await server.stopped(number)
    assert server.happened == ["answered", "gone"]
    assert told.lines == [line, STOPPING, "Stopped"]
    with pytest.raises(ConnectionRefusedError):
        await rest.connect()


async def test_requests_in_flight_finish_and_new_ones_are_answered_503(rest: Rest, told: Told) -> None:
    server = Server(rest, told)
    async with request_under_way(server, rest) as connection, await rest.connect() as kept_alive:
        os.kill(os.getpid(), signal.SIGTERM)
        await told.line("Draining")
        for refused in (await rest.call("GET", "/"), await late(kept_alive)):
            assert (refused.status, refused.json["message"]) == (503, ANSWERS[ShuttingDown].message)
            assert refused.header("retry-after") == "2"
            assert refused.header("connection") == "close"
            assert refused.header("access-control-allow-origin") == ORIGIN
        assert (await rest.call("OPTIONS", "/")).status == 204  # without it a page could not read the 503
        server.answer_now.set()
        assert (await connection.receive()).status == 200
        await server.stopped()
    assert sorted(server.happened) == ["answered", "gone"]


async def late(connection: Connection) -> Answer:
    await connection.send(request("GET", "/"))
    return await connection.receive()


async def test_request_that_does_not_finish_is_answered_503(rest: Rest, told: Told, logs: ExpectedLogs) -> None:
    logs.expect("^Some requests did not finish within")
    server = Server(rest, told, grace_seconds=1)
    async with request_under_way(server, rest) as connection:
        os.kill(os.getpid(), signal.SIGTERM)
        answer = await connection.receive()
        assert (answer.status, answer.header("connection")) == (503, "close")
        await server.stopped()
        assert await connection.ends()
    assert server.happened == ["gone"]
    server.answer_now.set()


async def test_a_second_signal_cuts_it_short_and_says_what_is_skipped(rest: Rest, told: Told) -> None:
    server = Server(rest, told)
    server.all_gone.clear()
    async with request_under_way(server, rest) as connection:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        await server.stopped()
        assert await connection.ends()
    assert server.happened == []
    assert told.lines[1:] == [STOPPING, "Stopping at once: 7 connections and 1 requests are cut off", "Stopped"]
    server.answer_now.set()


async def test_signals_after_the_shutdown_change_nothing(rest: Rest, told: Told) -> None:
    server = Server(rest, told)
    await server.listening()
    await server.stopped(signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)  # ends this process, if it is not ignored
    await asyncio.sleep(0)


async def test_a_port_that_another_process_shares_is_closed_when_no_client_polls(rest: Rest) -> None:
    """As with systemd's socket activation: a new connection then waits for the next process."""
    (listening,) = bind_sockets(0, "127.0.0.1")
    port = listening.getsockname()[1]
    needs = {"services": rest.services}
    application = Application(
        default_handler_class=NotFoundHandler, default_handler_args=needs, log_function=lambda _: None
    )
    server = HTTPServer(application)
    server.add_sockets([listening.dup()])
    clients = Leaving(rest.lifecycle)
    left = asyncio.ensure_future(
        shut_down(
            server,
            lifecycle=rest.lifecycle,
            requests=rest.requests,
            clients=clients,
            grace_seconds=30,
            at_once=asyncio.Event(),
            port_is_shared=True,
        )
    )
    await asyncio.wait_for(clients.begun.wait(), PATIENCE_SECONDS)
    rest.port = port
    async with await rest.connect() as kept_alive:
        answers = [await rest.call("GET", "/")]
        clients.no_client_polls.set()
        await asyncio.sleep(0)
        answers.append(await late(kept_alive))
        assert await kept_alive.ends()
    for answer in answers:  # also after that, a client that is served is told to open a new connection
        assert (answer.status, answer.header("connection")) == (404, "close")
    with listening:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        listening.settimeout(PATIENCE_SECONDS)
        waiting, _ = listening.accept()  # not accepted: it is here for the next process
        waiting.close()
        writer.close()
    clients.all_gone.set()
    await asyncio.wait_for(left, PATIENCE_SECONDS)


async def test_the_empty_host_is_every_interface_and_shown_as_one_to_open(rest: Rest, told: Told) -> None:
    server = Server(rest, told, host="")
    assert await server.listening() == f"Chat.io is listening on http://localhost:{rest.port}"
    server.answer_now.set()
    assert (await rest.call("GET", "/")).status == 200
    await server.stopped(signal.SIGTERM)


async def test_a_signal_that_no_process_can_handle_keeps_no_server_from_its_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signals, "IGNORED", (signal.SIGKILL, signal.SIGUSR1))
    monkeypatch.setattr(signals, "HANDLED", (*signals.STOPPING, signal.SIGKILL, signal.SIGUSR1))
    process = ProcessSignals(lambda _: None, 10.0)
    assert callable(signal.getsignal(signal.SIGUSR1))
    process.close()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
