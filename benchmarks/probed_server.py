"""The server with a probe on its event loop: at its end it prints the loop's longest stall in milliseconds.

    python -m benchmarks.probed_server [NICENESS]

`NICENESS` of the threads that hash passwords; the server's own, if it is not given.
"""

import asyncio
import os
import sys

sys.path.insert(0, os.getcwd())  # so that it serves the checkout that it is started in

from benchmarks.alongside import serve_alongside
from chatio.accounts import passwords

TICK_SECONDS = 0.001
START_SECONDS = 0.5  # a server that starts does not count


class StallProbe:
    """Measures by how much a timer of one millisecond is late."""

    def __init__(self) -> None:
        self.longest_seconds = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(START_SECONDS)
        while True:
            due = loop.time() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self.longest_seconds = max(self.longest_seconds, loop.time() - due)


def main(niceness: int | None) -> None:
    if niceness is not None:
        passwords.HASHING_NICENESS = niceness
    probe = StallProbe()
    serve_alongside(probe.run)
    print(f"longest stall {probe.longest_seconds * 1000:.1f} ms", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
