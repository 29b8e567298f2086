"""A row of the table: a title and a probe, which observes one behaviour of a server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from chatio.realtime import RealtimeOptions
from tests.client.wire import Http, Ws

WAIT_SECONDS = 0.7


class Subject(NamedTuple):
    """A server under observation; `calls`: the arguments of each event `say` that it handled."""

    server: Any
    port: int
    calls: list[tuple[Any, ...]]


class Row(NamedTuple):
    """The probe's result is the row's cell for that server."""

    title: str
    probe: Callable[[Subject], Awaitable[str]]
    options: RealtimeOptions = RealtimeOptions()


async def within(awaitable: Awaitable[Any], otherwise: str) -> str:
    """The result as text, or `otherwise` when there is none in time."""
    try:
        return str(await asyncio.wait_for(awaitable, WAIT_SECONDS))
    except TimeoutError:
        return otherwise
    except (OSError, EOFError):
        return "connection dropped"


async def fate(ws: Ws) -> str:
    """How the server closes a WebSocket, or that it stays open."""

    async def end() -> str:
        code = await ws.closed()
        return "closed" if code is None else f"closed, {code}"

    return await within(end(), "stays open")


async def status(http: Http) -> int:
    return (await http.answer()).status
