"""The instructions that a connect takes, counted by valgrind: the same on a busy machine as on an idle one.

    python -m benchmarks.instructions [--baseline PATH] [--kinds websocket,polling] [--connects 64]

What the kernel does is not in it. With --baseline another checkout is counted too. Needs valgrind.
"""

import argparse
import re
import subprocess
import time
from pathlib import Path

from benchmarks import launch
from benchmarks.load import connecting
from benchmarks.load.connecting import connect_wave, waves

KINDS = {"websocket": False, "polling": True}  # whether the clients come by polling and upgrade
OUTPUT = launch.RESULTS / "callgrind.out"
SETTLE_SECONDS = 2.0
PATIENCE_SECONDS = 300.0


def thousands(checkout: Path, kind: str, connects: int) -> float:
    """How many thousand instructions one connect takes, once the server is warm."""
    for old in launch.RESULTS.glob(f"{OUTPUT.name}*"):
        old.unlink()
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={OUTPUT}"]
    command += [str(checkout / ".venv/bin/python"), "main.py", "--env-file", "/dev/null"]
    with launch.running("instructions", command, checkout) as server:

        def control(*options: str) -> None:
            time.sleep(SETTLE_SECONDS)
            subprocess.run(["callgrind_control", *options, str(server.pid)], check=True, capture_output=True)

        clients = connect_wave(server.port, server.secret, list(range(32)), KINDS[kind])
        control("-i", "on")
        clients += connect_wave(server.port, server.secret, list(range(32, 64)), KINDS[kind])
        control("-z")
        for numbers in waves(range(64, 64 + connects)):
            clients += connect_wave(server.port, server.secret, numbers, KINDS[kind])
        control("-d")
        time.sleep(SETTLE_SECONDS)
    found = re.search(r"^(?:totals|summary): (\d+)", Path(f"{OUTPUT}.1").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / connects / 1000


def run() -> None:
    description = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser("python -m benchmarks.instructions", description=description)
    parser.add_argument("--baseline", type=Path, metavar="PATH", help="another checkout of this repository")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--connects", type=int, default=64)
    options = parser.parse_args()
    launch.RESULTS.mkdir(exist_ok=True)
    launch.START_SECONDS = connecting.TIMEOUT_SECONDS = PATIENCE_SECONDS  # valgrind is slow
    checkouts = {"now": Path.cwd()} | ({} if options.baseline is None else {"before": options.baseline.resolve()})
    for kind in options.kinds.split(","):
        for name, checkout in checkouts.items():
            count = thousands(checkout, kind, options.connects)
            print(f"{kind:12}{name:8}{count:7.0f} k instructions a connect", flush=True)


if __name__ == "__main__":
    run()
