"""A PostgreSQL server of the tests' own: in a temporary folder, on a free port, with a database for each test."""

import atexit
import contextlib
import functools
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tests.ports import free_port

_NUMBERS = itertools.count()


class PostgresServer:
    """It runs from `start` to `stop` or `kill`. Root starts it as the user `postgres`, since it refuses root.

    Where it cannot be made or started, nothing of it is left.
    """

    def __init__(self, *options: str, **environ: str) -> None:
        self._programs = programs()
        self._options = options
        self._environ = {**os.environ, **environ}
        self._folder = Path(tempfile.mkdtemp(prefix="chatio-postgres-"))
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        with self._or_nothing():
            if _is_root():
                user = pwd.getpwnam("postgres")
                os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._run("initdb", "--auth=trust", "--username=chatio", "--no-sync", f"--pgdata={self._data}")

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def start(self) -> None:
        """Return when it takes connections."""
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self._port)]
        command += ["-k", str(self._folder), "-h", "127.0.0.1", *self._options]
        with self._or_nothing():
            with (self._folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    _as_user(command), cwd=self._folder, env=self._environ, stdout=log, stderr=log
                )
            deadline = time.monotonic() + 30
            ready = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
            while subprocess.run(ready, check=False).returncode:
                is_starting = self._process.poll() is None and time.monotonic() < deadline
                assert is_starting, (self._folder / "log").read_text()[-2000:]
                time.sleep(0.05)

    @contextlib.contextmanager
    def _or_nothing(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.stop()
            raise

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
            self._process.send_signal(signal.SIGQUIT)
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

    @contextlib.contextmanager
    def tls(self, certificate: Path, key: Path) -> Iterator[None]:
        """The server offers TLS meanwhile."""
        for kind, source in (("cert", certificate), ("key", key)):
            copy = self._folder / f"{kind}.pem"
            copy.touch(mode=0o600)
            copy.write_bytes(source.read_bytes())
            if _is_root():
                shutil.chown(copy, "postgres")
            self.sql("postgres", f"ALTER SYSTEM SET ssl_{kind}_file = '{copy}'")
        with self.switched_on("ssl"):
            yield

    @contextlib.contextmanager
    def switched_on(self, setting: str) -> Iterator[None]:
        """A setting of the whole server is "on" meanwhile, and "off" afterwards."""
        self._set(setting, "on")
        try:
            yield
        finally:
            self._set(setting, "off")

    def _set(self, setting: str, value: str) -> None:
        self.sql("postgres", f"ALTER SYSTEM SET {setting} = {value}")
        self.sql("postgres", "SELECT pg_reload_conf()")
        deadline = time.monotonic() + 30
        while self.sql("postgres", f"SHOW {setting}") != value:
            assert time.monotonic() < deadline, (self._folder / "log").read_text()[-2000:]
            time.sleep(0.01)

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
        done = subprocess.run(command, cwd=self._folder, check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{program}: {done.stderr}"


class PgBouncer:
    """PgBouncer before `server`, in the `mode` "session" or "transaction". `port` is its own."""

    def __init__(self, server: PostgresServer, mode: str, **settings: str) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="chatio-pgbouncer-"))
        self._ini = self._folder / "pgbouncer.ini"
        lines = {"listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": "", "pool_mode": mode}
        lines |= {"auth_type": "any", "max_client_conn": 50, **settings}
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        target = f"* = host=127.0.0.1 port={server.port} user=chatio"
        self._ini.write_text(f"[databases]\n{target}\n[pgbouncer]\n{text}")
        self._folder.chmod(0o755)

    def __enter__(self) -> Self:
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin") or _installed("pgbouncer")
        with (self._folder / "log").open("ab") as log:
            command = _as_user([program, str(self._ini)])
            self._process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log)
        with contextlib.ExitStack() as undoing:
            undoing.push(self)
            deadline = time.monotonic() + 30
            while not _accepts(self.port):
                is_starting = self._process.poll() is None and time.monotonic() < deadline
                assert is_starting, (self._folder / "log").read_text()[-2000:]
                time.sleep(0.01)
            undoing.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._folder)


@functools.cache
def postgres() -> PostgresServer:
    """The one server of this process, which ends with it. It never syncs: no test of it cuts the power."""
    server = PostgresServer("-c", "fsync=off")
    server.start()
    atexit.register(server.stop)
    return server


def programs() -> Path:
    """The folder of the newest PostgreSQL of this machine, which is installed first if root may do so.

    CHATIO_TESTS_POSTGRES names the `bin` of another one.
    """
    if other := os.environ.get("CHATIO_TESTS_POSTGRES"):
        return Path(other)
    if not (found := sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))) and _is_root():
        _installed("postgresql")
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    assert found, "the tests of PostgreSQL need its server: apt-get install postgresql"
    return found[-1].parent


def _installed(package: str) -> str:
    """Install a package of Debian, as root; the path of the program of the same name."""
    assert _is_root(), f"the tests of PostgreSQL need {package}: apt-get install {package}"
    subprocess.run(["apt-get", "install", "-qq", "--yes", "--no-install-recommends", package], check=True)
    return f"/usr/sbin/{package}"


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=20).close()
    except ConnectionRefusedError:
        return False
    return True


def _is_root() -> bool:
    return os.geteuid() == 0


def _as_user(command: list[str]) -> list[str]:
    return (
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command] if _is_root() else command
    )


def _children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
