"""The server, which counts for its metrics in every other period of 50 ms only, from the first one on.

At its end it prints the CPU seconds, deliveries and connects of each period as a JSON list of triples.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from benchmarks.alongside import serve_alongside
from chatio.realtime import EngineServer, Fanout
from chatio.telemetry.counters import Histogram, LabelledCounter
from handlers.metrics.requests import RequestMetrics

PERIOD_SECONDS = 0.05


class AlternatingCounters:
    """Replaces the methods that count for the metrics, and keeps the books of each period itself."""

    def __init__(self) -> None:
        self.periods: list[tuple[float, int, int]] = []
        self._fanouts: list[Fanout] = []
        self._connects = 0
        for kind, name in [(LabelledCounter, "increment"), (Histogram, "observe"), (RequestMetrics, "count")]:
            setattr(kind, name, self._alternating(getattr(kind, name)))
        _call_before(Fanout, "__init__", self._fanouts.append)
        _call_before(EngineServer, "new_connection", self._count_connect)

    async def run(self) -> None:
        """Note what each period cost until cancelled."""
        before = (time.process_time(), 0, 0)
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            now = (time.process_time(), sum(fanout.deliveries for fanout in self._fanouts), self._connects)
            self.periods.append((now[0] - before[0], now[1] - before[1], now[2] - before[2]))
            before = now

    def _alternating(self, count: Callable[..., None]) -> Callable[..., None]:
        def count_in_even_periods(*args: Any) -> None:
            if len(self.periods) % 2 == 0:
                count(*args)

        return count_in_even_periods

    def _count_connect(self, _: EngineServer) -> None:
        self._connects += 1


def _call_before(kind: type, name: str, listener: Callable[[Any], None]) -> None:
    """Call `listener` with the object before each call of its method `name`."""
    method = getattr(kind, name)

    def call_both(self: Any, *args: Any, **kwargs: Any) -> Any:
        listener(self)
        return method(self, *args, **kwargs)

    setattr(kind, name, call_both)


def main() -> None:
    counters = AlternatingCounters()
    serve_alongside(counters.run)
    print(json.dumps(counters.periods), flush=True)


if __name__ == "__main__":
    main()
