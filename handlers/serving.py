"""Serving: everything that runs from the start to the signal."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from chatio.chat.retention import forget_old_messages
from chatio.cluster.cluster import Cluster
from chatio.config.settings import Settings
from chatio.errors import Temporary, answer_to
from chatio.server.admin_socket import AdminSocket, open_admin_socket
from chatio.server.serve import serve
from chatio.server.systemd import SystemdNotifier
from chatio.stores.errors import StoreUnusable
from chatio.stores.opening import Stores
from chatio.telemetry.log_handler import LogHandler
from chatio.telemetry.streams import STDERR
from handlers.application import build_chat, build_metrics, build_rest
from handlers.commands import admin_socket_path, execute
from handlers.core import Core, build_core
from handlers.limits import http_server_factory
from handlers.metrics.endpoint import serve_metrics


async def serve_chat(
    settings: Settings,
    stores: Stores,
    notifier: SystemdNotifier,
    log: LogHandler,
    handed_over: Sequence[int],
    *,
    folder: Path,
    end_within: Callable[[float], None],
) -> None:
    """Serve the chat of `stores` until a signal, or until they are broken. `folder`: that of main.py.

    `end_within`: see `ExitDeadline`.

    Raises `CannotListen` and `StoreUnusable`.
    """
    core = await build_core(settings, stores)
    chat = build_chat(settings, core)
    rest = build_rest(settings, core, chat, page_folder=folder / "web")
    watched = (
        *(core.load.watch(), core.log.watch(), core.throttle_saver.watch(), core.enforcement.watch()),
        _stop_if_broken(stores),
    )
    watching = [asyncio.create_task(each) for each in watched]
    if core.log.is_durable and settings.messages_keep_days is not None:
        watching.append(asyncio.create_task(forget_old_messages(core.log, settings.messages_keep_days)))
    metrics, commands = None, await _take_commands(settings, core, folder)
    try:
        if core.cluster is not None:
            await _start(core.cluster)
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
            http_server=http_server_factory(
                settings, core.trusted_proxies, chat.endpoint, core.origins, rest.turns
            ),
            notifier=notifier,
            status=lambda: "serving" if presence is None else f"{len(presence)} people online",
            is_stalled=lambda: chat.namespace.fanout.is_stalled,
            handed_over=handed_over,
            end_within=end_within,
            on_listening=partial(_say_next_steps, settings, log),
        )
    finally:
        if metrics is not None:
            metrics.stop()
        if commands is not None:
            commands.close()
        for task in watching:
            task.cancel()
        if core.cluster is not None:
            await core.cluster.stop()
        notifier.close()
        core.hasher.close()
        await core.throttle_saver.save_last()


async def _start(cluster: Cluster) -> None:
    try:
        await cluster.start()
    except Temporary as error:
        raise StoreUnusable(answer_to(error).message) from None


async def _take_commands(settings: Settings, core: Core, folder: Path) -> AdminSocket | None:
    path = admin_socket_path(settings, folder)
    if path is None:
        return None
    admin_socket = open_admin_socket(path, partial(execute, core.operator))
    if admin_socket is not None:
        await admin_socket.start()
    return admin_socket


async def _stop_if_broken(stores: Stores) -> None:
    await stores.broken.wait()
    signal.raise_signal(signal.SIGTERM)


def _say_next_steps(settings: Settings, log: LogHandler, url: str) -> None:
    if os.isatty(STDERR):
        page = f"Open {url}/ to chat. " if settings.serve_page == "on" else ""
        log.say(f"{page}The API's documents are at {url}/docs. Ctrl-C stops the server.")


def relax_garbage_collection() -> None:
    """Let Python look for cycles less often, and never among objects that are loaded once.

    A connect makes hundreds of objects and few cycles: 0.46 ms of CPU with Python's own thresholds, 0.40 with
    these (medians of four alternating runs of `python -m benchmarks --servers ours --rounds 1 --only connect`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
