"""Starts the server: arguments, settings, logging; then `run`.

python main.py            start the server
python main.py --check    check the configuration; exits 0 or 2
python main.py --version
"""

import signal

if __name__ == "__main__":
    # Ctrl-C ends the process without a traceback while the rest is loaded; later the server shuts down gracefully.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import asyncio
import gc
import logging
import os
import platform
import secrets
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from chatio import __version__
from chatio.config.env_file import read_env_file
from chatio.config.loader import InvalidSettings, load, unknown_names
from chatio.config.settings import Settings, changed
from chatio.server.listen import CannotListen
from chatio.server.serve import serve
from chatio.server.systemd import SystemdNotifier, take_descriptors, take_notifier
from chatio.telemetry import excepthooks, log_handler
from chatio.telemetry.counters import LabelledCounter
from handlers.application import build_chat, build_core, build_metrics, build_rest
from handlers.limits import http_server_factory
from handlers.metrics.endpoint import serve_metrics

logger = logging.getLogger("chatio")

EXIT_INVALID = 2
PAGE_FOLDER = Path(__file__).with_name("web")
DEFAULT_ENV_FILE = Path(__file__).with_name(".env")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        from_file = read_env_file(options.env_file, may_be_missing=options.env_file == DEFAULT_ENV_FILE)
        settings = load(os.environ, from_file, read_file=_read_text)
    except InvalidSettings as invalid:
        for problem in invalid.problems:
            print(problem, file=sys.stderr)
        return EXIT_INVALID
    log = log_handler.configure(level=settings.log_level, form=settings.log_format)
    for sentence in unknown_names(from_file):
        logger.warning("%s: %s", options.env_file.name, sentence, extra={"event": "unknown_setting"})
    if options.check:
        print("The configuration is sound.")
        return 0
    _log_start(settings)
    _relax_garbage_collection()
    try:
        handed_over = take_descriptors(os.environ)
        asyncio.run(run(_with_secret(settings), take_notifier(os.environ), log.errors, handed_over))
    except CannotListen as reason:
        logger.critical("%s", reason, extra={"event": "cannot_listen"})
        return EXIT_INVALID
    return 0


async def run(
    settings: Settings, notifier: SystemdNotifier, errors: LabelledCounter[str], handed_over: Sequence[int] = ()
) -> None:
    """Serve as `settings` say, or on the descriptors `handed_over`, until a signal. Raises `CannotListen`."""
    asyncio.get_running_loop().set_exception_handler(excepthooks.loop_failed)
    core = build_core(settings)
    chat = build_chat(settings, core)
    rest = build_rest(settings, core, chat, page_folder=PAGE_FOLDER)
    watching = asyncio.create_task(core.load.watch())
    metrics = None
    try:
        if settings.metrics_port is not None:
            collector = build_metrics(core, chat, rest, errors)
            metrics = serve_metrics(collector, host=settings.metrics_host, port=settings.metrics_port)
        presence = core.presence
        await serve(
            rest.application,
            host=settings.server_host,
            port=settings.server_port,
            lifecycle=core.lifecycle,
            requests=rest.requests,
            clients=chat.server,
            grace_seconds=settings.shutdown_grace_seconds,
            http_server=http_server_factory(settings, core.trusted_proxies, chat.server.eio, core.origins),
            notifier=notifier,
            status=lambda: "serving" if presence is None else f"{len(presence)} people online",
            handed_over=handed_over,
            on_listening=partial(_print_next_steps, settings),
        )
    finally:
        if metrics is not None:
            metrics.stop()
        watching.cancel()
        notifier.close()
        core.hasher.close()


def _read_text(path: str) -> str:
    """Raises OSError, or ValueError for a file that is not text."""
    return Path(path).read_text(encoding="utf-8-sig")


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


def _print_next_steps(settings: Settings, url: str) -> None:
    if sys.stdout.isatty():
        page = f"Open {url}/ to chat. " if settings.serve_page == "on" else ""
        print(f"{page}The API's documents are at {url}/docs. Ctrl-C stops the server.", flush=True)


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
    parser.add_argument("--check", action="store_true", help="check the configuration, and exit")
    env_help = "file of settings; variables of the environment override it (default: .env beside main.py)"
    parser.add_argument("--env-file", type=Path, default=DEFAULT_ENV_FILE, help=env_help)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
