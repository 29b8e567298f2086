"""The server as it is, with a probe on its event loop: on its end it prints the longest stall, in milliseconds."""

import asyncio
import os

import main
from chatio.config.loader import load
from chatio.server.systemd import SystemdNotifier
from chatio.telemetry.counters import LabelledCounter
from chatio.telemetry.log_handler import ERRORS

TICK_SECONDS = 0.001


async def run() -> None:
    loop = asyncio.get_running_loop()
    longest = 0.0

    async def probe() -> None:
        nonlocal longest
        while True:
            due = loop.time() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            longest = max(longest, loop.time() - due)

    probing = asyncio.create_task(probe())
    await main.run(load(os.environ), SystemdNotifier(), LabelledCounter(ERRORS))
    probing.cancel()
    print(f"longest stall {longest * 1000:.1f} ms", flush=True)


if __name__ == "__main__":
    import logging

    logging.basicConfig(level="INFO")
    asyncio.run(run())
