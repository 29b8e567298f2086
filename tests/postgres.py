"""A PostgreSQL server of the tests' own: in a temporary folder, on a free port, with a database for each test."""

import atexit
import functools
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from tests.ports import free_port

_NUMBERS = itertools.count()


class PostgresServer:
    """It runs from `start` to `stop` or `kill`. Root starts it as the user `postgres`, since it refuses root."""

    def __init__(self, *options: str) -> None:
        self._programs = _programs()
        self._options = options
        self._folder = Path(tempfile.mkdtemp(prefix="chatio-postgres-"))
        self._port = free_port()
        if _is_root():
            user = pwd.getpwnam("postgres")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
        self._run("initdb", "--auth=trust", "--username=chatio", "--no-sync", f"--pgdata={self._data}")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """Return when it takes connections."""
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self._port)]
        command += ["-k", str(self._folder), "-h", "127.0.0.1", *self._options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(_as_user(command), cwd=self._folder, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        ready = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        while subprocess.run(ready, check=False).returncode:
            assert time.monotonic() < deadline, (self._folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def follow(self, primary: "PostgresServer") -> None:
        """Be a standby of `primary`, which runs, from the next start on."""
        shutil.rmtree(self._data)
        address = ["--host=127.0.0.1", f"--port={primary.port}", "--username=chatio"]
        self._run(
            "pg_basebackup", *address, "--write-recovery-conf", "--checkpoint=fast", f"--pgdata={self._data}"
        )

    def promote(self) -> None:
        """End being a standby; return when it can be written to."""
        self._run("pg_ctl", "promote", f"--pgdata={self._data}")

    def child(self, name: str) -> int:
        """The process id of the one of its processes that is called `name`."""
        (found,) = (pid for pid in _children_of(self.pid) if name in Path(f"/proc/{pid}/cmdline").read_text())
        return found

    def kill(self) -> None:
        """kill -9 of the postmaster; return when it and its children have ended."""
        pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        children = _children_of(pid)
        os.kill(pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        deadline = time.monotonic() + 30
        while any(Path(f"/proc/{child}").exists() for child in children):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """An immediate shutdown, and the end of the folder."""
        if self._process is not None and self._process.poll() is None:
            self._run("pg_ctl", "stop", "--mode=immediate", f"--pgdata={self._data}")
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{next(_NUMBERS)}"
        self.sql("postgres", f"CREATE DATABASE {name}")
        return f"postgresql://chatio@127.0.0.1:{self._port}/{name}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int:
        return self._port

    def sql(self, database: str, statement: str) -> str:
        command = [
            str(self._programs / "psql"),
            "-h",
            "127.0.0.1",
            "-p",
            str(self._port),
            "-U",
            "chatio",
            "-d",
            database,
        ]
        command += ["-v", "ON_ERROR_STOP=1", "-qAtc", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def _run(self, program: str, *arguments: str) -> None:
        command = _as_user([str(self._programs / program), *arguments])
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True)


@functools.cache
def postgres() -> PostgresServer:
    """The one server of this process, which ends with it. It never syncs: no test of it cuts the power."""
    server = PostgresServer("-c", "fsync=off")
    server.start()
    atexit.register(server.stop)
    return server


def _programs() -> Path:
    """The folder of the newest PostgreSQL of this machine, which is installed first if root may do so."""
    if not (found := sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))) and _is_root():
        subprocess.run(["apt-get", "install", "-qq", "--yes", "--no-install-recommends", "postgresql"], check=True)
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    assert found, "the tests of PostgreSQL need its server: apt-get install postgresql"
    return found[-1].parent


def _is_root() -> bool:
    return os.geteuid() == 0


def _as_user(command: list[str]) -> list[str]:
    return (
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command] if _is_root() else command
    )


def _children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
