"""The log handler: writes all log records to one stream, at a limited rate.

It writes at most `LINES_PER_WINDOW` lines of each kind in `WINDOW_SECONDS`, and then one line that counts the
suppressed ones. So neither a client that breaks a rule a thousand times a second nor a handler that fails for
every message fills the disk, and code can log without limits of its own:

    logger.info("connection from %s refused: %s", address, reason,
                extra={"event": "connection_refused", "address": address, "reason": reason})

A kind is an event, or the line of source that logs a record without one. An event with a `reference`
(chatio/telemetry/error_report.py) is one kind for each reference, so that each reference is in the log. Suppressed
lines are counted by `reason`, which must be one of a few constant texts.
docs/logging.md has a row for every event, and a test compares it with the code.
"""

import contextlib
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Literal, TextIO

from chatio.telemetry import excepthooks
from chatio.telemetry.counters import LabelledCounter
from chatio.telemetry.log_format import JsonFormatter, TextFormatter, words_of

WINDOW_SECONDS: Final = 10.0
LINES_PER_WINDOW: Final = 10
MAX_REASONS: Final = 20  # that one count names

# The events of level ERROR and above, and a label for records without an event.
ERRORS: Final = (
    *("failure", "loop_problem", "no_room", "cannot_listen"),
    *("store_unusable", "store_refused", "store_removed", "store_broken", "store_went_back"),
    "other",
)

Kind = tuple[str, int, str]


def configure(*, level: str, form: Literal["text", "json"], stream: TextIO | None = None) -> "LogHandler":
    """Write all records of `level` and above to `stream`, by default stderr, until the process ends.

    Python's warnings and uncaught exceptions of any thread become lines too. Call it once.
    """
    handler = LogHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    # Below WARNING Tornado logs every malformed request, and any client may send those.
    logging.getLogger("tornado.general").setLevel(max(logging.WARNING, root.level))
    excepthooks.install()
    return handler


class _Window:
    """The lines of one kind since its first one, written and suppressed."""

    def __init__(self, first: logging.LogRecord, ends: float) -> None:
        self.first = first
        self.ends = ends
        self.lines = 0
        self.suppressed: Counter[str] = Counter()

    def suppress(self, record: logging.LogRecord) -> None:
        reason = str(getattr(record, "reason", ""))
        self.suppressed[
            reason if reason in self.suppressed or len(self.suppressed) < MAX_REASONS else "others"
        ] += 1

    def summary(self) -> logging.LogRecord:
        """A record that counts the suppressed lines."""
        of = str(getattr(self.first, "event", "")) or words_of(self.first)
        reference = getattr(self.first, "reference", None)
        reasons = {reason: count for reason, count in self.suppressed.most_common() if reason}
        details = [f"{reason} {count}" for reason, count in reasons.items()]
        if reference is not None:
            details.append(f"reference {reference}")
        fields = {"event": "held_back", "of": of, "count": self.suppressed.total(), "reasons": reasons}
        return logging.makeLogRecord(
            {
                "name": "chatio.logs",
                "levelno": self.first.levelno,
                "levelname": self.first.levelname,
                "msg": "%d more lines of %s in %g s%s",
                "args": (
                    self.suppressed.total(),
                    of,
                    WINDOW_SECONDS,
                    f" ({', '.join(details)})" if details else "",
                ),
            }
            | fields
            | ({} if reference is None else {"reference": reference})
        )


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes records, and suppresses those of a kind past its limit. Any thread."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self.errors = LabelledCounter(ERRORS)  # suppressed lines included
        self._clock = clock
        self._windows: dict[Kind, _Window] = {}
        self._timer: threading.Timer | None = None

    @property
    def window_count(self) -> int:
        """The number of kinds whose window is kept in memory."""
        return len(self._windows)

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            event = getattr(record, "event", "")
            self.errors[event if event in ERRORS else "other"] += 1
        now = self._clock()
        kind = _kind_of(record)
        window = self._windows.get(kind)
        if window is None or now >= window.ends:
            self._end_windows(now)
            window = self._windows[kind] = _Window(record, now + WINDOW_SECONDS)
        window.lines += 1
        if window.lines <= LINES_PER_WINDOW:
            super().emit(record)
        else:
            window.suppress(record)
            self._wake_after(window.ends - now)

    def write_counts(self) -> None:
        """Write the counts of windows that are over. A timer calls it."""
        self.acquire()
        try:
            self._timer = None
            now = self._clock()
            self._end_windows(now)
            waiting = [window.ends for window in self._windows.values() if window.suppressed]
            if waiting:
                self._wake_after(min(waiting) - now)
        finally:
            self.release()

    def close(self) -> None:
        """Write the last counts; `logging` calls this when the process ends."""
        if self._timer is not None:
            self._timer.cancel()
        self._end_windows(float("inf"))
        super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Ignore a line that cannot be written: `logging` would print a traceback and the line's arguments."""

    def _end_windows(self, now: float) -> None:
        for kind, window in list(self._windows.items()):
            if now >= window.ends:
                self._windows.pop(kind, None)
                if window.suppressed:
                    super().emit(window.summary())

    def _wake_after(self, seconds: float) -> None:
        """Set a timer: a thread, because threads log too, also while the event loop hangs or has ended."""
        if self._timer is None:
            timer = threading.Timer(max(seconds, 0.0), self.write_counts)
            timer.daemon = True
            with contextlib.suppress(
                RuntimeError
            ):  # no thread is available: the next line, or `close`, writes the counts
                timer.start()
                self._timer = timer


def _kind_of(record: logging.LogRecord) -> Kind:
    if event := getattr(record, "event", ""):
        return str(event), 0, str(getattr(record, "reference", ""))
    return record.name, record.lineno, record.pathname
