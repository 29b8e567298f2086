"""A reconnect storm: a thousand clients come back at once to a server that has just started, beside ten who chat.

    python -m benchmarks.storm [--baseline PATH] [--rounds 3] [--clients 1000] [--kinds websocket,polling]

Printed for each server and kind, as medians: the seconds until every client is in /chat; the longest stall of the
event loop; and the p99 of the delays of those who chat, in the second before the storm and during it. The limits
are the defaults, and each client has an address of its own. With --baseline another checkout is measured in turn.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.launch import HERE, RESULTS, raise_file_limit, running
from benchmarks.storm_clients import KINDS
from tests.client.protocol import token
from tests.client.wire import Ws, join

PEOPLE = 10
MESSAGES_PER_SECOND = 50
QUIET_SECONDS = 2.0
ROOT = HERE.parent


class Figures(NamedTuple):
    seconds: float  # until all clients are back
    stall_ms: float
    quiet_p99_ms: float
    storm_p99_ms: float


class Chat:
    """Ten users; one of them sends, and the delay until each of the others has the message is kept."""

    def __init__(self, users: list[Ws]) -> None:
        self._users = users
        self._sent: dict[str, float] = {}
        self.delays: list[float] = []

    async def run(self, until: "asyncio.Future[Any]") -> None:
        hearing = [asyncio.create_task(self._hear(user)) for user in self._users]
        while not until.done():
            name = f"m{time.monotonic_ns()}"
            self._sent[name] = time.monotonic()
            self._users[0].send('42/chat,["send-message",' + json.dumps({"id": name, "content": "Hello"}) + "]")
            await asyncio.sleep(1 / MESSAGES_PER_SECOND)
        await asyncio.sleep(0.1)
        for task in hearing:
            task.cancel()

    async def _hear(self, user: Ws) -> None:
        while True:
            packet = str(await user.receive())
            if packet == "2":
                user.send("3")
            elif packet.startswith('42/chat,["receive-message"'):
                sent = self._sent[json.loads(packet[len("42/chat,") :])[1]["id"]]
                self.delays.append(1000 * (time.monotonic() - sent))


async def measure(kind: str, clients: int, port: int, secret: str) -> tuple[float, float, float]:
    people = [await join(port, "/chat", {"token": token(secret, f"person {n}")}) for n in range(PEOPLE)]
    quiet, stormy = Chat(people), Chat(people)
    await quiet.run(asyncio.ensure_future(asyncio.sleep(QUIET_SECONDS)))
    storm = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.storm_clients", kind, str(clients), str(port), secret),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert storm.stdin is not None
    assert storm.stdout is not None
    answer = asyncio.ensure_future(storm.stdout.readline())
    await stormy.run(answer)
    seconds = json.loads(answer.result() or "NaN")
    storm.stdin.close()
    await storm.wait()
    for user in people:
        user.cut()
    return seconds, p99(quiet.delays), p99(stormy.delays)


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
        seconds, quiet, stormy = asyncio.run(measure(kind, clients, port, secret))
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
