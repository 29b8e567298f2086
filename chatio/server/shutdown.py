"""Graceful shutdown in a bounded time: answers requests, disconnects clients. The promise: docs/leaving.md."""

import asyncio
import contextlib
import logging
import math
from typing import Final, Protocol

from tornado.httpserver import HTTPServer

from chatio.server.in_flight import InFlightRequests
from chatio.server.lifecycle import Lifecycle

logger = logging.getLogger("chatio")

# Part of the grace that is kept for the time after the last client: running hashes are waited for, tasks are
# cancelled, and Python takes its time to end. Seconds, and the share of a short grace.
EXIT_SECONDS: Final = 1.0
EXIT_SHARE: Final = 0.15
CLOSE_SECONDS: Final = 0.3
CLOSE_SHARE: Final = 0.05
# A connection that was accepted just before the port was closed has this long to bring its request.
FIRST_REQUEST_SECONDS: Final = 0.5


class Clients(Protocol):
    """The clients that are connected to the chat."""

    @property
    def connections(self) -> int: ...
    async def shut_down(self, seconds: float, handover: "Handover | None" = None) -> None:
        """Close every connection within `seconds`. With a `handover` new connections are still served."""


class Handover:
    """Handing the port of `server` over to another process, while `requests` are answered. Event loop only."""

    def __init__(self, server: HTTPServer, requests: InFlightRequests) -> None:
        self._server, self._requests = server, requests
        self._requests_until = math.inf

    def close_port(self) -> None:
        """Accept no connection any more: no client needs a new one to be served to the end."""
        self._server.stop()
        self._requests_until = asyncio.get_running_loop().time() + FIRST_REQUEST_SECONDS

    def may_bring_clients(self) -> bool:
        """Whether a client may still connect to the chat, over a connection that was open when the port closed."""
        may_ask = self._server._connections and asyncio.get_running_loop().time() < self._requests_until
        return bool(may_ask) or not self._requests.is_idle


async def shut_down(
    server: HTTPServer,
    *,
    lifecycle: Lifecycle,
    requests: InFlightRequests,
    clients: Clients,
    grace_seconds: float,
    at_once: asyncio.Event,
    port_is_shared: bool = False,
) -> None:
    """Return when no client is connected any more, or `at_once`, so that the process ends within `grace_seconds`.

    Drain: meanwhile the port stays open, and new requests are answered 503.

    With `port_is_shared` another process accepts on the port too (systemd's socket activation), and no request is
    refused: polling clients are disconnected first, and then the port is closed. New connections then wait for the
    next process; requests on connections that were open by then are served.
    """
    if port_is_shared:
        lifecycle.hand_over()
    else:
        lifecycle.drain()
    _log_draining(clients.connections, grace_seconds)
    seconds = grace_seconds - min(EXIT_SECONDS, grace_seconds * EXIT_SHARE)
    close_seconds = min(CLOSE_SECONDS, seconds * CLOSE_SHARE)
    handover = Handover(server, requests) if port_is_shared else None
    draining = asyncio.create_task(_drain(requests, clients, seconds - close_seconds, handover))
    if not await _is_done_before(at_once, draining):
        _log_cut_off(requests, clients)
        draining.cancel()
        await asyncio.wait({draining})
    server.stop()
    with contextlib.suppress(TimeoutError):  # a connection that does not close in time ends with the process
        await asyncio.wait_for(server.close_all_connections(), close_seconds)
    if not draining.cancelled():
        draining.result()
    logger.info("Stopped", extra={"event": "stopped"})


async def _is_done_before(event: asyncio.Event, task: "asyncio.Task[None]") -> bool:
    """Wait for `task`, but no longer than until `event`."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return task.done()


async def _drain(requests: InFlightRequests, clients: Clients, seconds: float, handover: Handover | None) -> None:
    if handover is None:
        all_answered, _ = await asyncio.gather(requests.finish(seconds), clients.shut_down(seconds))
    else:
        requests.start_body_timeouts()
        await clients.shut_down(seconds, handover)
        all_answered = await requests.finish(0)
    if not all_answered:
        logger.warning(
            "Some requests did not finish within %g seconds",
            seconds,
            extra={"event": "requests_given_up", "seconds": seconds},
        )


def _log_cut_off(requests: InFlightRequests, clients: Clients) -> None:
    logger.info(
        "Stopping at once: %d connections and %d requests are cut off",
        clients.connections,
        len(requests),
        extra={"event": "cut_off", "connections": clients.connections, "requests": len(requests)},
    )


def _log_draining(count: int, grace_seconds: float) -> None:
    logger.info(
        "Draining: %d connections are closed within %g seconds",
        count,
        grace_seconds,
        extra={"event": "stopping", "connections": count, "grace_seconds": grace_seconds},
    )
