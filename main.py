"""Puts the server together: settings, then the registry and the log, then the doors, then serves.

python main.py            start the server
python main.py --check    say whether the configuration is sound; exits 0 or 2
python main.py --version
"""

import signal

if __name__ == "__main__":
    # Ctrl-C ends it without a traceback also while the rest is loaded; the server, once there, leaves by itself.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import asyncio
import gc
import logging
import os
import platform
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from chatio import __version__
from chatio.accounts.passwords import PasswordHasher
from chatio.accounts.tokens import Tokens
from chatio.accounts.users import UserRegistry
from chatio.chat.message_log import MessageLog
from chatio.chat.presence import Presence
from chatio.config.env_file import read_env_file
from chatio.config.loader import InvalidSettings, load, unknown_names
from chatio.config.settings import Settings, changed
from chatio.realtime import LoadShedding, create_server
from chatio.server.in_flight import InFlightRequests
from chatio.server.listen import CannotListen, take_descriptors
from chatio.server.serve import serve
from chatio.server.systemd import SystemdNotifier, take_notifier
from chatio.stores.memory import MemoryUserStore
from chatio.telemetry import excepthooks, log_handler
from chatio.telemetry.counters import LabelledCounter
from chatio.throttling.load_shedding import LoopLagMonitor
from handlers import bounds
from handlers.chat.namespace import NAMESPACE, ChatNamespace
from handlers.chat.session_expiry import SessionExpiry
from handlers.client import Callers, PasswordThrottle, RegistrationThrottle
from handlers.cors import Cors, socket_origins
from handlers.docs.asyncapi import asyncapi_document
from handlers.metrics.collector import MetricsCollector
from handlers.metrics.endpoint import serve_metrics
from handlers.metrics.requests import RequestMetrics
from handlers.rest.page import read_page
from handlers.routes import make_application

logger = logging.getLogger("chatio")

EXIT_UNSOUND = 2
PAGE_FOLDER = Path(__file__).with_name("web")
DEFAULT_ENV_FILE = Path(__file__).with_name(".env")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        from_file = read_env_file(options.env_file, may_be_missing=options.env_file == DEFAULT_ENV_FILE)
        settings = load(os.environ, from_file, read_file=_text_of)
    except InvalidSettings as invalid:
        for problem in invalid.problems:
            print(problem, file=sys.stderr)
        return EXIT_UNSOUND
    lines = log_handler.configure(level=settings.log_level, form=settings.log_format)
    for sentence in unknown_names(from_file):
        logger.warning("%s: %s", options.env_file.name, sentence, extra={"event": "unknown_setting"})
    if options.check:
        print("The configuration is sound.")
        return 0
    _tell_start(settings)
    _ease_the_collector()
    try:
        handed_over = take_descriptors(os.environ)
        asyncio.run(run(_with_secret(settings), take_notifier(os.environ), lines.errors, handed_over))
    except CannotListen as reason:
        logger.critical("%s", reason, extra={"event": "cannot_listen"})
        return EXIT_UNSOUND
    return 0


