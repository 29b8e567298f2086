"""Starts the server: arguments, settings, logging; then `run`.

python main.py            start the server
python main.py --check    check the configuration; exits 0 or 2
python main.py backup FILE, restore FILE    for a SQLite database
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

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import platform
import secrets
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from chatio import __version__
from chatio.chat.retention import forget_old_messages
from chatio.config.env_file import EnvFile, read_env_file
from chatio.config.loader import InvalidSettings, load, mistaken_names, unknown_names
from chatio.config.risks import risks_of
from chatio.config.settings import Settings, changed
from chatio.config.text_files import read_text
from chatio.server.listen import CannotListen
from chatio.server.serve import serve
from chatio.server.signals import ignore_terminal_stops
from chatio.server.systemd import SystemdNotifier, take_descriptors, take_notifier
from chatio.stores.base import StoreBroken, StoreUnusable
from chatio.stores.opening import Stores, check_stores, sqlite_file
from chatio.stores.sqlite.backup import back_up, restore
from chatio.telemetry import excepthooks, log_handler
from chatio.telemetry.log_handler import LogHandler
from handlers.application import build_chat, build_core, build_metrics, build_rest, opened_stores
from handlers.limits import http_server_factory
from handlers.metrics.endpoint import serve_metrics

logger = logging.getLogger("chatio")

EXIT_BROKEN = 1
EXIT_INVALID = 2
STDIN, STDOUT, STDERR = range(3)
ROOT = Path(__file__).parent
PAGE_FOLDER = Path(__file__).with_name("web")
DEFAULT_ENV_FILE = Path(__file__).with_name(".env")


def main(arguments: Sequence[str] | None = None) -> int:
    _fill_standard_descriptors()
    ignore_terminal_stops()
    options = _options(arguments)
    doubts: list[str] = []
    try:
        from_file = read_env_file(options.env_file, may_be_missing=options.env_file == DEFAULT_ENV_FILE)
        doubts += _doubtful_names(from_file, options.env_file.name)
        settings = load(os.environ, from_file.values, read_file=read_text)
    except InvalidSettings as invalid:
        _print([*invalid.problems, *map(_warning, doubts)], STDERR)
        return EXIT_INVALID
    risks = list(risks_of(settings))
    try:
        if options.check:
            check_stores(settings.database_url, folder=ROOT)
            _print(map(_warning, [*doubts, *risks]), STDERR)
            _print(["The configuration is sound."], STDOUT)
            return 0
        if options.command is not None:
            _print([_maintain(options.command, options.file, settings.database_url)], STDOUT)
            return 0
    except StoreUnusable as problem:
        _print([f"DATABASE_URL: {problem}", *map(_warning, doubts)], STDERR)
        return EXIT_INVALID
    log = log_handler.configure(
        level=settings.log_level, form=settings.log_format, grace_seconds=settings.shutdown_grace_seconds
    )
    for sentence in doubts:
        logger.warning("%s", sentence, extra={"event": "unknown_setting"})
    for sentence in risks:
        logger.warning("%s", sentence, extra={"event": "risky_setting"})
    _log_start(settings)
    _relax_garbage_collection()
    try:
        handed_over = take_descriptors(os.environ)
        asyncio.run(run(_with_secret(settings), take_notifier(os.environ), log, handed_over))
    except CannotListen as reason:
        logger.critical("%s", reason, extra={"event": "cannot_listen"})
        return EXIT_INVALID
    except StoreBroken:
        return EXIT_BROKEN
    except StoreUnusable as reason:
        logger.critical("DATABASE_URL: %s", reason, extra={"event": "store_unusable"})
        return EXIT_INVALID
    return 0


async def run(
    settings: Settings, notifier: SystemdNotifier, log: LogHandler, handed_over: Sequence[int] = ()
) -> None:
    """Serve as `settings` say, or on the descriptors `handed_over`, until a signal.

    Raises `CannotListen`, `StoreUnusable`, and `StoreBroken`.
    """
    asyncio.get_running_loop().set_exception_handler(excepthooks.loop_failed)
    async with opened_stores(settings, ROOT) as stores:
        await _serve(settings, stores, notifier, log, handed_over)
        if stores.broken.is_set():
            raise StoreBroken


async def _serve(
    settings: Settings,
    stores: Stores,
    notifier: SystemdNotifier,
    log: LogHandler,
    handed_over: Sequence[int],
) -> None:
    core = await build_core(settings, stores)
    chat = build_chat(settings, core)
    rest = build_rest(settings, core, chat, page_folder=PAGE_FOLDER)
    watching = [
        asyncio.create_task(each) for each in (core.load.watch(), core.log.watch(), _stop_if_broken(stores))
    ]
    if core.log.is_durable and settings.messages_keep_days is not None:
        watching.append(asyncio.create_task(forget_old_messages(core.log, settings.messages_keep_days)))
    metrics = None
    try:
        if settings.metrics_port is not None:
            collector = build_metrics(core, chat, rest, log)
            metrics = serve_metrics(collector, host=settings.metrics_host, port=settings.metrics_port)
        presence = core.presence
        await serve(
            rest.application,
            host=settings.server_host,
            port=settings.server_port,
            lifecycle=core.lifecycle,
            requests=rest.requests,
            clients=chat.clients,
            grace_seconds=settings.shutdown_grace_seconds,
            http_server=http_server_factory(settings, core.trusted_proxies, chat.server.eio.refused),
            notifier=notifier,
            status=lambda: "serving" if presence is None else f"{len(presence)} people online",
            handed_over=handed_over,
            on_listening=partial(_say_next_steps, settings, log),
        )
    finally:
        if metrics is not None:
            metrics.stop()
        for task in watching:
            task.cancel()
        notifier.close()
        core.hasher.close()


def _maintain(command: str, file: Path, url: str) -> str:
    """Back the database up to `file`, or restore it from there; what was done, in a sentence.

    Raises `StoreUnusable`.
    """
    path = sqlite_file(url, folder=ROOT)
    if path is None:
        raise StoreUnusable(
            "this is for SQLite. For PostgreSQL: pg_dump --format=custom --schema=chatio --file=FILE URL; "
            "docs/operations.md has the way back"
            if url
            else "is not set, so that there is nothing to back up or restore"
        )
    if command == "backup":
        return f"Wrote {file}: {back_up(path, file):,} bytes"
    before = restore(path, file)
    return f"Restored {path.name}" + ("" if before is None else f"; the database from before is {before.name}")


async def _stop_if_broken(stores: Stores) -> None:
    await stores.broken.wait()
    signal.raise_signal(signal.SIGTERM)


def _doubtful_names(from_file: EnvFile, file_name: str) -> list[str]:
    """A sentence for each name that is valid to set, and is probably not what the operator means."""
    in_file = [f"{file_name}: {sentence}" for sentence in (*unknown_names(from_file.values), *from_file.repeated)]
    return in_file + [f"the environment: {sentence}" for sentence in mistaken_names(os.environ)]


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
        extra={
            "event": "starting",
            "version": __version__,
            "python": platform.python_version(),
            "settings": names,
        },
    )


def _say_next_steps(settings: Settings, log: LogHandler, url: str) -> None:
    if os.isatty(STDERR):
        page = f"Open {url}/ to chat. " if settings.serve_page == "on" else ""
        log.say(f"{page}The API's documents are at {url}/docs. Ctrl-C stops the server.")


def _print(lines: Iterable[str], descriptor: int) -> None:
    """Write `lines`. What fails is left: Python's `print` would fail a second time at the exit."""
    text = "".join(f"{line}\n" for line in lines)
    with contextlib.suppress(OSError):
        os.write(descriptor, text.encode("utf-8", "backslashreplace"))


def _fill_standard_descriptors() -> None:
    """Open /dev/null as each standard descriptor that is closed: else a socket takes its number, and the log."""
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _relax_garbage_collection() -> None:
    """Let Python look for cycles less often, and never among objects that are loaded once.

    A connect makes hundreds of objects and few cycles: 0.46 ms of CPU with Python's own thresholds, 0.40 with
    these (medians of four alternating runs of `python -m benchmarks --servers ours --rounds 1 --only connect`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The Chat.io backend")
    parser.add_argument("--version", action="version", version=f"Chat.io {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands, instead of starting the server")
    for name, text in (
        ("backup", "copy the SQLite database to FILE, also while a server uses it"),
        ("restore", "put FILE in the place of the SQLite database, while no server uses it"),
    ):
        commands.add_parser(name, help=text).add_argument("file", metavar="FILE", type=Path)
    parser.add_argument("--check", action="store_true", help="check the configuration, and exit")
    env_help = "file of settings; variables of the environment override it (default: .env beside main.py)"
    parser.add_argument("--env-file", type=Path, default=DEFAULT_ENV_FILE, help=env_help)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
