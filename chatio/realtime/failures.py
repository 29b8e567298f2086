"""What is said in the log when something goes wrong, and how often.

One line each. Never a traceback, a path, an exception's text or anything a client sent: all of them carry
secrets sooner or later. A failure of the application's code gets a reference that its client is told too.
"""

import logging
import time

from chatio import faults

logger = logging.getLogger("chatio.realtime")

# Where the library's own loggers lead, which print payloads, sids and tracebacks: nowhere.
library_logger = logging.Logger("chatio.realtime.library")  # noqa: LOG001 - in no hierarchy, on purpose
library_logger.disabled = True

_WINDOW_SECONDS = 10.0
_LINES_PER_WINDOW = 10


def report(what: str, error: BaseException) -> str:
    """Log one line about an exception that application code let escape; answers the line's reference."""
    return faults.report(logger, what, error)


class RefusalLog:
    """Says who was refused or closed, and for what.

    Ten lines in ten seconds at most, and then how many more.
    """

    def __init__(self) -> None:
        self._window_ends = 0.0
        self._lines = 0

    def refused(self, address: str, rule: str) -> None:
        """`address`: the client's. `rule`: what it broke, in our words."""
        now = time.monotonic()
        if now >= self._window_ends:
            if self._lines > _LINES_PER_WINDOW:
                logger.info("%d more connections were refused or closed", self._lines - _LINES_PER_WINDOW)
            self._window_ends, self._lines = now + _WINDOW_SECONDS, 0
        self._lines += 1
        if self._lines <= _LINES_PER_WINDOW:
            logger.info("connection from %s refused or closed: %s", address, rule)
