"""The command line of `main.py user ...`."""

import argparse
import re
from typing import Any, Final, TextIO

from chatio.moderation.moderation import MAX_SECONDS
from chatio.moderation.operator import Command
from chatio.stores.accounts import ROLES

EXIT_CODES: Final = (
    "exit codes: 0 done; 1 the server or its database failed, perhaps for a moment, or does not answer; "
    "2 the arguments or the settings are invalid; 3 there is no such user; 4 a rule refuses it; "
    "5 there is nothing to act on: accounts are in the memory of a server that is not reached"
)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_USER: Final = {"metavar": "USER", "help": "e-mail address or id"}


class InvalidCommand(Exception):
    """A command that cannot be run, for the reason in its text, a sentence."""


def add_user_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `user` with its own commands to `commands`."""
    text = "accounts: beside a running server, which is told, or without one"
    user = commands.add_parser("user", help=text, description=text.capitalize(), epilog=EXIT_CODES)
    actions = user.add_subparsers(dest="name", required=True, title="commands")

    def command(name: str, text: str, *, takes_user: bool = True) -> argparse.ArgumentParser:
        parser = actions.add_parser(name, help=text, description=text.capitalize(), epilog=EXIT_CODES)
        if takes_user:
            parser.add_argument("user", **_USER)  # type: ignore[arg-type]
        parser.add_argument(
            "--json", action="store_true", dest="as_json", help="answer in JSON, a line for each user"
        )
        return parser

    add = command("add", "make an account; without a password, print a one-time code to set one", takes_user=False)
    add.add_argument("user", metavar="EMAIL", help="e-mail address")
    add.add_argument("display_name", metavar="NAME", help="name that other users see")
    add.add_argument("--role", choices=ROLES, default="member", help="role (default: member)")
    add.add_argument("--password-stdin", action="store_true", help="read the password from the standard input")
    listing = command("list", "list the accounts", takes_user=False)
    listing.add_argument("--query", dest="user", default="", metavar="TEXT", help="a part of the name")
    command("show", "show an account")
    command("promote", "give a user a role").add_argument("role", choices=ROLES, help="the new role")
    for name, text, must_end, help_ in (
        ("mute", "let a user read, and not write", True, "such as 30m, 12h or 7d"),
        ("ban", "end a user's sessions, and refuse their logins", False, "such as 30m, 12h or 7d; else for ever"),
    ):
        sanction = command(name, text)
        sanction.add_argument(
            "--for", dest="seconds", type=_seconds, metavar="TIME", required=must_end, help=help_
        )
        sanction.add_argument("--reason", required=True, help="why, for the audit trail")
        lift = command(f"un{name}", f"lift a {name}")
        lift.add_argument("--reason", default="lifted by the operator", help="why")
    command("reset-password", "print a one-time code for a new password, which ends in an hour")
    delete = command("delete", "delete an account")
    delete.add_argument(
        "--messages", choices=("keep", "delete"), default="keep", help="the user's messages (default: keep)"
    )
    command("export", "write all that is kept of a user, as JSON")


def command_of(options: argparse.Namespace, typed: TextIO | None) -> Command:
    """The command in the parsed options. `typed`: the standard input, where the operator types a password.

    Raises `InvalidCommand`.
    """
    given: dict[str, Any] = {
        name: value
        for name, value in vars(options).items()
        if name in Command.__struct_fields__ and value is not None
    }
    try:
        if getattr(options, "password_stdin", False):
            given["password"] = typed.readline().rstrip("\r\n") if typed is not None else ""
            if not given["password"]:
                raise InvalidCommand("The standard input has no password")
        for value in given.values():
            str(value).encode()
    except UnicodeError:
        raise InvalidCommand("Arguments and passwords must be UTF-8") from None
    return Command(**given)


def _seconds(text: str) -> int:
    """Raises argparse.ArgumentTypeError."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if found is None:
        raise argparse.ArgumentTypeError("a time is a number and s, m, h or d, such as 12h")
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds > MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"a time is at most {MAX_SECONDS // _UNITS['d']}d; else leave it out")
    return seconds
