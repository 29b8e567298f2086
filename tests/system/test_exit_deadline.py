"""SIGTERM ends the process in a bounded time, whatever hangs: with code 1, and one line that says what it was."""

import os
import signal
import sys
import textwrap

import pytest

from tests.system.server import ServerProcess

HUNG = "CRITICAL chatio: The process did not end within 1 seconds of the signal, and is ended now; still running: "

# Each hangs from the start, before the server listens, or from the line on that says that it does.
HANGS = {
    "a name that is looked up for ever": (
        "before(lambda: asyncio.get_running_loop().run_in_executor(None, threading.Event().wait))",
        r"thread asyncio_0 in threading:",
    ),
    "a task that cannot be cancelled": (
        """
        async def deaf():
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    pass
        before(lambda: tasks.append(asyncio.ensure_future(deaf())))
        """,
        "task deaf",
    ),
    "a callback that never returns": (
        """
        def spin(*_):
            while True:
                pass
        handlers.serving._say_next_steps = spin
        """,
        "thread MainThread in __main__:",
    ),
    "a hash that never ends": (
        """
        def stuck(hasher):
            hasher._queue.threads.submit(threading.Event().wait)
            close(hasher)
        close, PasswordHasher.close = PasswordHasher.close, stuck
        """,
        "thread hashing_0 in threading:",
    ),
    "a thread of a library": (
        "before(lambda: threading.Thread(target=threading.Event().wait, name='library').start())",
        "thread library in threading:",
    ),
    # Code that holds the interpreter's lock lets no line be written.
    "code outside Python that never returns": (
        """
        import ctypes
        def stuck(*_):
            ctypes.PyDLL(None).pause()
        chatio.server.shutdown._log_draining = stuck
        """,
        "",
    ),
}

PROGRAM = """
import asyncio, sys, threading
import chatio.server.shutdown, handlers.serving, main
from chatio.accounts.passwords import PasswordHasher

tasks = []

def before(hang):
    real = main.serve_chat
    async def serve_chat(*args, **kwargs):
        hang()
        await real(*args, **kwargs)
    main.serve_chat = serve_chat

"""


def hung(hang: str) -> tuple[str, ...]:
    """The command of a server that hangs."""
    end = "\nsys.exit(main.main(['--env-file', '/dev/null']))\n"
    return sys.executable, "-c", PROGRAM + textwrap.dedent(hang) + end


@pytest.mark.parametrize(("hang", "named"), HANGS.values(), ids=HANGS)
def test_a_hung_server_ends_and_says_what_hangs(hang: str, named: str) -> None:
    with ServerProcess(command=hung(hang), SHUTDOWN_GRACE_SECONDS="1") as server:
        assert server.stop() == 1
    lines = [line for line in server.lines if HUNG in line]
    if named:
        (line,) = lines
        assert named in line


def test_a_hung_server_ends_without_a_line_where_no_process_reads_its_log() -> None:
    hang = HANGS["a thread of a library"][0]
    with ServerProcess(command=hung(hang), SHUTDOWN_GRACE_SECONDS="1") as server:
        with open(f"/proc/{server.process.pid}/fd/2", "wb", buffering=0) as stderr:
            os.set_blocking(stderr.fileno(), False)
            while stderr.write(b"." * 4096):
                pass
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 1


def test_a_second_signal_does_not_wait_for_the_grace() -> None:
    with ServerProcess(command=hung(HANGS["a thread of a library"][0]), SHUTDOWN_GRACE_SECONDS="3600") as server:
        server.process.send_signal(signal.SIGINT)
        assert server.stop() == 1
    assert "did not end within 2 seconds" in server.lines[-1]


def test_a_second_signal_does_not_wait_for_the_grace_after_the_server_has_stopped() -> None:
    """All is closed, and Python waits for a thread."""
    with ServerProcess(command=hung(HANGS["a thread of a library"][0]), SHUTDOWN_GRACE_SECONDS="3600") as server:
        server.process.send_signal(signal.SIGINT)
        server.read_until(" Stopped")
        assert server.stop() == 1
    assert "did not end within 2 seconds" in server.lines[-1]
