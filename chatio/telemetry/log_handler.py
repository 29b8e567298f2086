"""The log handler: writes all log records to stderr, at a limited rate, and never blocks its caller.

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
import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Literal

from chatio.telemetry import excepthooks
from chatio.telemetry.counters import LabelledCounter
from chatio.telemetry.log_format import JsonFormatter, TextFormatter, words_of
from chatio.telemetry.log_writer import MAX_LINES, LogWriter
from chatio.telemetry.streams import STDERR

logger = logging.getLogger("chatio.logs")

WINDOW_SECONDS: Final = 10.0
LINES_PER_WINDOW: Final = 10
MAX_REASONS: Final = 20  # that one count names
# The time in which the last lines are written when the process ends: seconds, and the share of a short grace.
FLUSH_SECONDS: Final = 0.5
FLUSH_SHARE: Final = 0.05

# The events of level ERROR and above, and a label for records without an event.
ERRORS: Final = (
    *("failure", "loop_problem", "no_room", "cannot_listen"),
    *("store_unusable", "store_refused", "store_removed", "store_broken", "store_stuck", "store_went_back"),
    "shutdown_timeout",
    "other",
)

Kind = tuple[str, int, str]


def configure(
    *,
    level: str,
    form: Literal["text", "json"],
    grace_seconds: float = math.inf,
    descriptor: int = STDERR,
    max_lines: int = MAX_LINES,
) -> "LogHandler":
    """Write all records of `level` and above to `descriptor`, until the process ends within `grace_seconds`.

    Python's warnings and uncaught exceptions of any thread become lines too. Call it once.
    """
    flush_seconds = min(FLUSH_SECONDS, grace_seconds * FLUSH_SHARE)
    handler = LogHandler(descriptor, flush_seconds=flush_seconds, max_lines=max_lines)
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
        referred = {} if reference is None else {"reference": reference}
        count, reasons = self.suppressed.total(), dict(self.suppressed.most_common())
        reasons.pop("", None)
        details = ", ".join(f"{name} {value}" for name, value in (reasons | referred).items())
        return logging.makeLogRecord(
            {
                "name": "chatio.logs",
                "levelno": self.first.levelno,
                "levelname": self.first.levelname,
                "msg": "%d more lines of %s in %g s%s",
                "args": (count, of, WINDOW_SECONDS, f" ({details})" if details else ""),
                "event": "held_back",
                "of": of,
                "count": count,
                "reasons": reasons,
                **referred,
            }
        )


class LogHandler(logging.Handler):
    """Writes records, and suppresses those of a kind past its limit. Any thread."""

    def __init__(
        self,
        descriptor: int,
        *,
        flush_seconds: float = FLUSH_SECONDS,
        max_lines: int = MAX_LINES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.errors = LabelledCounter(ERRORS)  # suppressed lines included
        self._clock = clock
        self._windows: dict[Kind, _Window] = {}
        self._flush_seconds = flush_seconds
        self._reported = 0  # of the dropped lines
        self._writer = LogWriter(descriptor, tend=self._tend, max_lines=max_lines)

    @property
    def window_count(self) -> int:
        """The number of kinds whose window is kept in memory."""
        return len(self._windows)

    @property
    def dropped(self) -> int:
        """The number of lines that were not written because stderr did not take them."""
        return self._writer.dropped

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._count(record)
        except Exception:  # any, MemoryError too: no log line ends the work of its caller
            self._writer.drop()

    def say(self, line: str) -> None:
        """Write `line` as it is, for a person at a terminal."""
        self._writer.write(line)

    def write_counts(self) -> None:
        """Write the counts of windows that are over, and of dropped lines. The writer's thread calls it."""
        self._end_windows(self._clock())
        dropped = self.dropped - self._reported
        if dropped and not self._writer.is_failing:
            self._reported += dropped
            logger.warning(
                "%d log lines were dropped: stderr did not take them",
                dropped,
                extra={"event": "lines_dropped", "count": dropped},
            )

    def flush(self) -> None:
        """Return when the lines so far are written, or when the time for it is over."""
        self._writer.flush(self._flush_seconds)

    def close(self) -> None:
        """Write the last counts; `logging` calls this when the process ends."""
        with contextlib.suppress(Exception):  # as in `emit`
            self._end_windows(math.inf)
        self._writer.close(self._flush_seconds)
        super().close()

    def _count(self, record: logging.LogRecord) -> None:
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
            self._writer.write(self.format(record))
        else:
            window.suppress(record)

    def _end_windows(self, now: float) -> None:
        for kind, window in list(self._windows.items()):
            if now >= window.ends:
                self._windows.pop(kind, None)
                if window.suppressed:
                    self._writer.write(self.format(window.summary()))

    def _tend(self) -> None:
        # A caller that holds the lock may wait for this thread: `logging.shutdown` does.
        if self.lock is not None and self.lock.acquire(blocking=False):
            try:
                self.write_counts()
            finally:
                self.lock.release()


def _kind_of(record: logging.LogRecord) -> Kind:
    if event := getattr(record, "event", ""):
        return str(event), 0, str(getattr(record, "reference", ""))
    return record.name, record.lineno, record.pathname
