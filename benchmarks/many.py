"""What several servers cost: this one in memory, and 1, 2 and 4 on one PostgreSQL, beside Node with Redis streams.

    python -m benchmarks.many [ROUNDS] [KIND...]

KIND: memory, postgres, node, node-redis; all of them by default. Needs PostgreSQL, redis-server, and
`npm ci --prefix benchmarks`. The set-ups are measured in turn, round after round; each has the same clients,
spread evenly over its servers. The table has the medians of the rounds.

"messages" has few clients: what a message costs each server, whichever took it. "deliveries" has many. "following"
has all clients at the first server: what a message costs the others, beyond what they need while nobody speaks, is
what an added server costs each of those that were there. The times are from the sending to the arrival
of the sender's own copy, which its ack follows, and of the copies of other clients.
"""

import contextlib
import os
import random
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.databases import make_accounts
from benchmarks.launch import (
    HERE,
    OWN_COMMAND,
    RESULTS,
    START_SECONDS,
    basic_settings,
    commands,
    limits,
    raise_file_limit,
)
from benchmarks.load.connecting import connect_wave, waves
from benchmarks.load.swarm import Client, Swarm
from benchmarks.plan import NODE, OURS
from benchmarks.procfs import cpu_seconds
from tests.ports import await_port, free_port
from tests.postgres import PostgresServer

SETUPS = (
    *(("memory", 1), ("postgres", 1), ("postgres", 2), ("postgres", 4)),
    *(("node", 1), ("node-redis", 1), ("node-redis", 2), ("node-redis", 4)),
)
SENDERS = 20


class Load(NamedTuple):
    name: str
    clients: int
    rate: float  # messages a second, of all senders together
    seconds: float = 8.0
    is_spread: bool = True  # over all servers; else all clients are at the first


LOADS = (
    *(Load("messages", 20, 500.0), Load("deliveries", 400, 40.0)),
    *(Load(f"following {rate}/s", 20, rate, max(8, 1000 / rate), is_spread=False) for rate in (40, 500)),
)


class Site(NamedTuple):
    """Servers, and the processes of what they share."""

    ports: list[int]
    pids: list[int]
    shared: "PidsOf"
    secret: str


class Figures(NamedTuple):
    """CPU for each message: of each server with clients, deliveries included; of each that has none; of what all
    share. And CPU of the servers for each delivery.
    """

    message_us: float
    following_us: float
    delivery_us: float
    shared_us: float
    own_p50_ms: float
    own_p99_ms: float
    other_p50_ms: float
    other_p99_ms: float


PidsOf = Callable[[], list[int]]


def main(rounds: int, kinds: list[str]) -> None:
    raise_file_limit()
    found: dict[tuple[str, int, str], list[Figures]] = {}
    for _ in range(rounds):
        for kind, count in SETUPS:
            for load in LOADS:
                if (kinds and kind not in kinds) or (kind != "postgres" and not load.is_spread):
                    continue
                with running(kind, count) as site:
                    figures = measure(site, load)
                found.setdefault((kind, count, load.name), []).append(figures)
                print(kind, count, load.name, *(f"{value:.1f}" for value in figures), file=sys.stderr, flush=True)
    print("| servers | load | µs CPU a message and server | and server without clients ", end="")
    print("| a delivery | of the database, a message | own copy p50 · p99 ms | others' p50 · p99 ms |")
    print("| --- | --- | --: | --: | --: | --: | --- | --- |")
    for (kind, count, name), each in found.items():
        median = Figures(*map(statistics.median, zip(*each, strict=True)))
        own = f"{median.own_p50_ms:.1f} · {median.own_p99_ms:.1f}"
        other = f"{median.other_p50_ms:.1f} · {median.other_p99_ms:.1f}"
        print(f"| {count} {kind} | {name} | {median.message_us:.0f} | {median.following_us:.0f} ", end="")
        print(f"| {median.delivery_us:.2f} | {median.shared_us:.0f} | {own} | {other} |")


@contextmanager
def running(kind: str, count: int) -> Iterator[Site]:
    """`count` servers of this kind, with what they share."""
    with ExitStack() as stack:
        shared, settings = stack.enter_context(_shared(kind))
        secret, ports, processes = secrets.token_hex(32), [free_port() for _ in range(count)], []
        command = commands(OWN_COMMAND, None)[NODE if kind.startswith("node") else OURS]
        log = stack.enter_context((RESULTS / f"many-{kind}.log").open("w"))
        for number, port in enumerate(ports, 1):
            environ = os.environ | basic_settings(port, secret) | limits(OURS) | settings
            environ["SERVER_NAME"] = str(number) if kind == "postgres" else ""
            processes.append(subprocess.Popen(command, cwd=HERE.parent, env=environ, stdout=log, stderr=log))
            stack.callback(processes[-1].wait)
            stack.callback(processes[-1].terminate)
        for port in ports:
            await_port(port, START_SECONDS)
        time.sleep(2.0 if count > 1 else 0.0)  # until each server knows the others
        yield Site(ports, [process.pid for process in processes], shared, secret)


