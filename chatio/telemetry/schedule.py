"""Schedules: work that is done again and again, whatever exception one time raises."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from chatio.errors import Temporary
from chatio.telemetry.error_report import report


async def repeat(
    logger: logging.Logger, what: str, seconds: float, action: Callable[[], Awaitable[object]]
) -> None:
    """Await `action` after every `seconds`, until cancelled.

    An exception is reported as a failure of `what`, but for `Temporary`: the store does not answer now, and may a
    moment later.
    """
    while True:
        try:
            await asyncio.sleep(seconds)
            await action()
        except Temporary:
            pass
        except Exception as error:  # of the pause too: there may be no memory for it
            report(logger, what, error)
            await asyncio.sleep(0)
