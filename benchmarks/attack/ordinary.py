"""Ten users with official clients, and the delays and losses that they notice."""

import statistics
import time
from typing import NamedTuple

from tests.system.js import JsClients
from tests.system.server import ServerProcess, await_until
from tests.system.test_chat import TRANSPORTS

PEOPLE = 10
EVERY_MS = 500.0


class Heard(NamedTuple):
    """Deliveries of one stretch of time, and their delays."""

    deliveries: int
    p50_ms: float
    p99_ms: float


class Ordinary:
    """Ten users, each with an address of their own (the server must trust 127.0.0.1 as a proxy)."""

    def __init__(self, server: ServerProcess, js: JsClients) -> None:
        self._js = js
        self.names = [f"person {number}" for number in range(PEOPLE)]
        for number, name in enumerate(self.names):
            address = {"X-Forwarded-For": f"203.0.113.{number + 1}"}
            token = server.sign_up(name.replace(" ", ""), address)
            transports = TRANSPORTS[number % len(TRANSPORTS)]
            js.join(name, server.url, token, transports=transports, extraHeaders=address)

    def begin(self) -> None:
        for name in self.names:
            self._js.chat(name, EVERY_MS)

    def forget_times(self) -> None:
        for name in self.names:
            self._js.heard(name)

    def times(self) -> Heard:
        """The deliveries since the last call."""
        late = [ms for name in self.names for ms in self._js.heard(name)["lateMs"]]
        percentiles = statistics.quantiles(late, n=100)
        return Heard(len(late), percentiles[49], percentiles[98])

    def end(self) -> int:
        """Stop, and check that no user lost a message. Returns the number of messages."""
        for name in self.names:
            self._js.hush(name)
        time.sleep(EVERY_MS / 1000)  # a timer that had fired already
        reports = {name: self._js.heard(name) for name in self.names}
        sent: int = sum(report["sent"] for report in reports.values())
        for name in self.names:
            await_until(lambda name=name: len(self._js.heard(name)["heard"]) >= sent, f"{name} hears all {sent}")
        reports = {name: self._js.heard(name) for name in self.names}
        order = reports[self.names[0]]["heard"]
        assert len(set(order)) == len(order) == sent
        for name, report in reports.items():
            assert report["heard"] == order, f"{name} heard another order"
            assert len(report["acked"]) == report["sent"], f"{name} was refused a message"
            assert report["losses"] == 0, f"{name} lost the connection"
        return sent
