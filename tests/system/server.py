"""The server as a process of its own on a free port."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.paths import ROOT
from tests.postgres import postgres
from tests.system.fork_server import ForkedProcess
from tests.system.nginx import SERVERS, STANDS_BEFORE_ALL, Nginx, certificate

SECRET = "a secret of the system tests, long enough"
PATIENCE_SECONDS = 20.0

_LISTENING = re.compile(r"is listening on (http://[^\s\"]+)")


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: Any


REAL_COMMAND = (sys.executable, str(ROOT / "main.py"), "--env-file", os.devnull)

# Makes the descriptor that is its first argument number 3, and says so as sd_listen_fds(3) wants it.
_HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="chatio.socket")
os.execv(sys.argv[2], sys.argv[2:])
"""


# No setting of the developer's environment reaches a server.
BARE_ENVIRON = {
    name: value for name, value in os.environ.items() if name in ("PATH", "COVERAGE_PROCESS_START", "HOME")
}


class Api:
    """The REST endpoints at `url`."""

    def __init__(self, url: str = "") -> None:
        self.url = url

    def request(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        request = urllib.request.Request(  # noqa: S310 - our own server's
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", **(headers or {})},
            method=method,
        )
        try:
            context = certificate().context if self.url.startswith("https:") else None
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS, context=context) as answer:  # noqa: S310
                text = answer.read()
                return Reply(answer.status, dict(answer.headers.items()), json.loads(text) if text else None)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
                return Reply(error.code, dict(error.headers.items()), json.loads(text) if text else None)

    def sign_up(self, name: str, headers: Mapping[str, str] | None = None) -> str:
        """Register `name` and log in: the token."""
        credentials = {"email": f"{name}@chat.test", "password": f"{name}'s password"}
        assert self.request("POST", "/register", {"name": name, **credentials}, headers).status == 201
        reply = self.request("POST", "/login", credentials, headers)
        assert reply.status == 200
        token: str = reply.body["token"]
        return token


class ServerProcess(Api):
    """A server. It starts on entering, and SIGTERM stops it on leaving; `lines` is what it has printed by then.

    The server is forked from a process that has loaded `main`, unless there is a `command`: a test of the process
    itself passes `REAL_COMMAND`. There are no rate limits and no load shedding unless `settings` say so, for most
    tests do in a second what users do in a day, on machines that are busy. The server listens on `listener`, if
    that is given, as on one that a service manager hands over. With the descriptor `output`, which needs a
    `listener`, stdout and stderr are the test's own affair, and `lines` stays empty.

    With CHATIO_TESTS_NGINX=1 a real nginx stands before it: `url` and `port`, and SERVER_PORT too, are nginx's.
    With CHATIO_TESTS_SERVERS=2 there is a second server behind that, and both use one PostgreSQL.
    """

    process: ForkedProcess | subprocess.Popen[bytes]

    def __init__(
        self,
        *,
        command: Sequence[str] = (),
        listener: socket.socket | None = None,
        output: int | None = None,
        **settings: str,
    ) -> None:
        self._command = command
        self._own_output = output
        self._listener = None if listener is None else listener.fileno()
        self._handed_over_url = "" if listener is None else "http://{}:{}".format(*listener.getsockname())
        self._environ = BARE_ENVIRON | {
            "SERVER_PORT": "0",
            "SERVER_HOST": "127.0.0.1",
            "JWT_SECRET_KEY": SECRET,
            "RATE_LIMITS": "off",
            "OVERLOAD_LAG_SECONDS": "0",
            **settings,
        }
        self._public_port = 0
        # A server with a name is one of several, and the test has its own nginx.
        self._is_behind_nginx = STANDS_BEFORE_ALL and "SERVER_NAME" not in settings
        if self._is_behind_nginx:
            self._public_port = int(self._environ["SERVER_PORT"])
            self._environ |= {"SERVER_PORT": "0", "TRUSTED_PROXIES": "127.0.0.1"}
        self._others: list[ServerProcess] = []
        has_siblings = (
            self._is_behind_nginx
            and SERVERS > 1
            and not command
            and listener is None
            and "DATABASE_URL" not in settings
        )
        if has_siblings:
            settings |= {
                "DATABASE_URL": postgres().new_database(),
                "SERVER_PORT": "0",
                "TRUSTED_PROXIES": "127.0.0.1",
            }
            self._environ |= {"DATABASE_URL": settings["DATABASE_URL"], "SERVER_NAME": "1"}
            for number in range(2, SERVERS + 1):
                siblings: dict[str, Any] = {**settings, "SERVER_NAME": str(number)}
                self._others.append(ServerProcess(**siblings))
        self._nginx: Nginx | None = None
        self.lines: list[str] = []
        super().__init__()

    def __enter__(self) -> Self:
        if self._own_output is not None:
            self._output = open(os.devnull, encoding="utf-8")
            self.process = self._start(self._own_output)
            self.url = self._handed_over_url
            return self
        reading, writing = os.pipe()
        self._output = open(reading, encoding="utf-8")
        try:
            self.process = self._start(writing)
        finally:
            os.close(writing)
        for line in self._output:
            self.lines.append(line.rstrip("\n"))
            if found := _LISTENING.search(line):
                self.url = found[1]
                if self._is_behind_nginx:
                    others = [each.__enter__().port for each in self._others]
                    self._nginx = Nginx(self.port, *others, port=self._public_port).__enter__()
                    self.url = self._nginx.url
                return self
        raise AssertionError(f"the server ended with {self.process.wait()}: {self.lines}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        if self._nginx is not None:
            self._nginx.__exit__(kind, error, tb)
        for each in self._others:
            each.__exit__(kind, error, tb)
        self._output.close()

    @property
    def alarms(self) -> list[str]:
        """The lines that warn or tell of a failure, but for those of the limits that are off here."""
        found = [line for line in self.lines if re.search("WARNING|ERROR|Traceback", line)]
        return [line for line in found if not re.search("(RATE_LIMITS=off|OVERLOAD_LAG_SECONDS=0) ", line)]

    def _start(self, output: int) -> "ForkedProcess | subprocess.Popen[bytes]":
        environ = {name: value for name, value in self._environ.items() if value}
        if not self._command:
            return ForkedProcess(environ, output, self._listener)
        command, passed = [*self._command], []
        if self._listener is not None:
            command = [sys.executable, "-c", _HAND_OVER, str(self._listener), *command]
            passed = [self._listener]
        return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=output, pass_fds=passed)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        killing = threading.Timer(PATIENCE_SECONDS, self.process.kill)
        killing.start()
        self.lines.extend(line.rstrip("\n") for line in self._output)
        code = self.process.wait()
        killing.cancel()
        assert code != -signal.SIGKILL, f"the server did not stop; it said {self.lines[-5:]}"
        return code

    def read_until(self, end: str) -> None:
        """Read the server's output up to the next line with this end, which it is sure to write."""
        for line in self._output:
            self.lines.append(line.rstrip("\n"))
            if self.lines[-1].endswith(end):
                return
        raise AssertionError(f"the server ended: {self.lines[-5:]}")

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


def await_until(condition: Any, what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Poll `condition` until it holds; for what has no event to wait for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)
