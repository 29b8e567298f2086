"""The options, what a configuration is said to be, and one run from start to signal."""

import asyncio
import logging
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import main as program
from chatio import __version__
from chatio.config.settings import table
from chatio.server.exit_deadline import ExitDeadline
from chatio.server.signals import HANDLED
from chatio.telemetry.streams import STDERR
from tests.conftest import ExpectedLogs

KEY = "a key of more than thirty-two bytes"
SOUND = "The configuration is sound.\n"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, logging_as_before: None) -> None:
    """No setting of the developer's environment reaches the tests."""
    for setting in table():
        monkeypatch.delenv(setting.name, raising=False)


@pytest.fixture
def env_file(tmp_path: Path) -> Callable[..., list[str]]:
    """Writes a file of settings, and gives the options that name it."""

    def write(*lines: str) -> list[str]:
        path = tmp_path / "settings.env"
        path.write_text("\n".join(lines), "utf-8")
        return ["--env-file", str(path)]

    return write


Write = Callable[..., list[str]]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def stop_when_listening(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Sends this process SIGTERM as soon as its server says that it listens; collects what it says.

    But for what it says of files that npm installs: whether they are there is not the affair of these tests.
    """
    caplog.set_level(logging.INFO, "chatio")
    lines: list[str] = []
    # It would end the tests, too.
    monkeypatch.setattr(ExitDeadline, "end_within", lambda deadline, seconds: None)

    class Stop(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "event", None) == "page_incomplete":
                return
            lines.append(record.getMessage())
            if "listening" in lines[-1]:
                os.kill(os.getpid(), signal.SIGTERM)

    handler = Stop(logging.INFO)
    kept = {number: signal.getsignal(number) for number in HANDLED}
    logging.getLogger("chatio").addHandler(handler)
    yield lines
    logging.getLogger("chatio").removeHandler(handler)
    for number, previous in kept.items():
        signal.signal(number, previous)  # a server that has left ignores them


def flush_log() -> None:
    """The log's lines are written by a thread."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def test_check_of_settings_does_not_serve(env_file: Write, capfd: Capture, stop_when_listening: list[str]) -> None:
    arguments = env_file("SERVER_PORT=0", "SERVER_HOST=127.0.0.1", f"JWT_SECRET_KEY={KEY}")
    assert program.main([*arguments, "--check"]) == 0
    assert capfd.readouterr() == (SOUND, "")
    assert stop_when_listening == []


def test_the_version_is_said_and_is_the_newest_of_the_changelog(capfd: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["--version"])
    assert ended.value.code == 0
    assert capfd.readouterr().out == f"Chat.io {__version__}\n"
    changelog = Path(program.__file__).with_name("CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## (\S+)", changelog, re.MULTILINE)[0] == __version__


def test_nothing_set_is_sound(env_file: Write, capfd: Capture) -> None:
    assert program.main([*env_file(), "--check"]) == 0
    assert capfd.readouterr().out == SOUND


def test_a_name_that_is_too_long_or_no_name_is_one_line_and_exits_2(capfd: Capture) -> None:
    for name in ("x" * 300, "x" * 10_000, "a\0b\x1b[2J", "/"):
        assert program.main(["--env-file", name, "--check"]) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert ": it" in line
        assert line.isprintable()


DOUBTFUL = [
    *("LOG_LEVEL=ERROR", "LOG_LEVEL=ERROR", "SERVER_PROT=1", "server_host=127.0.0.1"),
    *(f"JWT_SECRET_KEY={'a' * 32}", "CLIENT_URL=*", "TRUSTED_PROXIES=0.0.0.0/0"),
]


def test_check_warns_of_what_is_probably_not_meant_and_the_settings_are_sound(
    env_file: Write, capfd: Capture
) -> None:
    """At every level of the log."""
    assert program.main([*env_file(*DOUBTFUL), "--check"]) == 0
    out, err = capfd.readouterr()
    assert out == SOUND
    told = [line.removeprefix("Warning: ") for line in err.splitlines()]
    assert told[:3] == [
        "settings.env: SERVER_PROT is not a setting; did you mean SERVER_PORT?",
        "settings.env: server_host is not a setting; did you mean SERVER_HOST?",
        "settings.env: LOG_LEVEL is set on the lines 1 and 2; line 2 counts",
    ]
    assert [line.split()[0] for line in told[3:]] == [
        *("JWT_SECRET_KEY", "CLIENT_URL=*", "TRUSTED_PROXIES=0.0.0.0/0")
    ]


def test_check_tells_all_warnings_and_the_problems_beside_them(env_file: Write, capfd: Capture) -> None:
    assert program.main([*env_file(*(f"NAME{number}=1" for number in range(50))), "--check"]) == 0
    assert len(capfd.readouterr().err.splitlines()) == 50
    assert program.main([*env_file("SERVER_PROT=1", "LOG_LEVEL=X"), "--check"]) == 2
    problem, warning = capfd.readouterr().err.splitlines()
    assert problem.startswith("LOG_LEVEL must be ")
    assert warning.startswith("Warning: settings.env: SERVER_PROT ")


def test_the_same_warnings_are_logged_at_the_start(
    env_file: Write, stop_when_listening: list[str], logs: ExpectedLogs
) -> None:
    for pattern in (
        "SERVER_PROT",
        "server_host",
        "LOG_LEVEL is set",
        "JWT_SECRET_KEY is",
        "CLIENT_URL=",
        "TRUSTED",
    ):
        logs.expect(pattern)
    assert program.main(env_file(*DOUBTFUL, "SERVER_PORT=0", "SERVER_HOST=127.0.0.1", "LOG_LEVEL=INFO")) == 0
    assert len(logs.records) == 6


def test_a_value_is_taken_as_it_is_written(env_file: Write, capfd: Capture) -> None:
    secret = "a" * 16 + "${HOME_OF_NOBODY}"  # 33 bytes, and half of them if the name were looked up
    assert program.main([*env_file(f"\ufeffJWT_SECRET_KEY={secret}"), "--check"]) == 0
    assert capfd.readouterr().out == SOUND


@pytest.mark.parametrize("options", [["--check"], []])
def test_unsound_configuration_is_told_line_by_line(env_file: Write, capfd: Capture, options: list[str]) -> None:
    arguments = [*env_file("SERVER_PORT=http", "JWT_SECRET_KEY=hunter2", "CLIENT_URL=nowhere"), *options]
    assert program.main(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert [re.split("[ :]", line)[0] for line in err.splitlines()] == [
        "SERVER_PORT",
        "JWT_SECRET_KEY",
        "CLIENT_URL",
    ]
    assert "hunter2" not in err
    assert "Traceback" not in err


def test_environment_precedes_the_file(env_file: Write, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [*env_file("SERVER_PORT=http"), "--check"]
    assert program.main(arguments) == 2
    monkeypatch.setenv("SERVER_PORT", "4000")
    assert program.main(arguments) == 0
    monkeypatch.setenv("SERVER_PORT", "")
    assert program.main(arguments) == 2


def test_name_in_the_environment_that_looks_like_a_setting_is_one_warning(
    env_file: Write, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.setenv("server_port", "1")
    monkeypatch.setenv("SERVER", "1")
    assert program.main([*env_file(), "--check"]) == 0
    sentence = "the environment: server_port is not a setting; did you mean SERVER_PORT?"
    assert capfd.readouterr().err == f"Warning: {sentence}\n"


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "there is no such file"), (b"JWT_SECRET_KEY=hunter2\xff\n", "it is not UTF-8")]
)
def test_file_that_cannot_be_read_is_one_clear_line_and_exits_2(
    tmp_path: Path, capfd: Capture, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "settings.env"
    if content is not None:
        path.write_bytes(content)
    assert program.main(["--env-file", str(path), "--check"]) == 2
    assert capfd.readouterr().err == f"settings.env: {reason}\n"


@pytest.mark.parametrize("option", ["--chek", "--help"])
def test_an_option_that_is_none_exits_2_and_help_exits_0(option: str, capfd: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        program.main([option])
    out, err = capfd.readouterr()
    assert (caught.value.code, "usage:" in out, "usage:" in err) == (
        (0, True, False) if option == "--help" else (2, False, True)
    )


def test_the_server_starts_says_where_and_ends_with_0(env_file: Write, stop_when_listening: list[str]) -> None:
    lines = "SERVER_PORT=0", "SERVER_HOST=127.0.0.1", f"JWT_SECRET_KEY={KEY}"
    assert program.main(env_file(*lines)) == 0
    begin, kept, first, *others = stop_when_listening
    assert begin.startswith(f"Chat.io {__version__} starts on Python 3.")
    assert begin.endswith(": SERVER_PORT, SERVER_HOST, JWT_SECRET_KEY")
    assert kept == (
        "Accounts and messages are kept in memory, and end with this process (DATABASE_URL is not set)"
    )
    assert first.startswith("Chat.io is listening on http://127.0.0.1:")
    assert others == ["Draining: 0 connections are closed within 10 seconds", "Stopped"]


@pytest.mark.parametrize(("page", "says"), [("on", True), ("off", False)])
def test_on_a_terminal_the_server_says_where_to_go_next(
    env_file: Write,
    stop_when_listening: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: Capture,
    page: str,
    says: bool,
) -> None:
    arguments = env_file("SERVER_PORT=0", "SERVER_HOST=127.0.0.1", f"JWT_SECRET_KEY={KEY}", f"SERVE_PAGE={page}")
    assert program.main(arguments) == 0
    assert capfd.readouterr().out == ""
    flush_log()
    capfd.readouterr()
    monkeypatch.setattr(os, "isatty", lambda descriptor: descriptor == STDERR)
    assert program.main(arguments) == 0
    flush_log()
    (line,) = [line for line in capfd.readouterr().err.splitlines() if " INFO " not in line]
    url = next(line.rpartition(" ")[2] for line in reversed(stop_when_listening) if "listening" in line)
    assert f"{url}/docs" in line
    assert "Ctrl-C" in line
    assert (f"Open {url}/ to chat" in line) == says


def test_loop_problem_is_one_line(env_file: Write, monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs) -> None:
    async def serve(*_: object, **__: object) -> None:
        asyncio.get_running_loop().call_exception_handler({"message": "closing <coroutine hunter2>"})

    logs.expect("^the event loop has a problem: closing$")
    monkeypatch.setattr(program, "serve_chat", serve)
    assert program.main(env_file(f"JWT_SECRET_KEY={KEY}")) == 0


def check(env_file: Write, capfd: Capture, url: str) -> tuple[int, str]:
    code = program.main([*env_file(f"JWT_SECRET_KEY={'k0-Zr9' * 8}", f"DATABASE_URL={url}"), "--check"])
    return code, capfd.readouterr().err


def test_check_finds_a_database_that_cannot_be_opened(env_file: Write, capfd: Capture, tmp_path: Path) -> None:
    for name in ("chat.db", "folder/chat.db"):  # the start makes the file, and its folder
        assert check(env_file, capfd, f"sqlite:///{tmp_path}/{name}")[0] == 0
    assert not (tmp_path / "folder").exists()
    os.mkfifo(tmp_path / "pipe")
    for name, problem in {
        "no/data/chat.db": "chat.db: there is no folder data for it",
        "pipe": "pipe: it is a pipe, a socket or a device, and no file",
    }.items():
        assert check(env_file, capfd, f"sqlite:///{tmp_path}/{name}") == (2, f"DATABASE_URL: {problem}\n")


def test_check_finds_a_folder_that_is_closed(
    env_file: Write, capfd: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # which root always has
    assert check(env_file, capfd, f"sqlite:///{tmp_path}/chat.db") == (
        2,
        "DATABASE_URL: chat.db: this user may not write to its folder\n",
    )
