"""What is measured: the scenarios run against freshly started servers, and the table's rows with their goals.

A *step* measures under a label and yields figures named `label.what`. A *scenario* is the steps that one server
process goes through. A *row* compares one figure between servers, or between two figures of this server.
"""

from dataclasses import dataclass, replace
from typing import Literal

OURS, NODE, PLAIN = "ours", "node", "plain"
SERVERS = (OURS, NODE, PLAIN)
# Variants of this server:
BEFORE = "before"  # another checkout of this repository
THROTTLED = "throttled"  # with its rate limits on, each of them too high to be reached
MEASURED = "measured"  # with METRICS_PORT set, and its metrics read every second
SQLITE, POSTGRES = "sqlite", "postgres"  # with accounts and messages there, and not in memory
STORES = (SQLITE, POSTGRES)
VARIANTS = (BEFORE, THROTTLED, MEASURED, *STORES)


ACK_RATES = (50, 500, 2000)  # messages a second


@dataclass(frozen=True)
class Step:
    """One measurement at `clients` connections; the missing connections are opened first.

    closed: each of `senders` clients sends its next message when it has received its last one.
    paced: the senders take turns, and send `rate` messages a second together.
    acked: the same, and times are those from a message to its ack.
    idle: no messages; measured are connecting and the memory afterwards.
    """

    action: Literal["closed", "paced", "acked", "idle"]
    label: str
    clients: int
    senders: int = 1
    seconds: float = 4.0
    rate: float = 20.0
    logins: float = 0.0


@dataclass(frozen=True)
class Scenario:
    name: str
    upgraded: bool  # the clients connect by polling and upgrade
    steps: tuple[Step, ...]
    servers: tuple[str, ...] = SERVERS

    def includes(self, server: str) -> bool:
        return (OURS if server in VARIANTS else server) in self.servers


@dataclass(frozen=True)
class Row:
    """A goal for the ratio of this server's `figure` to its own `baseline` or, without one, to Node's `figure`."""

    name: str
    title: str
    figure: str
    unit: str
    goal: float
    at_least: bool = False
    baseline: str | None = None

    def met(self, ratio: float) -> bool:
        return ratio >= self.goal if self.at_least else ratio <= self.goal


def scenarios(quick: bool, most_clients: int) -> tuple[Scenario, ...]:
    """All scenarios with at most `most_clients` clients, or for `quick` with fewer clients and less time."""
    many = min(10_000, most_clients)
    full = (
        Scenario("websocket", False, (
            Step("closed", "clients_100", 100, seconds=3),
            *_traffic(""),
            Step("closed", "clients_2000", 2_000, seconds=3),
        )),
        Scenario("logins", False, (
            Step("paced", "without_logins", 500, senders=20, seconds=8),
            Step("paced", "during_logins", 500, senders=20, seconds=8, logins=10),
        ), (OURS,)),
        Scenario("idle", False, (
            Step("idle", "idle_2000", 2_000),
            Step("idle", "idle_10000", many),
            Step("closed", "clients_10000", many),
        )),
        Scenario("upgraded", True, _traffic("upgraded_")),
        Scenario("upgraded idle", True, (
            Step("idle", "upgraded_idle_2000", 2_000),
            Step("idle", "upgraded_idle_10000", many),
        )),
    )  # fmt: skip
    return tuple(_small(scenario) for scenario in full) if quick else full


def store_scenarios(quick: bool) -> tuple[Scenario, ...]:
    """What a database costs. Acks at 50 clients: 2,000 messages a second to 500 would be more than a core can."""
    steps = [Step("acked", f"acks_{rate}", 50, senders=20, seconds=6, rate=rate) for rate in ACK_RATES]
    acks = Scenario("acks", False, tuple(steps), (OURS,))
    cpu = Scenario("cpu", False, (Step("closed", "one", 500), Step("closed", "fifty", 500, senders=50)), (OURS,))
    return tuple(_small(scenario) for scenario in (cpu, acks)) if quick else (cpu, acks)


def _traffic(prefix: str) -> tuple[Step, ...]:
    return (
        Step("closed", f"{prefix}one", 500),
        Step("closed", f"{prefix}fifty", 500, senders=50),
        Step("paced", f"{prefix}paced", 500, senders=20, seconds=8),
    )


def _small(scenario: Scenario) -> Scenario:
    return replace(
        scenario,
        steps=tuple(replace(s, clients=max(100, s.clients // 10), seconds=s.seconds / 4) for s in scenario.steps),
    )


def _same_figures(prefix: str, named: str, titled: str) -> tuple[Row, ...]:
    cpu, p99 = "µs CPU a delivery", "ms p99"
    return (
        Row(f"{named}one", f"CPU per delivery, 1 sender{titled}", f"{prefix}one.cpu_us", cpu, 0.6),
        Row(f"{named}fifty", f"CPU per delivery, 50 senders{titled}", f"{prefix}fifty.cpu_us", cpu, 0.06),
        Row(f"{named}rate", f"deliveries per second, 50 senders{titled}", f"{prefix}fifty.rate",
            "a second", 10, at_least=True),
        Row(f"{named}p99-fifty", f"p99 delivery time, 50 senders{titled}", f"{prefix}fifty.p99_ms", p99, 0.1),
        Row(f"{named}p99-paced", f"p99 delivery time, 20 messages/s{titled}",
            f"{prefix}paced.p99_ms", p99, 0.6),
        Row(f"{named}memory-2000", f"memory per idle connection, 2,000{titled}",
            f"{prefix}idle_2000.connection_kib", "KiB", 0.5),
        Row(f"{named}memory-10000", f"memory per idle connection, 10,000{titled}",
            f"{prefix}idle_10000.connection_kib", "KiB", 0.5),
        Row(f"{named}connect", f"CPU per connect with token check{titled}",
            f"{prefix}idle_2000.connect_cpu_ms", "ms CPU", 0.4),
    )  # fmt: skip


ROWS = (
    *_same_figures("", "", ""),
    *_same_figures("upgraded_", "upgraded-", ", by polling and upgrade"),
    Row("logins", "p99 delivery time, 10 log-ins/s, to itself without", "during_logins.p99_ms", "ms p99", 1.5,
        baseline="without_logins.p99_ms"),
    Row("flat", "CPU per delivery at 10,000 clients, to itself at 100", "clients_10000.cpu_us",
        "µs CPU a delivery", 1.2, baseline="clients_100.cpu_us"),
)  # fmt: skip


def only(everything: tuple[Scenario, ...], rows: tuple[Row, ...]) -> tuple[Scenario, ...]:
    """The scenarios cut down to the steps that these rows need."""
    wanted = {figure.partition(".")[0] for row in rows for figure in (row.figure, row.baseline) if figure}
    cut = (replace(s, steps=tuple(step for step in s.steps if step.label in wanted)) for s in everything)
    return tuple(scenario for scenario in cut if scenario.steps)
