"""Hooks for uncaught exceptions: one log line each, without the traceback, `repr`s and paths of Python's."""

import asyncio
import logging
import sys
import threading
import warnings
from pathlib import PurePath
from types import TracebackType
from typing import Any, TextIO

from chatio.telemetry.error_report import report
from chatio.telemetry.log_format import words_of

logger = logging.getLogger("chatio")


def install() -> None:
    """Set the process's hooks: for warnings, and for exceptions that end the program, a thread or a finalizer."""
    warnings.showwarning = _warned
    sys.excepthook = _program_failed
    threading.excepthook = _thread_failed
    sys.unraisablehook = _finalizer_failed


def loop_failed(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The handler for `loop.set_exception_handler`: a failed task that is never awaited, a callback that raises.

    asyncio's own text contains the `repr` of the task, and so its arguments.
    """
    error = context.get("exception")
    if isinstance(error, BaseException):
        report(logger, "the event loop", error)
    else:
        words = words_of(logging.makeLogRecord({"msg": context.get("message", "")}))
        logger.error("the event loop has a problem: %s", words, extra={"event": "loop_problem", "problem": words})


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log a warning without its text, which may quote any value; `python -X dev -W error` shows it."""
    place = f"{PurePath(filename).stem}:{lineno}"
    logger.warning(
        "%s at %s",
        category.__name__,
        place,
        extra={"event": "python_warning", "category": category.__name__, "place": place},
    )


def _program_failed(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    report(logger, "the program", error.with_traceback(traceback))


def _thread_failed(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        report(logger, "a thread", args.exc_value)


def _finalizer_failed(args: "sys.UnraisableHookArgs") -> None:
    if args.exc_value is not None:
        report(logger, "a finalizer", args.exc_value)
