"""Schedules: work that is done again and again, whatever exception one time raises."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from chatio.errors import Temporary
from chatio.telemetry.error_report import report

# Longer than any action takes that does not hang: two calls of a database that does not answer take 24 s.
LONGEST_SECONDS: Final = 30.0


async def repeat(
    logger: logging.Logger, what: str, seconds: float, action: Callable[[], Awaitable[object]]
) -> None:
    """Await `action` after every `seconds`, until cancelled; for `LONGEST_SECONDS` at most.

    An exception is reported as a failure of `what`, but for `Temporary`: the store does not answer now, and may a
    moment later.
    """
    while True:
        try:
            await asyncio.sleep(seconds)
            await _bounded(action())
        except Temporary:
            pass
        except Exception as error:  # of the pause too: there may be no memory for it
            report(logger, what, error)
            await asyncio.sleep(0)


async def _bounded(action: Awaitable[object]) -> None:
    """Raises TimeoutError after `LONGEST_SECONDS`, also where what `action` waits for was lost."""
    acting = asyncio.ensure_future(action)
    try:
        done, _ = await asyncio.wait({acting}, timeout=LONGEST_SECONDS)
    finally:
        acting.cancel()
    if not done:
        raise TimeoutError
    acting.result()
