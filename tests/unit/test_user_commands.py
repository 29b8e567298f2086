"""`main.py user ...` without a server: what it prints, and its exit codes."""

import contextlib
import io
import json
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import main as program
from chatio.config.settings import table
from chatio.moderation.moderation import MAX_SECONDS
from chatio.moderation.operator import Command
from chatio.stores.errors import StoreUnusable

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    return [f"DATABASE_URL=sqlite:///{tmp_path}/chat.db"]


@pytest.fixture
def run(
    tmp_path: Path,
    settings: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    logging_as_before: None,
) -> Run:
    """Runs a command: its exit code, and what it prints."""
    for setting in table():
        monkeypatch.delenv(setting.name, raising=False)
    file = tmp_path / "settings.env"

    def run(*arguments: str) -> tuple[int, str, str]:
        file.write_text("\n".join(settings))
        try:
            code = program.main(["--env-file", str(file), "user", *arguments])
        except SystemExit as ended:
            code = int(str(ended.code))
        out, err = capfd.readouterr()
        return code, out, err

    return run


def user_of(run: Run, *arguments: str) -> dict[str, Any]:
    code, out, err = run(*arguments, "--json")
    assert (code, err) == (0, "")
    user: dict[str, Any] = json.loads(out)
    return user


def test_an_account_is_made_listed_changed_and_deleted(run: Run) -> None:
    made = user_of(run, "add", "Ann@chat.test", "Ann", "--role", "moderator")
    assert (made["email"], made["role"], len(made["code"])) == ("Ann@chat.test", "moderator", 24)
    assert run("add", "bob@chat.test", "Bob")[0] == 0
    _, out, _ = run("list", "--json")
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["Ann", "Bob"]
    assert run("list", "--query", "AN")[1].split()[:3] == ["Ann@chat.test", "Ann", "moderator"]
    assert user_of(run, "promote", "ann@chat.test", "owner")["role"] == "owner"
    assert user_of(run, "ban", "ann@chat.test", "--for", "2d", "--reason", "spam")["banned_until"] > "2026"
    assert "banned until 2" in run("show", made["id"])[1]
    assert "banned for ever" in run("ban", "ann@chat.test", "--reason", "spam")[1]
    assert user_of(run, "unban", "ann@chat.test")["banned_until"] is None
    assert "muted until 2" in run("mute", "ann@chat.test", "--for", "10m", "--reason", "shouts")[1]
    assert user_of(run, "unmute", made["id"])["muted_until"] is None
    exported = json.loads(run("export", "ann@chat.test")[1])
    assert [act["action"] for act in exported["audit"]] == [
        *("add_user", "role", "reset_code", "role", "ban", "ban", "lift", "mute", "lift")
    ]
    assert run("delete", "ann@chat.test", "--messages", "delete")[0] == 0
    assert [json.loads(line)["name"] for line in run("list", "--json")[1].splitlines()] == ["Bob"]


def test_a_code_is_printed_for_people_too(run: Run) -> None:
    _, out, _ = run("add", "ann@chat.test", "Ann")
    first = out.splitlines()[1]
    assert first.startswith("One-time code for a new password, until 20")
    assert run("reset-password", "ann@chat.test")[1].splitlines()[1] != first


def test_a_password_is_read_from_the_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a good password\n"))
    assert "code" not in user_of(run, "add", "ann@chat.test", "Ann", "--password-stdin")


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        (None, "The standard input has no password"),  # it is closed
        (io.StringIO(""), "The standard input has no password"),
        (io.StringIO("\n"), "The standard input has no password"),
        (io.StringIO("a password\udcff\n"), "Arguments and passwords must be UTF-8"),
        (io.TextIOWrapper(io.BytesIO(b"a password\xff\n"), "utf-8"), "Arguments and passwords must be UTF-8"),
    ],
    ids=["closed", "at its end", "empty", "escaped", "strict"],
)
def test_a_standard_input_without_a_password_makes_no_account(
    run: Run, monkeypatch: pytest.MonkeyPatch, typed: Any, problem: str
) -> None:
    monkeypatch.setattr(sys, "stdin", typed)
    assert run("add", "ann@chat.test", "Ann", "--password-stdin") == (2, "", f"{problem}\n")
    assert run("list") == (0, "", "")


@pytest.mark.parametrize("command", ["show", "list", "add", "export"])
def test_arguments_that_are_not_utf_8_are_one_sentence(run: Run, command: str) -> None:
    more = {"list": ["--query", "\udcff"], "add": ["ann@chat.test", "\udcff"]}.get(command, ["\udcff"])
    assert run(command, *more) == (2, "", "Arguments and passwords must be UTF-8\n")


