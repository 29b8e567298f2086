"""`python main.py` as a process of its own on a free port, as its users run it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

ROOT = Path(__file__).parents[2]
SECRET = "a secret of the system tests, long enough"
PATIENCE_SECONDS = 20.0

_LISTENING = re.compile(r"is listening on (http://[^\s\"]+)")


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: Any


class ServerProcess:
    """Starts on entering, is stopped by SIGTERM on leaving; `lines` is all that it printed by then.

    Without rate limits and without overload unless `settings` says so: most tests do in a second what people do in
    a day, on machines that are busy.
    """

    def __init__(self, *options: str, folder: Path = ROOT, **settings: str) -> None:
        self._command = [sys.executable, str(folder / "main.py"), "--env-file", os.devnull, *options]
        self._environ = {
            name: value for name, value in os.environ.items() if name in ("PATH", "COVERAGE_PROCESS_START", "HOME")
        } | {
            "SERVER_PORT": "0",
            "SERVER_HOST": "127.0.0.1",
            "JWT_SECRET_KEY": SECRET,
            "RATE_LIMITS": "off",
            "OVERLOAD_LAG_SECONDS": "0",
            **settings,
        }
        self.lines: list[str] = []
        self.url = ""

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env={name: value for name, value in self._environ.items() if value},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if found := _LISTENING.search(line):
                self.url = found[1]
                return self
        raise AssertionError(f"the server ended with {self.process.wait()}: {self.lines}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        if self.process.stdout is not None:
            self.process.stdout.close()

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        try:
            rest, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            rest, _ = self.process.communicate()
            raise AssertionError(f"the server did not stop; it said {rest.splitlines()[-5:]}") from None
        self.lines.extend(rest.splitlines())
        return self.process.returncode

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
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - our own server's
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
