"""A log that takes no line: the chat goes on, and SIGTERM ends the process within its grace."""

import json
import os
import pty
import socket
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import pytest

from tests.system.js import JsClients
from tests.system.server import REAL_COMMAND, ServerProcess

pytestmark = pytest.mark.direct("is about the process's own descriptors")

CLOSE_ALL = ("/bin/sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh")


@contextmanager
def unread_pipe() -> Iterator[int]:
    """A pipe that is full, and is not read: the log collector is stopped."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 512)
    os.set_blocking(writing, True)
    yield writing
    os.close(writing)
    os.close(reading)


@contextmanager
def unread_pipe_that_does_not_block() -> Iterator[int]:
    with unread_pipe() as writing:
        os.set_blocking(writing, False)
        yield writing


@contextmanager
def stopped_terminal() -> Iterator[int]:
    """A terminal whose user pressed Ctrl-S."""
    master, terminal = pty.openpty()
    termios.tcflow(terminal, termios.TCOOFF)
    yield terminal
    os.close(terminal)
    os.close(master)


@contextmanager
def hung_up_terminal() -> Iterator[int]:
    """A terminal whose window is closed: each write fails with EIO."""
    master, terminal = pty.openpty()
    os.close(master)
    yield terminal
    os.close(terminal)


@contextmanager
def pipe_without_a_reader() -> Iterator[int]:
    """Each write fails with EPIPE."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@contextmanager
def full_disk() -> Iterator[int]:
    """Each write fails with ENOSPC."""
    writing = os.open("/dev/full", os.O_WRONLY)
    yield writing
    os.close(writing)


@contextmanager
def read_only_file() -> Iterator[int]:
    """Each write fails with EBADF."""
    writing = os.open(os.devnull, os.O_RDONLY)
    yield writing
    os.close(writing)


OUTPUTS = [
    unread_pipe,
    unread_pipe_that_does_not_block,
    stopped_terminal,
    hung_up_terminal,
    pipe_without_a_reader,
    full_disk,
    read_only_file,
]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that cannot say its address is handed one."""
    with socket.create_server(("127.0.0.1", 0)) as created:
        yield created


def chat(server: ServerProcess, js: JsClients) -> None:
    """Make the server log more lines than it writes at once, and deliver a message."""
    for _ in range(20):
        assert server.request("GET", "/socket.io/?EIO=4&transport=polling&sid=unknown").status == 400
    js.join("ann", server.url, server.sign_up("ann"))
    js.emit("ann", "send-message", {"content": "is the log read?"})
    js.expect("ann", "receive-message")
    assert server.request("GET", "/healthz").status == 200


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.__name__)
def test_a_log_that_takes_no_line_stops_neither_the_chat_nor_the_exit(
    output: Callable[[], AbstractContextManager[int]], listener: socket.socket, js: JsClients
) -> None:
    with (
        output() as descriptor,
        ServerProcess(command=REAL_COMMAND, listener=listener, output=descriptor) as server,
    ):
        chat(server, js)
        assert server.stop() == 0


def test_a_closed_stderr_is_no_socket_of_a_client(listener: socket.socket, js: JsClients) -> None:
    """Else the log's lines would be written into a connection."""
    command = (*CLOSE_ALL, *REAL_COMMAND)
    with (
        open(os.devnull, "wb") as nothing,
        ServerProcess(command=command, listener=listener, output=nothing.fileno()) as server,
    ):
        chat(server, js)
        for number in range(3):
            assert os.readlink(f"/proc/{server.process.pid}/fd/{number}") == os.devnull
        assert server.stop() == 0


def test_lines_that_wait_for_a_reader_are_written_when_it_reads_again(
    listener: socket.socket, js: JsClients
) -> None:
    with (
        unread_pipe() as writing,
        ServerProcess(
            command=REAL_COMMAND, listener=listener, output=writing, LOG_FORMAT="json", SERVE_PAGE="off"
        ) as server,
    ):
        chat(server, js)
        with open(f"/proc/self/fd/{writing}", encoding="utf-8") as log:  # the pipe's other end
            lines = [log.readline().lstrip("x")]
            while "Session ID unknown" not in lines[-1]:
                lines.append(log.readline())
            events = [json.loads(line)["event"] for line in lines]
        assert [event for event in events if event != "risky_setting"][:3] == [
            "starting",
            "store_opened",
            "started",
        ]
        assert server.stop() == 0


# Runs a command in the background of a terminal of its own, on which background processes may not write.
IN_THE_BACKGROUND = """
import os, signal, sys, termios
os.setsid()
terminal = os.open(sys.argv[1], os.O_RDWR)  # the terminal of this session from now on
attributes = termios.tcgetattr(terminal)
attributes[3] |= termios.TOSTOP
termios.tcsetattr(terminal, termios.TCSANOW, attributes)
if not (server := os.fork()):
    os.setpgid(0, 0)
    os.dup2(terminal, 2)
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.execv(sys.argv[2], sys.argv[2:])
signal.signal(signal.SIGTERM, lambda *_: os.kill(server, signal.SIGTERM))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(server, 0)[1]))
"""


def test_a_server_in_the_background_of_a_terminal_is_not_stopped_by_its_log(listener: socket.socket) -> None:
    """With `stty tostop`."""
    master, terminal = pty.openpty()
    command = (sys.executable, "-c", IN_THE_BACKGROUND, os.ttyname(terminal), *REAL_COMMAND)
    with (
        open(os.devnull, "wb") as nothing,
        ServerProcess(command=command, listener=listener, output=nothing.fileno()) as server,
    ):
        assert server.request("GET", "/healthz").status == 200
        assert server.stop() == 0
    os.close(terminal)
    os.close(master)