@pytest.mark.parametrize("command", [["list"], ["show", "ann@chat.test"], ["export", "ann@chat.test"]])
def test_an_answer_that_cannot_be_written_is_a_failure(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    assert run("add", "ann@chat.test", "Ann")[0] == 0
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr("handlers.commands.STDOUT", full)
    assert run(*command) == (1, "", "The answer could not be written to the standard output\n")
    os.close(full)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "none@chat.test"], 3, "There is no such user."),
        (["delete", "none"], 3, "There is no such user."),
        (["add", "ann@chat.test", "Ann"], 4, "Email already used."),
        (["add", "new@chat.test", "ANN"], 4, "This name is taken"),
        (["add", "new", "Admin"], 4, "name: This name is reserved. email: This is not an e-mail address."),
        (["ban", "ann@chat.test", "--reason", " "], 4, "reason: This must be text of 1 to 500 characters."),
        (["ban", "ann@chat.test"], 2, "--reason"),
        (["ban", "ann@chat.test", "--reason", "x", "--for", "2w"], 2, "such as 12h"),
        (["ban", "ann@chat.test", "--reason", "x", "--for", "3651d"], 2, "at most 3650d"),
        (["ban", "ann@chat.test", "--reason", "x", "--for", "999999999d"], 2, "at most 3650d"),
        (["mute", "ann@chat.test", "--reason", "x"], 2, "--for"),
        (["mute", "ann@chat.test", "--for", "1h"], 2, "--reason"),
        (["mute", "none", "--for", "1h", "--reason", "x"], 3, "There is no such user."),
        (["unmute", "none"], 3, "There is no such user."),
        (["promote", "ann@chat.test", "god"], 2, "owner"),
        ([], 2, "usage:"),
    ],
)
def test_what_is_refused_is_told_in_a_sentence_and_by_the_exit_code(
    run: Run, arguments: list[str], code: int, words: str
) -> None:
    assert run("add", "ann@chat.test", "Ann")[0] == 0
    result = run(*arguments)
    assert (result[0], result[1]) == (code, "")
    assert words in result[2]


def test_a_refusal_is_json_where_that_is_asked_for(run: Run) -> None:
    code, out, err = run("show", "none", "--json")
    assert (code, out) == (3, "")
    assert json.loads(err) == {"error": {"code": "user_not_found", "message": "There is no such user."}}


@pytest.mark.parametrize("setting", ["", "ADMIN_SOCKET=/nowhere/admin"])
def test_in_memory_there_is_nothing_to_act_on_without_a_server(
    run: Run, settings: list[str], setting: str
) -> None:
    settings[:] = [setting]
    code, out, err = run("list")
    assert (code, out) == (5, "")
    assert "no server is reached" in err


def test_a_database_that_another_server_holds_is_not_written_to(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> None:
        raise StoreUnusable("chat.db: another server uses this database")

    monkeypatch.setattr("chatio.stores.opening.open_database", opened)
    code, _, err = run("list")
    assert (code, err) == (2, "DATABASE_URL: chat.db: another server uses this database\n")


@pytest.mark.parametrize(
    "command",
    ["add", "list", "show", "promote", "mute", "unmute", "ban", "unban", "reset-password", "delete", "export"],
)
def test_each_command_tells_its_arguments_and_the_exit_codes(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "--json" in out
    assert "exit codes: 0 done; 1 " in " ".join(out.split())


NASTY = "\x1b[2J\x07\x7f\x9b1m\u202egood\u2066\u200f\nbye"


def test_no_text_of_others_moves_the_cursor_of_a_terminal(run: Run, tmp_path: Path) -> None:
    """Names and addresses of old accounts, and reasons of an old audit trail, may have any characters."""
    made = user_of(run, "add", "ann@chat.test", "Ann")
    assert run("ban", made["id"], "--reason", "first")[0] == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "chat.db")) as database:
        database.execute("UPDATE users SET name = ?, email = ?", (f"Ann{NASTY}", f"ann{NASTY}@chat.test"))
        database.execute("UPDATE acts SET reason = ?, user_name = ?", (NASTY, NASTY))
        database.commit()
    for command in (["list"], ["show", made["id"]], ["export", made["id"]]):
        for more in ([], ["--json"]):
            code, out, err = run(*command, *more)
            assert (code, err) == (0, "")
            assert out.replace("\n", "").isascii()
            assert out.replace("\n", "").isprintable()
            assert "good" in out


def test_a_reason_is_kept_in_one_line_without_control_characters(run: Run) -> None:
    made = user_of(run, "add", "ann@chat.test", "Ann")
    assert run("ban", made["id"], "--reason", f"for\t{NASTY}\u2028 \U0001f469\u200d\U0001f680")[0] == 0
    act = json.loads(run("export", made["id"])[1])["audit"][-1]
    assert act["reason"] == "for [2J 1mgood bye  \U0001f469\u200d\U0001f680"
    assert run("ban", made["id"], "--reason", "\u202e\x07\n")[0] == 4


@pytest.mark.parametrize("seconds", [-5, 0, MAX_SECONDS + 1, 10**14])
def test_a_ban_whose_end_no_clock_can_tell_is_no_command(seconds: int) -> None:
    """It was kept, and then no list of users could be made any more."""
    command = {"name": "ban", "user": "ann@chat.test", "reason": "spam", "seconds": seconds}
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(command), type=Command)
