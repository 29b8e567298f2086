"""A fork server: a parent process that has loaded `main`, and forks a child for each server of a test.

    python -m tests.system.fork_server DESCRIPTOR

A child is a process like any other, with signals, an exit code, an environment and descriptors of its own. It
listens 0.1 s after the request for it, where `python main.py` with coverage needs 1.06 s.

Its servers hash passwords at the least cost, for a sign-up takes 0.1 s of CPU otherwise; those of the real command
have the real cost.

A request is one packet on the Unix socket DESCRIPTOR. It has the child's environment and arguments as JSON, and
descriptors: of its stdout and stderr, of the pipe on which the parent reports the child's pid and then its exit
code, and of a listener, if any.
Coverage, which the parent starts by COVERAGE_PROCESS_START, sees the fork and saves the child's data on its exit.
"""

import atexit
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import cache, partial
from multiprocessing.connection import Connection, Pipe
from typing import Any, NamedTuple
from unittest.mock import patch

from tests.paths import ROOT

MOST_BYTES = 1 << 16


class ForkedProcess:
    """A server started by the fork server; the part of `subprocess.Popen` that the tests use."""

    def __init__(
        self,
        environ: dict[str, str],
        output: int,
        listener: int | None = None,
        *,
        errors: int | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        """`errors`: for stderr, which else goes to `output` too. `arguments`: of main.py."""
        self.returncode: int | None = None
        self._report, report = Pipe(duplex=False)
        outputs = output, output if errors is None else errors
        descriptors = [*outputs, report.fileno(), *([] if listener is None else [listener])]
        socket.send_fds(_fork_server(), [json.dumps([environ, arguments]).encode()], descriptors)
        report.close()
        self.pid: int = self._report.recv()

    def poll(self) -> int | None:
        return self._result(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, or the negative number of the signal. Raises `subprocess.TimeoutExpired`."""
        if (code := self._result(timeout)) is None:
            raise subprocess.TimeoutExpired("main.py", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _result(self, timeout: float | None) -> int | None:
        if self.returncode is None and self._report.poll(timeout):
            self.returncode = int(self._report.recv())
            self._report.close()
        return self.returncode


@cache
def _fork_server() -> socket.socket:
    """The socket of the one fork server of this process. The fork server ends when the socket closes."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-m", "tests.system.fork_server", str(theirs.fileno())]
        parent = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], process_group=0)
    atexit.register(parent.wait)
    atexit.register(ours.close)  # before that
    return ours


class Request(NamedTuple):
    environ: dict[str, str]
    arguments: list[str]
    outputs: list[int]
    listener: int | None


def serve(control: socket.socket) -> Request | None:
    """Fork a child for each request. Returns the request in the child, and None in the parent at the end."""
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not control:
                    _report_end(selector, key)
                    continue
                packet, descriptors, *_ = socket.recv_fds(control, MOST_BYTES, 4)
                if not packet:  # the tests have ended, or were killed: no server outlives them
                    for child in filter(None, (each.data for each in selector.get_map().values())):
                        os.kill(child[0], signal.SIGKILL)
                    return None
                *outputs, report = descriptors[:3]
                listeners = descriptors[3:]
                if not (pid := os.fork()):
                    os.close(report)
                    environ, arguments = json.loads(packet)
                    return Request(environ, arguments, outputs, listeners[0] if listeners else None)
                for descriptor in (*outputs, *listeners):
                    os.close(descriptor)
                _watch(selector, pid, Connection(report, readable=False))


def _watch(selector: selectors.BaseSelector, pid: int, report: "Connection[Any, Any]") -> None:
    report.send(pid)
    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, report))


def _report_end(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    pid, report = key.data
    _, status = os.waitpid(pid, 0)
    selector.unregister(key.fd)
    os.close(key.fd)
    try:
        report.send(os.waitstatus_to_exitcode(status))
    except BrokenPipeError:  # the test has ended without asking
        return
    finally:
        report.close()


def become(request: Request) -> None:
    """Make this process look as if `python main.py` had been started in it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for number, output in enumerate(request.outputs, 1):
        os.dup2(output, number)
        os.close(output)
    os.environ.clear()
    os.environ.update(request.environ)
    if request.listener is not None:  # as sd_listen_fds(3) hands it over
        os.dup2(request.listener, 3)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="chatio.socket")


if __name__ == "__main__":
    import main
    from chatio.accounts.passwords import PasswordHasher

    cheap_hasher = partial(PasswordHasher, memory_kib=8, iterations=1)
    cheap_hasher().close()  # loads Argon2, which the first one does
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as control_socket:
        asked = serve(control_socket)
    if asked is not None:
        become(asked)
        with patch("handlers.core.PasswordHasher", cheap_hasher):
            sys.exit(main.main(["--env-file", os.devnull, *asked.arguments]))
