"""Behaviour of plain python-socketio on Tornado and of the seam side by side, as one Markdown table.

    python -m benchmarks.findings

Each row is one probe, run against a fresh server of either kind on a real port; plain python-socketio has the
HTTP options of Tornado. The probes only observe; the tests in tests/integration/realtime assert.
"""

import asyncio
import logging
from typing import Any

import socketio

from benchmarks.findings import connections, engine_io, socket_io
from benchmarks.findings.probe import Row, Subject
from chatio.realtime import RealtimeOptions, create_server
from chatio.server.serve import HTTP_SERVER_OPTIONS
from tests.client.wire import Closed, serving

PROBE_SECONDS = 10
ROWS = (*engine_io.ROWS, *socket_io.ROWS, *connections.ROWS)


def make(kind: str, options: RealtimeOptions) -> tuple[Any, Any]:
    """A server and its handler class."""
    if kind == "seam":
        return create_server(options)
    server = socketio.AsyncServer(
        async_mode="tornado",
        async_handlers=False,
        ping_interval=options.ping_interval,
        ping_timeout=options.ping_timeout,
    )
    return server, socketio.get_tornado_handler(server)


async def observe(kind: str, row: Row) -> str:
    """The row's cell for a server of that kind."""
    server, handler = make(kind, row.options)
    calls: list[tuple[Any, ...]] = []
    server.on("connect", lambda sid, environ, auth: None, namespace="/chat")
    server.on("say", lambda *args: calls.append(args), namespace="/chat")
    server.on("echo", lambda sid, *args: args, namespace="/chat")
    http_options = HTTP_SERVER_OPTIONS if kind == "seam" else {}
    async with serving(handler, http_options=http_options) as port:
        try:
            return await asyncio.wait_for(row.probe(Subject(server, port, calls)), PROBE_SECONDS)
        except (TimeoutError, Closed) as end:
            return f"({type(end).__name__})"


def main() -> None:
    logging.disable(logging.CRITICAL)
    print("| what is sent | python-socketio as it comes | the seam |\n| --- | --- | --- |")
    for row in ROWS:
        cells = [asyncio.run(observe(kind, row)) for kind in ("stock", "seam")]
        print("| " + " | ".join([row.title, *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()
