"""Error reports: an unforeseen exception becomes one log line, with a reference that its client receives too.

The line has no traceback, no path and not the exception's own text: each of them contains secrets sooner or later.

Failures at the same place share a reference for ten seconds. So a handler that fails for every message fills no
log (chatio/telemetry/log_handler.py), and yet each reference that a user reports is in the log.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

SHARED_SECONDS: Final = 10.0


def report(
    logger: logging.Logger, what: str, error: BaseException, *, clock: Callable[[], float] = time.time
) -> str:
    """Log one ERROR line that `what`, a constant text, failed with `error`. Returns the line's reference.

    Raises nothing, so that a report from a schedule does not end it: "none" stands for a line that cannot be made.
    """
    try:
        return _report(logger, what, error, clock())
    except Exception:
        return "none"


def _report(logger: logging.Logger, what: str, error: BaseException, now: float) -> str:
    kind, place = type(error).__name__, place_of(error)
    distinct = f"{what} {kind} {place} {now // SHARED_SECONDS}"
    reference = hashlib.blake2b(distinct.encode(), digest_size=6).hexdigest()
    logger.error(
        "%s failed: %s at %s (reference %s)",
        what,
        kind,
        place,
        reference,
        extra={"event": "failure", "what": what, "error": kind, "place": place, "reference": reference},
    )
    return reference


def place_of(error: BaseException) -> str:
    """The module, line and function of the innermost frame, e.g. "handlers.chat:41 connect"."""
    traceback = error.__traceback__
    if traceback is None:
        return "unknown"
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return place_in(traceback.tb_frame, traceback.tb_lineno)


def place_in(frame: FrameType, line: int) -> str:
    """The module, `line` and function of `frame`."""
    return f"{frame.f_globals.get('__name__', '?')}:{line} {frame.f_code.co_name}"
