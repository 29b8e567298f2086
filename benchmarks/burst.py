"""How long fifty messages of one client that are sent at once wait for their acks, on a slow disk.

    python -m benchmarks.burst [MILLISECONDS]

Each fsync takes so many milliseconds longer, 10 by default: `slow_sync.c`, preloaded where it is called.
Prints, for memory and each database, the times from the first byte sent to the last ack.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.databases import database
from benchmarks.launch import HERE, OWN_COMMAND, Server, commands, running
from benchmarks.load.connecting import joined
from benchmarks.load.wire import MessageFrames
from benchmarks.plan import OURS, POSTGRES, STORES

MESSAGES = 50
BURSTS = 20


def main(milliseconds: int) -> None:
    command = commands(OWN_COMMAND, None)[OURS]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # for PostgreSQL's user
        shim = str(Path(folder) / "slow_sync.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, str(HERE / "slow_sync.c"), "-ldl"], check=True)
        slow = {"LD_PRELOAD": shim, "SLOW_SYNC_US": str(milliseconds * 1000)}
        for store in (OURS, *STORES):
            with database(store, **slow) as url:
                environ = {} if store == POSTGRES else slow
                with running("burst", command, DATABASE_URL=url, **environ) as server:
                    times = bursts(server)
            print(
                f"{store:10}{MESSAGES} messages at once, fsync + {milliseconds} ms: last ack after "
                f"{statistics.median(times) * 1e3:.0f} ms (median of {BURSTS}), {max(times) * 1e3:.0f} ms at most",
                flush=True,
            )


def bursts(server: Server) -> list[float]:
    """The seconds until the last ack, of each burst."""
    frames = MessageFrames()
    stream = joined(server.port, server.secret, 1)
    times = []
    for burst in range(BURSTS):
        acks = 0
        started = time.perf_counter()
        numbers = range(burst * MESSAGES, (burst + 1) * MESSAGES)
        stream.sock.sendall(b"".join(map(frames.acked_frame, numbers)))
        while acks < MESSAGES:
            acks += stream.frame().startswith(b"43/chat,1")
        times.append(time.perf_counter() - started)
    stream.sock.close()
    return times


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
