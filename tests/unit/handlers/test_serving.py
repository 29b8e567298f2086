"""Listening, and leaving: real signals to this process, on a real port."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator

import pytest
from tornado.ioloop import IOLoop
from tornado.web import Application

from chatio.supervisor import Supervisor
from handlers import serving
from handlers.base import BaseHandler
from handlers.guard import public
from handlers.serving import serve
from tests.conftest import ExpectedLogs
from tests.unit.handlers.rest import PATIENCE_SECONDS, Rest, request


class Told(logging.Handler):
    """What the server says of itself, for tests that wait for it to say something."""

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


class Server:
    """`serve` as a task, with one door that answers when it is told to."""

    def __init__(self, rest: Rest, told: Told, host: str = "127.0.0.1") -> None:
        self.happened: list[str] = []
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

        needs = {"cors": rest.cors, "requests": rest.requests}
        application = Application([(r"/", Waiting, needs)], log_function=lambda _: None)
        self.serving = asyncio.ensure_future(
            serve(
                application,
                host=host,
                port=0,
                requests=rest.requests,
                drop_sockets=self._drop,
                supervisor=Supervisor(),
                status=lambda: "well",
            )
        )

    async def _drop(self) -> None:
        self.happened.append("dropped")

    async def listening(self) -> str:
        line = await self._told.line("Chat.io is listening on ")
        self._rest.port = int(line.rpartition(":")[2])
        return line

    async def stopped(self) -> None:
        await asyncio.wait_for(self.serving, PATIENCE_SECONDS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order_and_every_step_is_one_line(
    rest: Rest, told: Told, number: signal.Signals
) -> None:
    server = Server(rest, told)
    line = await server.listening()
    assert line == f"Chat.io is listening on http://127.0.0.1:{rest.port}"
    server.answer_now.set()
    assert (await rest.call("GET", "/")).status == 200
    os.kill(os.getpid(), number)
    await server.stopped()
    assert server.happened == ["answered", "dropped"]
    assert told.lines == [line, "Stopping", "Stopped"]
    with pytest.raises(ConnectionRefusedError):
        await rest.connect()


async def test_what_is_under_way_is_finished_and_nobody_new_is_taken(rest: Rest, told: Told) -> None:
    server = Server(rest, told)
    await server.listening()
    async with await rest.connect() as connection:
        await connection.send(request("GET", "/"))
        await asyncio.wait_for(server.begun.wait(), PATIENCE_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        await told.line("Stopping")
        with pytest.raises(ConnectionRefusedError):
            await rest.connect()
        assert server.happened == []
        server.answer_now.set()
        assert (await connection.receive()).status == 200
        await server.stopped()
    assert server.happened == ["answered", "dropped"]


async def test_what_does_not_finish_in_time_is_left_and_told(
    rest: Rest, told: Told, logs: ExpectedLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "STOP_SECONDS", 0.01)
    logs.expect("^Some requests did not finish within")
    server = Server(rest, told)
    await server.listening()
    async with await rest.connect() as connection:
        await connection.send(request("GET", "/"))
        await asyncio.wait_for(server.begun.wait(), PATIENCE_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        await server.stopped()
        assert server.happened == ["dropped"]
        assert await connection.ends()
    server.answer_now.set()


async def test_a_head_over_16_kib_is_refused_before_it_can_be_kept(rest: Rest, told: Told) -> None:
    server = Server(rest, told)
    await server.listening()
    server.answer_now.set()
    assert (await rest.call("GET", "/", X="x" * 15_000)).status == 200
    async with await rest.connect() as connection:
        await connection.send(request("GET", "/", X="x" * 16_500))
        assert await connection.ends()
    os.kill(os.getpid(), signal.SIGTERM)
    await server.stopped()


async def test_a_second_signal_changes_nothing(rest: Rest, told: Told) -> None:
    server = Server(rest, told)
    await server.listening()
    async with await rest.connect() as connection:
        await connection.send(request("GET", "/"))
        await asyncio.wait_for(server.begun.wait(), PATIENCE_SECONDS)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        await told.line("Stopping")
        server.answer_now.set()
        assert (await connection.receive()).status == 200
        await server.stopped()
    assert told.lines.count("Stopping") == 1


async def test_the_empty_host_is_every_interface_and_shown_as_one_to_open(rest: Rest, told: Told) -> None:
    server = Server(rest, told, host="")
    assert await server.listening() == f"Chat.io is listening on http://localhost:{rest.port}"
    server.answer_now.set()
    assert (await rest.call("GET", "/")).status == 200
    os.kill(os.getpid(), signal.SIGTERM)
    await server.stopped()
