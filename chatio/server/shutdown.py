"""Stop serving without hurting who is connected, in a bounded time. What is promised: docs/leaving.md."""

import asyncio
import contextlib
import logging
import math
from typing import Final, Protocol

from tornado.httpserver import HTTPServer

from chatio.server.in_flight import InFlightRequests

logger = logging.getLogger("chatio")

# Of the grace, for what comes after the last client: hashes that run are waited for, tasks cancelled, and Python
# takes its time to end. Seconds, and the share of a short grace.
EXIT_SECONDS: Final = 1.0
EXIT_SHARE: Final = 0.15
CLOSE_SECONDS: Final = 0.3
CLOSE_SHARE: Final = 0.05
# Who was accepted just before the port was closed has so long to say what for: its request is on the way.
FIRST_REQUEST_SECONDS: Final = 0.5


class Clients(Protocol):
    """Who is connected to the chat."""

    @property
    def connections(self) -> int: ...
    async def leave(self, seconds: float, handover: "Handover | None" = None) -> None:
        """Take nobody new, and let everybody go within `seconds`. With a `handover` nobody is refused."""


class Handover:
    """Of the port of `server` to another process, while `requests` are answered to the end. Event loop only."""

    def __init__(self, server: HTTPServer, requests: InFlightRequests) -> None:
        self._server, self._requests = server, requests
        self._asks_until = math.inf

    def close_port(self) -> None:
        """To be called as soon as nobody needs a new connection to be served to the end."""
        self._server.stop()
        self._asks_until = asyncio.get_running_loop().time() + FIRST_REQUEST_SECONDS

    def may_bring_somebody(self) -> bool:
        """Whether a connection that was open by then may still ask for something: who does is to be welcomed."""
        is_asked = self._server._connections and asyncio.get_running_loop().time() < self._asks_until
        return bool(is_asked) or not self._requests.is_idle


async def leave(
    server: HTTPServer,
    *,
    requests: InFlightRequests,
    clients: Clients,
    grace_seconds: float,
    at_once: asyncio.Event,
    keeps_answering: bool = True,
) -> None:
    """Return when nobody is connected any more, early enough for the process to end within `grace_seconds`.

    Meanwhile the port stays open, and who comes is answered 503. With `keeps_answering=False` somebody else has it
    too (systemd's socket activation), and nobody is refused: those who poll are let go first, and then the port is
    closed. Who comes waits for the next process; who asks on a connection that was open by then is served.
    `at_once` cuts it short.
    """
    logger.info(
        "Stopping: %d connections are let go within %g seconds",
        clients.connections,
        grace_seconds,
        extra={"event": "stopping", "connections": clients.connections, "grace_seconds": grace_seconds},
    )
    seconds = grace_seconds - min(EXIT_SECONDS, grace_seconds * EXIT_SHARE)
    close_seconds = min(CLOSE_SECONDS, seconds * CLOSE_SHARE)
    parting = asyncio.create_task(
        _part(requests, clients, seconds - close_seconds, None if keeps_answering else server)
    )
    hurrying = asyncio.create_task(at_once.wait())
    await asyncio.wait({parting, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    hurrying.cancel()
    if not parting.done():
        _tell_what_is_cut_off(requests, clients)
        parting.cancel()
    await asyncio.wait({parting, hurrying})
    server.stop()
    with contextlib.suppress(TimeoutError):  # what does not close in time ends with the process
        await asyncio.wait_for(server.close_all_connections(), close_seconds)
    if not parting.cancelled():
        parting.result()
    logger.info("Stopped", extra={"event": "stopped"})


async def _part(requests: InFlightRequests, clients: Clients, seconds: float, server: HTTPServer | None) -> None:
    """`server`: whose port is closed meanwhile, if it is."""
    if server is None:
        all_answered, _ = await asyncio.gather(requests.finish(seconds), clients.leave(seconds))
    else:
        all_answered = await _part_from_port(requests, clients, seconds, server)
    if not all_answered:
        logger.warning(
            "Some requests did not finish within %g seconds",
            seconds,
            extra={"event": "requests_given_up", "seconds": seconds},
        )


async def _part_from_port(
    requests: InFlightRequests, clients: Clients, seconds: float, server: HTTPServer
) -> bool:
    """True if every request was answered."""
    requests.hand_over()
    await clients.leave(seconds, Handover(server, requests))
    return await requests.finish(0)


def _tell_what_is_cut_off(requests: InFlightRequests, clients: Clients) -> None:
    logger.info(
        "Leaving at once: %d connections and %d requests are cut off",
        clients.connections,
        len(requests),
        extra={"event": "cut_off", "connections": clients.connections, "requests": len(requests)},
    )
