"""Retention: messages that are older than MESSAGES_KEEP_DAYS are deleted from the database."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from chatio.chat.messages import time_text
from chatio.errors import Temporary
from chatio.log.shared_log import SharedLog
from chatio.telemetry.error_report import report

logger = logging.getLogger("chatio.chat")

INTERVAL_SECONDS: Final = 600.0
PAUSE_SECONDS: Final = 0.05  # between two portions: the appends that waited for one go first


async def forget_old_messages(log: SharedLog, keep_days: int) -> None:
    """Delete what is older than `keep_days`, now and every ten minutes, until cancelled."""
    while True:
        try:
            while await log.forget_before(_ago(keep_days), now=_ago(0)):  # noqa: ASYNC110 - a pause, no wait
                await asyncio.sleep(PAUSE_SECONDS)
        except Temporary:
            pass  # the database does not answer: the next time it may
        except Exception as error:
            report(logger, "deleting old messages", error)
        await asyncio.sleep(INTERVAL_SECONDS)


def _ago(days: int) -> str:
    """The time so many days ago, as messages have it."""
    return time_text(datetime.now(UTC) - timedelta(days=days))
