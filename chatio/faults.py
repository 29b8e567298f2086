"""How an exception that nobody foresaw is written down: one line, with a reference that its client is told too.

Never a traceback, a path or the exception's own text: all of them carry secrets sooner or later.
"""

import logging
import secrets


def report(logger: logging.Logger, what: str, error: BaseException) -> str:
    """Log one ERROR line that `what` failed with `error`; the line's reference."""
    reference = secrets.token_hex(6)
    logger.error("%s failed: %s at %s (reference %s)", what, type(error).__name__, place_of(error), reference)
    return reference


def place_of(error: BaseException) -> str:
    """Module, line and function of the innermost frame, e.g. "handlers.chat:41 connect"."""
    traceback = error.__traceback__
    if traceback is None:
        return "unknown"
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    frame = traceback.tb_frame
    return f"{frame.f_globals.get('__name__', '?')}:{traceback.tb_lineno} {frame.f_code.co_name}"
