"""The instructions of a connect, a message and a delivery, counted by valgrind: the same on a busy machine.

    python -m benchmarks.instructions [--baseline PATH] [--kinds websocket,polling,message,delivery] [--count 64]

websocket, polling: one connect, by WebSocket or by polling and upgrade. message: one message to two clients.
delivery: one of the deliveries of a message to 200 clients.

What the kernel does is not in it. With --baseline another checkout is counted too. Needs valgrind.
"""

import argparse
import re
import subprocess
import time
from pathlib import Path

from benchmarks import launch
from benchmarks.launch import Server
from benchmarks.load import connecting
from benchmarks.load.connecting import connect_wave, waves
from benchmarks.load.swarm import Client, Swarm

CONNECTS = {"websocket": False, "polling": True}  # whether the clients come by polling and upgrade
MESSAGES = {"message": 2, "delivery": 200}  # the number of clients
KINDS = (*CONNECTS, *MESSAGES)
OUTPUT = launch.RESULTS / "callgrind.out"
SETTLE_SECONDS = 2.0
PATIENCE_SECONDS = 300.0
WARM_UP = 32


class Clients:
    """The clients of a server, and what they make it do."""

    def __init__(self, server: Server, kind: str) -> None:
        self._server, self._kind = server, kind
        self._connected: list[Client] = []
        self._swarm = Swarm()
        if kind in MESSAGES:
            self._connect(MESSAGES[kind])
            for client in self._connected:
                self._swarm.add(client)
            self._swarm.watch(self._connected)

    def work(self, count: int) -> int:
        """Connect `count` clients, or send so many messages, one after the other; the number of what was done."""
        if self._kind in CONNECTS:
            self._connect(count)
            return count
        done = self._swarm.deliveries
        for number in range(1, count + 1):
            self._swarm.send(self._connected[0])
            while self._swarm.deliveries < done + number * len(self._connected):
                self._swarm.serve(1.0)
        return count if self._kind == "message" else self._swarm.deliveries - done

    def _connect(self, count: int) -> None:
        first = len(self._connected)
        for numbers in waves(range(first, first + count)):
            is_upgraded = CONNECTS.get(self._kind, False)
            self._connected += connect_wave(self._server.port, self._server.secret, numbers, is_upgraded)


def thousands(checkout: Path, kind: str, count: int) -> float:
    """How many thousand instructions one of `kind` takes, once the server is warm."""
    for old in launch.RESULTS.glob(f"{OUTPUT.name}*"):
        old.unlink()
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={OUTPUT}"]
    command += [str(checkout / ".venv/bin/python"), "main.py", "--env-file", "/dev/null"]
    with launch.running("instructions", command, checkout) as server:

        def control(*options: str) -> None:
            time.sleep(SETTLE_SECONDS)
            subprocess.run(["callgrind_control", *options, str(server.pid)], check=True, capture_output=True)

        clients = Clients(server, kind)
        clients.work(WARM_UP)
        control("-i", "on")
        clients.work(WARM_UP)
        control("-z")
        done = clients.work(count)
        control("-d")
        time.sleep(SETTLE_SECONDS)
    found = re.search(r"^(?:totals|summary): (\d+)", Path(f"{OUTPUT}.1").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / done / 1000


def run() -> None:
    description = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser("python -m benchmarks.instructions", description=description)
    parser.add_argument("--baseline", type=Path, metavar="PATH", help="another checkout of this repository")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--count", type=int, default=64, help="of the connects, or of the messages")
    options = parser.parse_args()
    launch.RESULTS.mkdir(exist_ok=True)
    launch.START_SECONDS = connecting.TIMEOUT_SECONDS = PATIENCE_SECONDS  # valgrind is slow
    checkouts = {"now": Path.cwd()} | ({} if options.baseline is None else {"before": options.baseline.resolve()})
    for kind in options.kinds.split(","):
        for name, checkout in checkouts.items():
            figure = thousands(checkout, kind, options.count)
            print(f"{kind:12}{name:8}{figure:9.1f} k instructions", flush=True)


if __name__ == "__main__":
    run()
