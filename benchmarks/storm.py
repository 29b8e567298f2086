"""A reconnect storm: a thousand clients come back at once to a server that has just started, beside ten who chat.

    python -m benchmarks.storm [--baseline PATH] [--rounds 3] [--clients 1000] [--kinds websocket,polling]

Printed for each server and kind, as medians: the seconds until every client is in /chat; the longest stall of
the event loop; and the p99 of the delivery times of those who chat, in the four seconds before the storm and
during it. The limits are the defaults, and each client has an address of its own. With --baseline another
checkout is measured in turn.
"""

import argparse
import itertools
import json
import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from benchmarks.launch import HERE, RESULTS, raise_file_limit, running
from benchmarks.load.connecting import connect_wave
from benchmarks.load.swarm import Swarm
from benchmarks.storm_clients import KINDS

PEOPLE = 10
MESSAGES_PER_SECOND = 10
QUIET_SECONDS = 4.0
PATIENCE_SECONDS = 60.0
ROOT = HERE.parent


class Figures(NamedTuple):
    seconds: float  # until all clients are back
    stall_ms: float
    quiet_p99_ms: float
    storm_p99_ms: float


def measure(kind: str, clients: int, port: int, secret: str) -> tuple[float, float, float]:
    people = Swarm()
    for person in connect_wave(port, secret, range(clients, clients + PEOPLE), False):
        people.add(person)
    people.watch(people.clients)
    quiet = chat(people, time.monotonic() + QUIET_SECONDS)
    storm = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.storm_clients", kind, str(clients), str(port), secret],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    with storm:
        assert storm.stdout is not None
        stormy = chat(people, time.monotonic() + PATIENCE_SECONDS, storm.stdout)
        seconds = json.loads(storm.stdout.readline() or "NaN")
    for person in people.clients:
        person.sock.close()
    return seconds, p99(quiet), p99(stormy)


def chat(people: Swarm, ends: float, answer: IO[bytes] | None = None) -> list[float]:
    """The delivery times, in ms, of messages that are sent in turn until then, or until there is an `answer`."""
    people.times.clear()
    senders = itertools.cycle(people.clients)
    while time.monotonic() < ends and not (answer and select.select([answer], [], [], 0)[0]):
        people.send(next(senders))
        turn_ends = time.monotonic() + 1 / MESSAGES_PER_SECOND
        while (left := turn_ends - time.monotonic()) > 0:
            people.serve(left)
    return [1000 * seconds for seconds in people.times]


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


@contextmanager
def serving(checkout: Path, name: str) -> Iterator[tuple[int, str]]:
    command = [str(checkout / ".venv/bin/python"), str(HERE / "probed_server.py")]
    with running(name, command, checkout, RATE_LIMITS="on", SHUTDOWN_GRACE_SECONDS="1") as server:
        time.sleep(1.0)
        yield server.port, server.secret


def once(checkout: Path, name: str, kind: str, clients: int) -> Figures:
    with serving(checkout, name) as (port, secret):
        seconds, quiet, stormy = measure(kind, clients, port, secret)
    stall = (RESULTS / f"{name}.log").read_text().partition("longest stall ")[2].partition(" ms")[0]
    return Figures(seconds, float(stall or "NaN"), quiet, stormy)


def run() -> None:
    as_written = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.storm", description=__doc__, formatter_class=as_written)
    parser.add_argument("--baseline", type=Path, metavar="PATH", help="another checkout of this repository")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--kinds", default=",".join(KINDS))
    options = parser.parse_args()
    raise_file_limit()
    checkouts = {"now": ROOT} | ({} if options.baseline is None else {"before": options.baseline.resolve()})
    found: dict[tuple[str, str], list[Figures]] = {}
    for _ in range(options.rounds):
        for kind in options.kinds.split(","):
            for name, checkout in checkouts.items():
                found.setdefault((kind, name), []).append(once(checkout, name, kind, options.clients))
    print("kind        server   all back s  stall ms  p99 quiet  p99 storm  ratio")
    for (kind, name), rounds in found.items():
        seconds, stall, quiet, stormy = (statistics.median(values) for values in zip(*rounds, strict=True))
        row = f"{kind:12}{name:8}{seconds:11.2f}{stall:10.1f}{quiet:11.2f}{stormy:11.2f}{stormy / quiet:7.1f}"
        print(row, flush=True)


if __name__ == "__main__":
    os.chdir(ROOT)
    run()
