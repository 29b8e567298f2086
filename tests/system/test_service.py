"""`python main.py` under a service manager: notifications, watchdog, and sockets handed over."""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.client.protocol import websocket_request
from tests.paths import ROOT
from tests.system import restart
from tests.system.js import JsClients
from tests.system.server import PATIENCE_SECONDS, REAL_COMMAND, SECRET, ServerProcess

pytestmark = pytest.mark.direct("is about the socket that a service manager hands over")

# main.py, with a way to be stuck: SIGWINCH is handled on the main thread, where the event loop is.
_MAY_GET_STUCK = """
import runpy, signal, sys, time
def stuck(*_):
    while True:  # one long sleep misses a signal that comes just before it
        time.sleep(0.01)
signal.signal(signal.SIGWINCH, stuck)
sys.argv = [sys.argv[1], "--env-file", "/dev/null"]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# Descriptors are for the process that LISTEN_PID names, and this one becomes main.py.
_FOR_ITSELF = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[1], sys.argv[1:])
"""


REQUESTS = [
    websocket_request(),
    b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n",
]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The other end of NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(PATIENCE_SECONDS)
        yield listening


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as created:
        yield created


def hear(manager: socket.socket, text: str) -> None:
    """Wait until the manager is told `text`."""
    while manager.recv(4096).decode() != text:
        pass


def test_manager_hears_of_the_start_of_the_people_and_of_the_end(manager: socket.socket, js: JsClients) -> None:
    with ServerProcess(command=REAL_COMMAND, NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="20000") as server:
        assert manager.recv(4096) == b"READY=1"
        hear(manager, "STATUS=0 people online\nWATCHDOG=1")
        js.join("ann", server.url, server.sign_up("ann"))
        hear(manager, "STATUS=1 people online\nWATCHDOG=1")
        assert server.stop() == 0
        hear(manager, "STOPPING=1")


def test_the_watchdog_of_another_process_is_not_fed(manager: socket.socket) -> None:
    other = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"}
    with ServerProcess(command=REAL_COMMAND, **other) as server:
        assert server.stop() == 0
    told = [manager.recv(4096) for _ in range(3)]
    assert told == [b"READY=1", b"STATUS=0 people online", b"STOPPING=1"]


def test_a_stuck_loop_stops_feeding_the_watchdog(manager: socket.socket) -> None:
    environ = {
        "SERVER_PORT": "0",
        "SERVER_HOST": "127.0.0.1",
        "JWT_SECRET_KEY": SECRET,
        "LOG_LEVEL": "ERROR",
        "NOTIFY_SOCKET": manager.getsockname(),
        "WATCHDOG_USEC": "20000",
    }
    with subprocess.Popen([sys.executable, "-c", _MAY_GET_STUCK, str(ROOT / "main.py")], env=environ) as process:
        try:
            for _ in range(3):
                hear(manager, "STATUS=0 people online\nWATCHDOG=1")
            process.send_signal(signal.SIGWINCH)
            manager.settimeout(1)  # a hundred times the distance between two of them
            with pytest.raises(TimeoutError):
                hear(manager, "one that never comes")
        finally:
            process.kill()


def test_a_stuck_loop_that_the_watchdog_aborts_says_where_it_was() -> None:
    environ = {"SERVER_PORT": "0", "SERVER_HOST": "127.0.0.1", "JWT_SECRET_KEY": SECRET}
    command = [sys.executable, "-c", _MAY_GET_STUCK, str(ROOT / "main.py")]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            while "is listening" not in process.stderr.readline():
                pass
            process.send_signal(signal.SIGWINCH)
            process.send_signal(signal.SIGABRT)
            _, said = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGABRT
    assert "CRITICAL chatio: Aborted by SIGABRT, a watchdog's signal, in " in said
    assert "Traceback" not in said
    assert "/" not in said.partition("CRITICAL")[2]


def test_what_is_handed_over_is_listened_on_and_settings_are_not(listener: socket.socket, js: JsClients) -> None:
    with ServerProcess(
        command=REAL_COMMAND, listener=listener, SERVER_HOST="203.0.113.1", SERVER_PORT="1"
    ) as server:
        assert server.url == f"http://127.0.0.1:{listener.getsockname()[1]}"
        js.join("ann", server.url, server.sign_up("ann"))
        assert server.stop() == 0


def test_client_that_connects_between_two_servers_waits_for_the_second(listener: socket.socket) -> None:
    with ServerProcess(command=REAL_COMMAND, listener=listener) as first:
        first.stop()
    statuses: list[int] = []
    asking = threading.Thread(target=lambda: statuses.append(first.request("GET", "/user").status))
    asking.start()
    with ServerProcess(command=REAL_COMMAND, listener=listener):
        asking.join()
    assert statuses == [401]


def test_restart_refuses_no_client_and_loses_nothing_acknowledged(listener: socket.socket) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(ServerProcess(command=REAL_COMMAND, listener=listener))

        def restart_it() -> None:
            first.stop()
            stack.enter_context(ServerProcess(command=REAL_COMMAND, listener=listener))

        outcome = restart.run(first.url, SECRET, restart_it, clients=30)
    assert outcome.acknowledged == outcome.sent == 100
    assert outcome.failed_connects == 0
    assert set(outcome.lost.values()) == {0}


async def test_a_restart_refuses_no_connection_whenever_it_is_opened(listener: socket.socket) -> None:
    """Forty clients connect again and again, and send a request at once or a moment later."""
    with ExitStack() as stack:
        server = stack.enter_context(ServerProcess(command=REAL_COMMAND, listener=listener))
        answers: list[str] = []
        has_restarted = asyncio.Event()

        async def come(number: int) -> None:
            chance = random.Random(number)
            while not has_restarted.is_set():
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                await asyncio.sleep(chance.choice([0, 0.1 * chance.random()]))
                writer.write(chance.choice(REQUESTS))
                answers.append((await asyncio.wait_for(reader.readline(), PATIENCE_SECONDS)).decode())
                writer.close()

        coming = [asyncio.create_task(come(number)) for number in range(40)]
        while len(answers) < 100:  # noqa: ASYNC110 - as soon as they are in full swing
            await asyncio.sleep(0.01)
        assert await asyncio.to_thread(server.stop) == 0
        await asyncio.to_thread(stack.enter_context, ServerProcess(command=REAL_COMMAND, listener=listener))
        has_restarted.set()
        await asyncio.gather(*coming)
    assert Counter(answer.split()[1] for answer in answers if answer.split()[1] not in ("101", "200")) == {}


@pytest.mark.parametrize("count", ["many", "-1", "1"])
def test_a_socket_that_was_not_handed_over_is_one_line_and_exit_2(count: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FOR_ITSELF, sys.executable, str(ROOT / "main.py"), "--env-file", os.devnull],
        env={"LISTEN_FDS": count, "JWT_SECRET_KEY": SECRET, "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert "LISTEN_FDS" in done.stderr
    assert len(done.stderr.splitlines()) == 1
