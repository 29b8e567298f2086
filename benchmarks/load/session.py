"""One visit to one server: connects clients and measures what each step asks for."""

import statistics
import time
from dataclasses import dataclass, field

from benchmarks.load.connecting import connect_wave, waves
from benchmarks.load.logins import Logins
from benchmarks.load.swarm import Client, LostError, Swarm
from benchmarks.plan import Step
from benchmarks.procfs import cpu_seconds, memory_kib

_DRAIN_SECONDS = 60.0  # for what is under way when a step ends; far more than any server here needs
_WARM_UP_SECONDS = 1.0  # of traffic before the first measurement, which lets V8 compile
_WARM_UP_CLIENTS = 20
_WATCHED = 20
_SETTLE_SECONDS = 5.0

Figures = dict[str, float]


@dataclass
class Meter:
    """What passes between its making and `figures()`: deliveries, and both processes' CPU."""

    swarm: Swarm
    pid: int
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.swarm.times.clear()
        self.swarm.ack_times.clear()
        self._before = self.swarm.deliveries, cpu_seconds(self.pid), time.process_time()

    def figures(self) -> Figures:
        seconds = time.perf_counter() - self.started
        deliveries, server, load = self._before
        count = self.swarm.deliveries - deliveries
        server, load = cpu_seconds(self.pid) - server, time.process_time() - load
        percentiles = statistics.quantiles(self.swarm.ack_times or self.swarm.times, n=100)
        return {
            "deliveries": count,
            "rate": count / seconds,
            "cpu_us": server / count * 1e6,
            "server_busy": server / seconds,
            "load_us": load / count * 1e6,
            "load_busy": load / seconds,
            "p50_ms": percentiles[49] * 1e3,
            "p99_ms": percentiles[98] * 1e3,
        }


class Session:
    """Runs the steps of a visit in order against the server `pid` at 127.0.0.1:`port`."""

    def __init__(self, port: int, pid: int, secret: str, upgraded: bool) -> None:
        self._port, self._pid, self._secret, self._upgraded = port, pid, secret, upgraded
        self._swarm = Swarm()
        self._warm = False
        self._base: tuple[int, int] | None = None  # clients and KiB before the first idle step

    def run(self, step: Step) -> Figures:
        """Run one step. Raises LostError if a client was lost, or a message did not reach all within a minute."""
        if step.action == "idle":
            return self._idle(step)
        self._connect(step.clients)
        if not self._warm:
            self._closed_loop(self._watch(1), _WARM_UP_SECONDS)
            self._warm = True
        senders = self._watch(step.senders)
        logins = Logins(self._port, step.logins, step.seconds) if step.logins else None
        meter = Meter(self._swarm, self._pid)
        if step.action == "closed":
            self._closed_loop(senders, step.seconds)
        else:
            self._paced(senders, step.rate, step.seconds, acked=step.action == "acked")
        return meter.figures() | (logins.figures() if logins else {})

    def _connect(self, clients: int) -> None:
        for numbers in waves(range(len(self._swarm.clients), clients)):
            for client in connect_wave(self._port, self._secret, numbers, self._upgraded):
                self._swarm.add(client)
            self._swarm.sweep()  # the pings of those that are there already

    def _idle(self, step: Step) -> Figures:
        self._connect(_WARM_UP_CLIENTS)
        memory, before = self._settle(), len(self._swarm.clients)
        first, base = self._base = self._base or (before, memory)
        started, server, load = time.perf_counter(), cpu_seconds(self._pid), time.process_time()
        self._connect(step.clients)
        seconds, added = time.perf_counter() - started, step.clients - before
        return {
            "connect_cpu_ms": (cpu_seconds(self._pid) - server) / added * 1e3,
            "connect_load_ms": (time.process_time() - load) / added * 1e3,
            "connects_per_second": added / seconds,
            "connection_kib": (self._settle() - base) / (step.clients - first),
        }

    def _settle(self) -> int:
        """The server's memory in KiB once it has stayed the same for half a second, or after five."""
        until, memory = time.perf_counter() + _SETTLE_SECONDS, -1
        while time.perf_counter() < until:
            self._serve_until(time.perf_counter() + 0.5)
            memory, last = memory_kib(self._pid), memory
            if memory == last:
                break
        return memory

    def _watch(self, senders: int) -> list[Client]:
        """Watch clients evenly spread, as many as delivery times need; returns the senders among them."""
        watched = _spread(self._swarm.clients, max(senders, _WATCHED))
        self._swarm.watch(watched)
        return _spread(watched, senders)

    def _closed_loop(self, senders: list[Client], seconds: float) -> None:
        swarm = self._swarm
        until = time.perf_counter() + seconds
        first, deliveries = len(swarm.sent_at), swarm.deliveries
        waiting = {swarm.send(client): client for client in senders}

        def send_next(client: Client, sequence: int, _: float) -> None:
            if waiting.get(sequence) is client:
                del waiting[sequence]
                if time.perf_counter() < until:
                    waiting[swarm.send(client)] = client

        swarm.on_seen = send_next
        self._serve_until(until)
        self._drain(first, deliveries)

    def _paced(self, senders: list[Client], rate: float, seconds: float, *, acked: bool) -> None:
        swarm = self._swarm
        first, deliveries = len(swarm.sent_at), swarm.deliveries
        started = time.perf_counter()
        swarm.on_seen = lambda client, sequence, seconds: None
        for number in range(int(rate * seconds)):
            self._serve_until(started + number / rate)
            swarm.send(senders[number % len(senders)], acked=acked)
        self._drain(first, deliveries)
        while acked and len(swarm.ack_times) < len(swarm.sent_at) - first:  # each follows its message
            swarm.serve(0.001, sweep=True)

    def _serve_until(self, moment: float) -> None:
        while (left := moment - time.perf_counter()) > 0:
            self._swarm.serve(left)

    def _drain(self, first: int, deliveries: int) -> None:
        swarm = self._swarm
        until = time.perf_counter() + _DRAIN_SECONDS
        due = deliveries + (len(swarm.sent_at) - first) * len(swarm.clients)
        while swarm.deliveries < due and time.perf_counter() < until:
            swarm.serve(0.001, sweep=True)
        if swarm.deliveries != due:
            raise LostError(f"{swarm.deliveries - deliveries} deliveries where {due - deliveries} were due")


def _spread(clients: list[Client], count: int) -> list[Client]:
    """`count` of them (all, if they are fewer) at even distances, ending with the last."""
    count = min(count, len(clients))
    return [clients[len(clients) * (number + 1) // count - 1] for number in range(count)]