@contextmanager
def _shared(kind: str) -> Iterator[tuple[PidsOf, dict[str, str]]]:
    """What servers of this kind share: its processes, and the servers' settings for it."""
    if kind == "postgres":
        server = PostgresServer("-c", "max_connections=60")
        server.start()
        try:
            url = server.new_database()
            make_accounts(url)
            yield lambda: _children(server.pid), {"DATABASE_URL": url}
        finally:
            server.stop()
    elif kind == "node-redis":
        port = random.randrange(20_000, 30_000)  # below those that the kernel gives to clients
        with tempfile.TemporaryDirectory() as folder:
            options = ["--port", str(port), "--save", "", "--appendonly", "yes", "--appendfsync", "always"]
            redis = subprocess.Popen(["redis-server", *options, "--dir", folder], stdout=subprocess.DEVNULL)
            try:
                await_port(port, START_SECONDS)
                yield lambda: [redis.pid], {"REDIS_URL": f"redis://127.0.0.1:{port}"}
            finally:
                redis.terminate()
                redis.wait()
    else:
        yield list, {"DATABASE_URL": ""}


def measure(site: Site, load: Load) -> Figures:
    swarm = Swarm()
    used = len(site.ports) if load.is_spread else 1
    for index, port in enumerate(site.ports[:used]):
        numbers = range(index, load.clients, used)
        for wave in waves(numbers):
            for client in connect_wave(port, site.secret, wave, False):
                swarm.add(client)
    senders = swarm.clients[:: max(1, len(swarm.clients) // SENDERS)][:SENDERS]
    swarm.watch(senders)
    _send(swarm, senders, load.rate, 1.0)  # warm up
    with_clients, others = site.pids[:used], site.pids[used:]
    quiet = _cpu(others)
    time.sleep(load.seconds if others else 0)
    cpu = [_cpu(with_clients), _cpu(others), _cpu(site.shared())]
    sent, own, other = _send(swarm, senders, load.rate, load.seconds)
    servers, following, shared = _cpu(with_clients) - cpu[0], _cpu(others) - cpu[1], _cpu(site.shared()) - cpu[2]
    following -= cpu[1] - quiet
    for client in swarm.clients:
        client.sock.close()
    own_cuts, other_cuts = statistics.quantiles(own, n=100), statistics.quantiles(other, n=100)
    return Figures(
        message_us=servers / sent / used * 1e6,
        following_us=following / sent / max(1, len(others)) * 1e6,
        delivery_us=servers / sent / load.clients * 1e6,
        shared_us=shared / sent * 1e6,
        own_p50_ms=own_cuts[49] * 1e3,
        own_p99_ms=own_cuts[98] * 1e3,
        other_p50_ms=other_cuts[49] * 1e3,
        other_p99_ms=other_cuts[98] * 1e3,
    )


Sent = tuple[int, list[float], list[float]]


def _send(swarm: Swarm, senders: list[Client], rate: float, seconds: float) -> Sent:
    """How many messages were sent, and the times to the sender's own copy and to those of others."""
    own: list[float] = []
    other: list[float] = []
    first, before, sender_of = len(swarm.sent_at), swarm.deliveries, dict[int, Client]()

    def seen(client: Client, sequence: int, seconds: float) -> None:
        if sequence >= first:
            (own if sender_of.get(sequence) is client else other).append(seconds)

    swarm.on_seen = seen
    started, sent = time.perf_counter(), int(rate * seconds)
    for number in range(sent):
        while (left := started + number / rate - time.perf_counter()) > 0:
            swarm.serve(left)
        sender = senders[number % len(senders)]
        sender_of[swarm.send(sender)] = sender
    until = time.perf_counter() + 20
    while swarm.deliveries - before < sent * len(swarm.clients) and time.perf_counter() < until:
        swarm.serve(0.001, sweep=True)
    assert swarm.deliveries - before == sent * len(swarm.clients), "a client was not given every message"
    return sent, own, other


def _cpu(pids: list[int]) -> float:
    """Seconds of all together; one that has ended counts no more."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += cpu_seconds(pid)
    return total


def _children(pid: int) -> list[int]:
    return [pid, *(int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


if __name__ == "__main__":
    RESULTS.mkdir(exist_ok=True)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2, sys.argv[2:])
