"""`python main.py` as an operator sees it: start, check, stop, output."""

import resource
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from dotenv import dotenv_values

from chatio.server.listen import TABLE_FILES
from chatio.server.signals import IGNORED, REPEATED, STOPPING
from tests.paths import ROOT
from tests.system.js import JsClients
from tests.system.server import REAL_COMMAND, SECRET, ServerProcess, await_until
from tests.system.test_leaving import polling_session


def run_main(*options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *options],
        env=environ,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_check_of_a_sound_configuration_exits_0() -> None:
    done = run_main("--check", "--env-file", "/dev/null")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "The configuration is sound.\n"


def test_a_python_without_the_packages_is_one_sentence_that_says_which_one_has_them() -> None:
    command = [
        sys.executable,
        "-I",
        "-S",
        str(ROOT / "main.py"),
        "--check",
    ]  # -S: without the packages of the venv
    done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith(f"msgspec is not installed for {sys.executable}: ")
    assert ".venv/bin/python main.py" in sentence


# Python 3.6 to 3.10 parse the file, and run it up to the check. This is how they see it.
_AS_OLD_PYTHON = """
import ast, runpy, sys
ast.parse(open(sys.argv[1], encoding="utf-8").read(), feature_version=(3, 6))
sys.version_info = (3, 10, 13)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def test_a_python_that_is_too_old_is_one_sentence_and_exit_2() -> None:
    command = [sys.executable, "-S", "-c", _AS_OLD_PYTHON, str(ROOT / "main.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.stderr == "Chat.io needs Python 3.11 or newer, and this is 3.10.\n"
    assert done.returncode == 2


def test_check_tells_every_problem_and_no_secret_and_exits_2() -> None:
    done = run_main(
        "--check",
        "--env-file",
        "/dev/null",
        SERVER_PORT="many",
        JWT_SECRET_KEY="too short",
        CLIENT_URL="localhost",
        LOG_LEVEL="LOUD",
    )
    assert done.returncode == 2
    for name in ("SERVER_PORT", "JWT_SECRET_KEY", "CLIENT_URL", "LOG_LEVEL"):
        assert name in done.stderr
    assert "too short" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_new_env_file_has_a_secret_of_its_own_and_is_for_its_owner_only(tmp_path: Path) -> None:
    secrets = []
    for name in ("first", "second"):
        subprocess.run(
            [sys.executable, "tools/make_env.py", ".env.example", tmp_path / name], cwd=ROOT, check=True
        )
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        secrets.append(dotenv_values(tmp_path / name)["JWT_SECRET_KEY"] or "")
        assert run_main("--check", "--env-file", str(tmp_path / name)).stderr == ""
    assert len(set(secrets)) == 2
    assert min(map(len, secrets)) >= 32
    again = subprocess.run(
        [sys.executable, "tools/make_env.py", ".env.example", tmp_path / "first"],
        cwd=ROOT,
        check=False,
        capture_output=True,
    )
    assert again.returncode != 0
    assert dotenv_values(tmp_path / "first")["JWT_SECRET_KEY"] == secrets[0]


def test_start_without_a_secret_warns_once_and_works() -> None:
    with ServerProcess(command=REAL_COMMAND, JWT_SECRET_KEY="") as server:
        token = server.sign_up("ann")
        assert server.request("GET", "/user", headers={"Authorization": f"Bearer {token}"}).status == 200
        server.stop()
    (warning,) = server.alarms
    assert "JWT_SECRET_KEY is not set" in warning


@pytest.mark.direct("takes the port that the server has")
def test_port_in_use_is_one_line_and_exit_2(server: ServerProcess) -> None:
    done = run_main(
        "--env-file", "/dev/null", SERVER_PORT=str(server.port), JWT_SECRET_KEY="x" * 32, LOG_LEVEL="ERROR"
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith(f" CRITICAL chatio: Port {server.port} is already in use (SERVER_PORT).")


@pytest.mark.direct("takes the port that the server has")
def test_port_of_metrics_in_use_is_one_line_and_exit_2(server: ServerProcess) -> None:
    port = str(server.port)
    done = run_main(
        *("--env-file", "/dev/null"),
        SERVER_PORT="0",
        METRICS_PORT=port,
        JWT_SECRET_KEY="x" * 32,
        LOG_LEVEL="ERROR",
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith(
        f" CRITICAL chatio: Cannot serve metrics on 127.0.0.1:{port} (METRICS_PORT): Address already in use."
    )


@pytest.mark.parametrize("name", ["SERVER_HOST", "METRICS_HOST"])
@pytest.mark.parametrize("host", ["no.such.invalid", "x" * 70, "192.0.2.1", "::ffff"])
def test_a_host_that_is_no_address_of_this_machine_is_one_line_and_exit_2(name: str, host: str) -> None:
    settings = {"SERVER_PORT": "0", "METRICS_PORT": "0", "JWT_SECRET_KEY": SECRET, "LOG_LEVEL": "ERROR"}
    done = run_main("--env-file", "/dev/null", **settings | {name: host})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert " CRITICAL chatio: Cannot " in line
    assert name in line


@pytest.mark.parametrize("number", [*STOPPING, *REPEATED])
def test_signal_stops_the_server_with_exit_0(server: ServerProcess, js: JsClients, number: signal.Signals) -> None:
    js.join("ann", server.url, server.sign_up("ann"))
    js.join("bob", server.url, server.sign_up("bob"), transports=["polling"])
    assert server.stop(number) == 0
    assert server.alarms == []


@pytest.mark.direct("polling sessions of its own making")
@pytest.mark.parametrize("first", [signal.SIGXCPU, signal.SIGTERM])
def test_a_hangup_after_the_first_signal_cuts_nothing_off(first: signal.Signals) -> None:
    """A closed terminal sends several, and systemd one after SIGTERM, with `SendSIGHUP=yes`."""
    with ServerProcess(SHUTDOWN_GRACE_SECONDS="3600") as server:
        sessions = {polling_session(server) for _ in range(200)}  # to be closed in a second
        assert len(sessions) == 200
        server.process.send_signal(first)
        await_until(lambda: server.request("GET", "/nowhere").status == 503, "it leaves")
        assert server.stop(signal.SIGHUP) == 0
    assert [line for line in server.lines if "Stopping at once" in line] == []


def test_a_hangup_is_ignored_under_nohup() -> None:
    nohup = ("/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh")
    with ServerProcess(command=(*nohup, *REAL_COMMAND)) as server:
        server.process.send_signal(signal.SIGHUP)
        assert server.request("GET", "/readyz").status == 200
        assert server.stop() == 0


def test_signals_without_a_meaning_are_ignored_each_with_a_line(server: ServerProcess) -> None:
    """All that kill by default, the real-time ones included; after ten lines they are counted."""
    named: dict[int, str] = {
        number: number.name for number in (signal.SIGTRAP, signal.SIGUSR1, signal.SIGALRM, signal.SIGSYS)
    }
    named |= {signal.SIGRTMIN: "SIGRTMIN", signal.SIGRTMIN + 1: "SIGRTMIN+1", signal.SIGRTMAX: "SIGRTMAX"}
    for number in [*named, *IGNORED]:
        server.process.send_signal(number)
        assert server.request("GET", "/healthz").status == 200
    assert server.stop() == 0
    ignored = [line.partition("chatio: ")[2] for line in server.lines if line.endswith(" is ignored")]
    assert ignored[: len(named)] == [f"{name} is ignored" for name in named.values()]


def test_a_broken_pipe_is_ignored(server: ServerProcess) -> None:
    server.process.send_signal(signal.SIGPIPE)
    assert server.request("GET", "/healthz").status == 200
    assert server.stop() == 0


@pytest.mark.direct("half a request; nginx passes on whole ones")
def test_request_under_way_is_finished_when_the_server_stops(server: ServerProcess) -> None:
    """The signal arrives while half of a registration's body is still to come."""
    body = b'{"name":"Late","email":"late@chat.test","password":"hunting foxes"}'
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        head = (
            b"POST /register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        )
        connection.sendall(head % len(body))
        connection.sendall(body[:20])
        assert server.request("GET", "/nowhere").status == 404  # the server has seen the first half by now
        code: list[int] = []
        stopping = threading.Thread(target=lambda: code.append(server.stop()))
        stopping.start()
        await_until(lambda: server.request("GET", "/nowhere").status == 503, "it leaves")
        connection.sendall(body[20:])
        assert connection.recv(4096).startswith(b"HTTP/1.1 201")
        stopping.join()
    assert code == [0]


@pytest.mark.direct("a malformed head; nginx passes none on")
def test_nothing_that_is_secret_is_printed(js: JsClients) -> None:
    with ServerProcess(command=REAL_COMMAND, LOG_LEVEL="DEBUG") as server:
        token = server.sign_up("ann")
        js.join("ann", server.url, token)
        js.emit("ann", "send-message", {"content": "between us"})
        js.expect("ann", "receive-message")
        server.request("GET", "/user", headers={"Authorization": "Bearer " + token[:-4]})
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(f"GET /user HTTP/1.1\r\nAuthorization: Bearer {token}\x01\r\n\r\n".encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 400")
        server.stop()
    printed = "\n".join(server.lines)
    for secret in (token, token.split(".")[2], "ann's password", "between us", "a secret of the system tests"):
        assert secret not in printed


@pytest.mark.direct("fills the server with connections that say nothing")
def test_running_out_of_file_descriptors_is_said_in_one_line_and_passes() -> None:
    with ServerProcess(command=REAL_COMMAND) as server:
        descriptors = Path(f"/proc/{server.process.pid}/fd")
        most = len(list(descriptors.iterdir())) + 20
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (most, most))
        with ExitStack() as crowd:
            for _ in range(25):
                crowd.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            await_until(lambda: len(list(descriptors.iterdir())) == most, "no descriptor is left")
        assert server.request("GET", "/user").status == 401
        assert server.stop() == 0
    told = [line for line in server.lines if "Too many open files" in line]
    assert 1 <= len(told) <= 3
    assert "Traceback" not in "".join(server.lines)


def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))  # the server inherits it
    with ExitStack() as stack:
        try:
            server = stack.enter_context(ServerProcess(command=REAL_COMMAND))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)


def test_the_table_of_open_files_need_not_grow_while_clients_come() -> None:
    with ServerProcess(command=REAL_COMMAND) as server:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
    room = int(status.partition("FDSize:")[2].split()[0])
    assert room >= min(TABLE_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
