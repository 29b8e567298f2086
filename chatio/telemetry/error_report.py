"""How an exception that nobody foresaw is written down: one line, with a reference that its client is told too.

Never a traceback, a path or the exception's own text: all of them carry secrets sooner or later.

Failures of the same place have the same reference for ten seconds. A handler that fails for every message is
written down a few times and then counted (chatio/telemetry/log_handler.py), and yet each reference that a user
brings finds its line.
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
    """Log one ERROR line that `what`, which is words of ours, failed with `error`; the line's reference."""
    kind, place = type(error).__name__, place_of(error)
    distinct = f"{what} {kind} {place} {clock() // SHARED_SECONDS}"
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
    """Module, line and function of the innermost frame, e.g. "handlers.chat:41 connect"."""
    traceback = error.__traceback__
    if traceback is None:
        return "unknown"
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return place_in(traceback.tb_frame, traceback.tb_lineno)


def place_in(frame: FrameType, line: int) -> str:
    """Module, `line` and function of `frame`."""
    return f"{frame.f_globals.get('__name__', '?')}:{line} {frame.f_code.co_name}"
