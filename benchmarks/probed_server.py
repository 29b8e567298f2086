"""The server with a probe on its event loop: at its end it prints the loop's longest stall in milliseconds.

    python -m benchmarks.probed_server [NICENESS]

`NICENESS` of the threads that hash passwords; the server's own, if it is not given.
"""

import asyncio
import os
import sys
from typing import Any

sys.path.insert(0, os.getcwd())  # so that it serves the checkout that it is started in

import main
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


def serve(probe: StallProbe) -> int:
    """Serve as `python main.py` does until SIGTERM, with `probe` on the event loop; the exit status."""
    run = main.run

    async def run_both(*args: Any, **kwargs: Any) -> None:
        beside = asyncio.create_task(probe.run())
        await run(*args, **kwargs)
        beside.cancel()

    setattr(main, "run", run_both)  # noqa: B010 - mypy accepts no other way
    return main.main(["--env-file", os.devnull])


if __name__ == "__main__":
    if sys.argv[1:]:
        passwords.HASHING_NICENESS = int(sys.argv[1])
    stalls = StallProbe()
    if status := serve(stalls):
        sys.exit(status)
    print(f"longest stall {stalls.longest_seconds * 1000:.1f} ms", flush=True)
