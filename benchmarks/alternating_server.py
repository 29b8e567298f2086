"""The server as it is, but that it counts for the metrics in every other turn only; a turn is 50 ms.

On its end it prints, as JSON, the CPU seconds, deliveries and connects of each turn. It counts in the first one.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable
from typing import Any

import main
from chatio.config.loader import load
from chatio.realtime.broadcast.fanout import Fanout
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.server import EngineServer
from chatio.server.systemd import SystemdNotifier
from chatio.telemetry.counters import Histogram, LabelledCounter
from chatio.telemetry.log_handler import ERRORS
from handlers.metrics.requests import RequestMetrics

TURN_SECONDS = 0.05


class Alternating:
    def __init__(self) -> None:
        self.turns: list[tuple[float, int, int]] = []
        self._fanouts: list[Fanout] = []
        self._connects = 0
        for kind, name in [(LabelledCounter, "count"), (Histogram, "add"), (RequestMetrics, "count")]:
            setattr(kind, name, self._in_its_turns(getattr(kind, name)))
        self._watch()

    async def run(self) -> None:
        before = (time.process_time(), 0, 0)
        while True:
            await asyncio.sleep(TURN_SECONDS)
            now = (time.process_time(), sum(fanout.deliveries for fanout in self._fanouts), self._connects)
            self.turns.append((now[0] - before[0], now[1] - before[1], now[2] - before[2]))
            before = now

    def _in_its_turns(self, counts: Callable[..., None]) -> Callable[..., None]:
        def perhaps(*args: Any) -> None:
            if len(self.turns) % 2 == 0:
                counts(*args)

        return perhaps

    def _watch(self) -> None:
        made, connected = Fanout.__init__, EngineServer.new_connection

        def make(fanout: Fanout, *args: Any, **kwargs: Any) -> None:
            made(fanout, *args, **kwargs)
            self._fanouts.append(fanout)

        def connect(engine: EngineServer, address: str) -> Connection:
            self._connects += 1
            return connected(engine, address)

        setattr(Fanout, "__init__", make)  # noqa: B010 - mypy takes no other way
        setattr(EngineServer, "new_connection", connect)  # noqa: B010


async def run() -> None:
    alternating = Alternating()
    turning = asyncio.create_task(alternating.run())
    await main.run(load(os.environ), SystemdNotifier(), LabelledCounter(ERRORS))
    turning.cancel()
    print(json.dumps(alternating.turns), flush=True)


if __name__ == "__main__":
    asyncio.run(run())
