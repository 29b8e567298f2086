"""Log lines of failures and refusals; chatio/telemetry/log_handler.py counts the ones that repeat.

One line each. Never a traceback, a path, an exception's text or anything a client sent: all of them carry
secrets sooner or later. A failure of the application's code gets a reference that its client is told too.
"""

import asyncio
import logging

from chatio.telemetry import error_report

logger = logging.getLogger("chatio.realtime")

# For the library, whose log lines print payloads, sids and tracebacks: it leads nowhere.
library_logger = logging.Logger("chatio.realtime.library")  # noqa: LOG001 - in no hierarchy, on purpose
library_logger.disabled = True


def report(what: str, error: BaseException) -> str:
    """Log one line about an exception that application code let escape; return the line's reference.

    Raises `error` if the task was cancelled: a handler that merely awaited something cancelled has failed.
    """
    if isinstance(error, asyncio.CancelledError) and (task := asyncio.current_task()) and task.cancelling():
        raise error
    return error_report.report(logger, what, error)


def log_refusal(address: str, reason: str) -> None:
    """Log that a client was refused or its connection closed; repeated lines are counted by `reason`, our text."""
    logger.info(
        "connection from %s refused or closed: %s",
        address,
        reason,
        extra={"event": "connection_refused", "address": address, "reason": reason},
    )
