"""The command line of main.py."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from chatio import __version__
from chatio.config.user_commands import add_user_commands


def parse(arguments: Sequence[str] | None, *, env_file: Path) -> argparse.Namespace:
    """What the operator asks for; `env_file` is the default. Raises SystemExit for `--help` and mistakes."""
    parser = argparse.ArgumentParser(description="The Chat.io backend")
    parser.add_argument("--version", action="version", version=f"Chat.io {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands, instead of starting the server")
    for name, target, text in (
        ("backup", "FILE", "copy the SQLite database to FILE, also while a server uses it"),
        ("restore", "FILE", "put FILE in the place of the SQLite database, while no server uses it"),
        ("migrate-to", "URL", "copy the SQLite database to an empty PostgreSQL one, while no server uses it"),
    ):
        commands.add_parser(name, help=text).add_argument("target", metavar=target)
    text = "check that the SQLite database is sound, also while a server uses it"
    commands.add_parser("check", help=text).set_defaults(target="")
    add_user_commands(commands)
    parser.add_argument("--check", action="store_true", help="check the configuration, and exit")
    env_help = "file of settings; variables of the environment override it (default: .env beside main.py)"
    parser.add_argument("--env-file", type=Path, default=env_file, help=env_help)
    return parser.parse_args(arguments)
