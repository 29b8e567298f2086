"""Starts the server: arguments, settings, logging; then `run`.

python main.py            start the server
python main.py --check    check the configuration; exits 0 or 2
python main.py user ...   accounts, beside a running server or without one
python main.py check, backup FILE, restore FILE, migrate-to URL    for a SQLite database
python main.py --version
"""

import signal
import sys
import types

if sys.version_info < (3, 11):  # noqa: UP036 - this line and those above it run on any Python 3
    sys.stderr.write("Chat.io needs Python 3.11 or newer, and this is {}.{}.\n".format(*sys.version_info))
    sys.exit(2)


def _say_missing_package(
    kind: "type[BaseException]", error: BaseException, traceback: "types.TracebackType | None"
) -> None:
    """One sentence instead of a traceback where a package is missing. Until the log takes over."""
    if not isinstance(error, ModuleNotFoundError):
        sys.__excepthook__(kind, error, traceback)
        return
    sys.stderr.write(
        f"{error.name} is not installed for {sys.executable}: run `make run`, or .venv/bin/python main.py, "
        "which is the Python that `make run` sets up.\n"
    )


if __name__ == "__main__":
    sys.excepthook = _say_missing_package
    # Ctrl-C ends the process without a traceback while the rest is loaded; later the server shuts down gracefully.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio
import logging
import os
import platform
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from chatio import __version__
from chatio.config.command_line import parse
from chatio.config.env_file import doubtful_names, read_env_file
from chatio.config.loader import InvalidSettings, load
from chatio.config.risks import risks_of
from chatio.config.settings import Settings, changed
from chatio.config.text_files import read_text
from chatio.config.user_commands import InvalidCommand, command_of
from chatio.server.exit_deadline import ExitDeadline
from chatio.server.listen import CannotListen
from chatio.server.signals import ignore_terminal_stops
from chatio.server.systemd import SystemdNotifier, take_descriptors, take_notifier
from chatio.stores.commands import maintain
from chatio.stores.errors import StoreBroken, StoreStuck, StoreUnusable
from chatio.stores.opening import check_stores
from chatio.telemetry import excepthooks, log_handler
from chatio.telemetry.log_handler import LogHandler
from chatio.telemetry.streams import STDERR, STDOUT, fill_standard_descriptors, write_lines
from handlers.commands import operate
from handlers.core import opened_stores
from handlers.serving import relax_garbage_collection, serve_chat

logger = logging.getLogger("chatio")

EXIT_BROKEN = 1
EXIT_INVALID = 2
ROOT = Path(__file__).parent


def main(arguments: Sequence[str] | None = None) -> int:
    fill_standard_descriptors()
    ignore_terminal_stops()
    options = parse(arguments, env_file=ROOT / ".env")
    doubts: list[str] = []
    try:
        from_file = read_env_file(options.env_file, may_be_missing=options.env_file == ROOT / ".env")
        doubts += doubtful_names(os.environ, from_file, options.env_file.name)
        settings = load(os.environ, from_file.values, read_file=read_text)
    except InvalidSettings as invalid:
        write_lines([*invalid.problems, *map(_warning, doubts)], STDERR)
        return EXIT_INVALID
    risks = list(risks_of(settings))
    try:
        if options.check:
            check_stores(settings.database_url, folder=ROOT)
            write_lines(map(_warning, [*doubts, *risks]), STDERR)
            write_lines(["The configuration is sound."], STDOUT)
            return 0
        if options.command == "user":
            return operate(command_of(options, sys.stdin), settings, folder=ROOT, as_json=options.as_json)
        if options.command is not None:
            write_lines([maintain(options.command, options.target, settings.database_url, folder=ROOT)], STDOUT)
            return 0
    except StoreUnusable as problem:
        write_lines([f"DATABASE_URL: {problem}", *map(_warning, doubts)], STDERR)
        return EXIT_INVALID
    except InvalidCommand as problem:
        write_lines([str(problem)], STDERR)
        return EXIT_INVALID
    log = log_handler.configure(
        level=settings.log_level, form=settings.log_format, grace_seconds=settings.shutdown_grace_seconds
    )
    for sentence in doubts:
        logger.warning("%s", sentence, extra={"event": "unknown_setting"})
    for sentence in risks:
        logger.warning("%s", sentence, extra={"event": "risky_setting"})
    _log_start(settings)
    relax_garbage_collection()
    try:
        handed_over = take_descriptors(os.environ)
        asyncio.run(run(_with_secret(settings), take_notifier(os.environ), log, handed_over))
    except CannotListen as reason:
        logger.critical("%s", reason, extra={"event": "cannot_listen"})
        return EXIT_INVALID
    except StoreStuck:  # Python would wait for the thread that waits for the disk
        logging.shutdown()
        os._exit(EXIT_BROKEN)
    except StoreBroken:
        return EXIT_BROKEN
    except StoreUnusable as reason:
        logger.critical("DATABASE_URL: %s", reason, extra={"event": "store_unusable"})
        return EXIT_INVALID
    return 0


async def run(
    settings: Settings, notifier: SystemdNotifier, log: LogHandler, handed_over: Sequence[int] = ()
) -> None:
    """Serve as `settings` say until a signal. Raises `CannotListen`, `StoreUnusable`, `StoreBroken`."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(excepthooks.loop_failed)
    end_within = ExitDeadline(loop).end_within
    async with opened_stores(settings, ROOT) as stores:
        await serve_chat(settings, stores, notifier, log, handed_over, folder=ROOT, end_within=end_within)
        if stores.broken.is_set():
            raise StoreBroken


def _warning(sentence: str) -> str:
    return f"Warning: {sentence}"


def _with_secret(settings: Settings) -> Settings:
    if settings.jwt_secret_key:
        return settings
    logger.warning(
        "JWT_SECRET_KEY is not set: the server made a key for this run, and all users are logged out when it ends",
        extra={"event": "key_made"},
    )
    return msgspec.structs.replace(settings, jwt_secret_key=secrets.token_urlsafe(48))


def _log_start(settings: Settings) -> None:
    names, python = changed(settings), platform.python_version()
    logger.info(
        "Chat.io %s starts on Python %s; settings that differ from the default: %s",
        __version__,
        python,
        ", ".join(names) or "none",
        extra={"event": "starting", "version": __version__, "python": python, "settings": names},
    )


if __name__ == "__main__":
    sys.exit(main())
