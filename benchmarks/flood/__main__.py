"""The delays of two users who chat beside a flood of the cheapest input, by its kind and number of connections.

    python -m benchmarks.flood [--seconds 3] [--counts 20,100,400,1000] [--addresses 1,10] [--kinds pings,pongs]
                               [--nginx]

With `--nginx` users and flood come through a real nginx with TLS and the configuration of deploy/.

The server has its default settings, but for the rate of one user's messages. The users have the address
127.0.0.1, the flood 127.0.0.2 and so on; it runs in another process, in the time that the others leave. A delay
is the time from sending a message to the other user's receiving it.
"""

import argparse
import asyncio
import json
import ssl
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from benchmarks.flood.flooder import KINDS
from benchmarks.launch import raise_file_limit
from benchmarks.procfs import cpu_seconds
from tests.client.protocol import SOCKET_IO, connect_packet, plain_frame, token
from tests.client.wire import Http, Ws
from tests.system.nginx import Nginx, certificate
from tests.system.server import SECRET, ServerProcess

PAUSE_SECONDS = 0.03  # between two messages of one user
SETTLE_SECONDS = 3.0  # for the flood to connect
LOST_SECONDS = 10.0
P50_MS, P99_MS = 10.0, 50.0  # the most that a flood may make of them
QUIET = "none"
NGINX_CONNECTIONS = 8192


class Chat:
    """Two users, and the delays of their messages. `tls`: how they connect, if not in the clear."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._port = port
        self._tls = tls
        self._sent: dict[str, float] = {}
        self.delays: list[float] = []

    async def run(self, seconds: float) -> list[float]:
        """The delays in ms, once each message that was sent has arrived, or 10 s after the last one."""
        users = [await self._join(token(SECRET, f"user {n}")) for n in range(2)]
        hearing = asyncio.create_task(self._hear(users[1]))
        draining = asyncio.create_task(self._hear(users[0], counts=False))
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            name = f"m{time.monotonic_ns()}"
            self._sent[name] = time.monotonic()
            users[0].send('42/chat,["send-message",' + json.dumps({"id": name, "content": "Hello"}) + "]")
            await asyncio.sleep(PAUSE_SECONDS)
        ends = time.monotonic() + LOST_SECONDS
        while self._sent and time.monotonic() < ends:  # noqa: ASYNC110 - bounded in time
            await asyncio.sleep(PAUSE_SECONDS)
        now = time.monotonic()
        for task in (hearing, draining):
            task.cancel()
        for user in users:
            user.cut()
        return self.delays + [1000 * (now - since) for since in self._sent.values()]

    async def _join(self, token_of_user: str) -> Ws:
        user = await Ws.over(
            Http(*await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls)), f"{SOCKET_IO}websocket"
        )
        user.raw(plain_frame(connect_packet(token_of_user)))
        while not str(await user.receive()).startswith("40/chat,"):
            pass
        return user

    async def _hear(self, user: Ws, *, counts: bool = True) -> None:
        """Answer pings, and if this user `counts` note the delay of each message, until cancelled."""
        while True:
            try:
                packet = str(await user.receive())
            except TimeoutError:
                continue
            if packet == "2":
                user.send("3")
            elif counts and packet.startswith('42/chat,["receive-message"'):
                since = self._sent.pop(json.loads(packet[len("42/chat,") :])[1]["id"], None)
                if since is not None:
                    self.delays.append(1000 * (time.monotonic() - since))


class Figures(NamedTuple):
    """Of the delays, in ms, and the server's CPU time in percent of the time."""

    p50: float
    p99: float
    longest: float
    cpu: float


def measure(kind: str, count: int, addresses: int, seconds: float, *, behind_nginx: bool = False) -> Figures:
    """Beside `count` connections that flood a fresh server."""
    with (
        ServerProcess(
            RATE_LIMITS="on",
            MESSAGES_PER_SECOND="100",
            MESSAGE_BURST="1000",
            PERSON_MESSAGES_PER_SECOND="100",
            TRUSTED_PROXIES="127.0.0.1" if behind_nginx else "",
        ) as server,
        Nginx(server.port, connections=NGINX_CONNECTIONS) if behind_nginx else nullcontext(server) as front,
    ):
        command = [sys.executable, "-m", "benchmarks.flood.flooder", kind, str(count), str(addresses)]
        files = [str(certificate().path)] if behind_nginx else []
        flood = subprocess.Popen([*command, str(front.port), SECRET, *files]) if count else None
        try:
            time.sleep(SETTLE_SECONDS)
            began, used = time.monotonic(), cpu_seconds(server.process.pid)
            delays = asyncio.run(Chat(front.port, certificate().context if behind_nginx else None).run(seconds))
            cpu = 100 * (cpu_seconds(server.process.pid) - used) / (time.monotonic() - began)
        finally:
            if flood is not None:
                flood.kill()
                flood.wait()
    percentiles = statistics.quantiles(delays, n=100)
    return Figures(percentiles[49], percentiles[98], max(delays), cpu)


def run() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flood", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--counts", default="20,100,400,1000", help="of connections")
    parser.add_argument("--addresses", default="1,10", help="that they have")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--nginx", action="store_true", help="in front of the server")
    options = parser.parse_args()
    raise_file_limit()
    exceeded = 0
    print(f"{'flood':26}{'connections':>12}{'addresses':>10}{'p50 ms':>9}{'p99 ms':>9}{'longest':>9}{'CPU %':>7}")
    runs = [(QUIET, 0, 1)] + [
        (kind, int(count), int(addresses))
        for kind in options.kinds.split(",")
        for addresses in options.addresses.split(",")
        for count in options.counts.split(",")
    ]
    for kind, count, addresses in runs:
        p50, p99, longest, cpu = measure(kind, count, addresses, options.seconds, behind_nginx=options.nginx)
        verdict = "" if p50 <= P50_MS and p99 <= P99_MS else "  exceeded"
        exceeded += bool(verdict)
        print(
            f"{kind:26}{count:12}{addresses:10}{p50:9.1f}{p99:9.1f}{longest:9.1f}{cpu:7.0f}{verdict}", flush=True
        )
    return 1 if exceeded else 0


if __name__ == "__main__":
    assert Path("main.py").exists(), "run it from the root of the repository"
    sys.exit(run())