async def run(
    settings: Settings, supervisor: SystemdNotifier, errors: LabelledCounter[str], handed_over: Sequence[int] = ()
) -> None:
    """Build the server from `settings` and serve until a signal. Raises `CannotListen`.

    It listens on the descriptors `handed_over`, if any, and tells `supervisor` how it is. `errors`: what the log
    counts, for the metrics.
    """
    asyncio.get_running_loop().set_exception_handler(excepthooks.loop_failed)
    hasher = PasswordHasher(max_waiting=settings.hash_queue_max)
    registry = UserRegistry(MemoryUserStore(), hasher)
    tokens = Tokens(
        settings.jwt_secret_key,
        previous_key=settings.jwt_secret_key_previous,
        ttl_seconds=settings.jwt_ttl_seconds,
    )
    log = MessageLog(max_messages=settings.log_max_messages, max_bytes=settings.log_max_bytes)
    presence = Presence() if settings.presence == "on" else None
    page = read_page(PAGE_FOLDER) if settings.serve_page == "on" else None
    overload = LoopLagMonitor(settings.overload_lag_seconds)
    realtime, socket_handler = create_server(
        cors_allowed_origins=socket_origins(settings.origins, serves_page=page is not None),
        async_handlers=False,  # a client's messages are handled in the order in which it sent them
        namespaces=[NAMESPACE],  # without it "/" is served too, to anybody and for ever
        trusted_proxies=map(str, settings.proxies),
        ping_interval=settings.ping_interval_seconds,
        ping_timeout=settings.ping_timeout_seconds,
        **bounds.of_connections(settings, LoadShedding(overload.retry_after_seconds)),
    )
    membership = SessionExpiry(realtime, NAMESPACE, tokens)
    chat = ChatNamespace(
        realtime,
        membership=membership,
        log=log,
        presence=presence,
        turns=bounds.of_the_chat(settings),
        message_max_chars=settings.message_max_chars,
        history_on_connect=settings.history_on_connect,
        slow_client_seconds=settings.slow_client_seconds,
        max_connections_per_person=bounds.of_pages(settings),
    )
    callers = Callers(map(str, settings.proxies))
    requests = InFlightRequests(callers, newcomers_wait=overload.retry_after_seconds)
    outcomes = RequestMetrics()
    application = make_application(
        cors=Cors(settings.origins),
        requests=requests,
        registry=registry,
        tokens=tokens,
        log=log,
        presence=presence,
        asyncapi=asyncapi_document(
            namespace=NAMESPACE,
            message_max_chars=settings.message_max_chars,
            has_presence=presence is not None,
        ),
        page=page,
        end_sockets=membership.end_revoked,
        password_throttle=PasswordThrottle(callers, bounds.of_sign_ins(settings)),
        registration_throttle=RegistrationThrottle(callers, bounds.of_registrations(settings)),
        socket_handler=socket_handler,
        outcomes=outcomes,
        readiness={
            "stopping": lambda: realtime.is_leaving,
            "overloaded": lambda: overload.is_on,
            "full": lambda: realtime.eio.crowd.is_full,
        },
    )
    measures = MetricsCollector(
        engine=realtime.eio,
        chat=chat,
        log=log,
        hasher=hasher,
        overload=overload,
        outcomes=outcomes,
        errors=errors,
    )
    watching = asyncio.create_task(overload.watch())
    metrics = None
    try:
        if settings.metrics_port is not None:
            metrics = serve_metrics(measures, host=settings.metrics_host, port=settings.metrics_port)
        await serve(
            application,
            host=settings.server_host,
            port=settings.server_port,
            requests=requests,
            clients=realtime,
            grace_seconds=settings.shutdown_grace_seconds,
            http_server=bounds.of_tcp(settings, realtime.eio.refused),
            supervisor=supervisor,
            status=_status_of(presence),
            handed_over=handed_over,
        )
    finally:
        if metrics is not None:
            metrics.stop()
        watching.cancel()
        supervisor.close()
        hasher.close()


def _text_of(path: str) -> str:
    """Raises OSError, or ValueError for what is no text."""
    return Path(path).read_text(encoding="utf-8-sig")


def _status_of(presence: Presence | None) -> Callable[[], str]:
    if presence is None:
        return lambda: "serving"
    return lambda: f"{len(presence)} people online"


def _with_secret(settings: Settings) -> Settings:
    if settings.jwt_secret_key:
        return settings
    logger.warning(
        "JWT_SECRET_KEY is not set: a key was made for this run, and everybody is signed out when it ends",
        extra={"event": "key_made"},
    )
    return msgspec.structs.replace(settings, jwt_secret_key=secrets.token_urlsafe(48))


def _tell_start(settings: Settings) -> None:
    names = changed(settings)
    logger.info(
        "Chat.io %s starts on Python %s; set otherwise than by default: %s",
        __version__,
        platform.python_version(),
        ", ".join(names) or "nothing",
        extra={
            "event": "starting",
            "version": __version__,
            "python": platform.python_version(),
            "settings": names,
        },
    )


def _ease_the_collector() -> None:
    """Let Python look for cycles less often, and never at what is loaded once.

    A connect makes hundreds of objects and few cycles: 0.46 ms of CPU with Python's own thresholds, 0.40 with
    these (medians of four runs in turn of `python -m benchmarks --servers ours --rounds 1 --only connect`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The Chat.io backend")
    parser.add_argument("--version", action="version", version=f"Chat.io {__version__}")
    parser.add_argument("--check", action="store_true", help="say whether the configuration is sound, and exit")
    parser.add_argument(
        "--env-file",
        type=Path,
        default=DEFAULT_ENV_FILE,
        help="file of settings; what the environment sets goes before it (default: .env beside main.py)",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
