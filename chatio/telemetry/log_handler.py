"""Where the log is written, and how much of it.

All loggers, the libraries' too, lead to one handler. It writes at most `LINES_PER_WINDOW` lines in
`WINDOW_SECONDS` of each kind, and then how many more there were: a stranger who breaks a rule a thousand times a
second fills no disk, nor does a handler that fails for every message. So who has something to say just says it:

    logger.info("connection from %s refused: %s", address, reason,
                extra={"event": "connection_refused", "address": address, "reason": reason})

A kind is an event, or the place in the source of what is none; an event with a `reference`
(chatio/telemetry/error_report.py) is a kind for each reference, so that each is found. What is held back is
counted by `reason`: give texts of our own.
docs/logging.md has a row for every event; a test holds it against the code.
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
MAX_REASONS: Final = 20  # that one count tells apart

# The events of level ERROR and above, which are always written, and what is none.
ERRORS: Final = ("failure", "loop_problem", "no_room", "cannot_listen", "other")

Kind = tuple[str, int, str]


def configure(*, level: str, form: Literal["text", "json"], stream: TextIO | None = None) -> "LogHandler":
    """Write everything of `level` and above to `stream`, by default stderr, from now until the process ends.

    Warnings and exceptions that nobody caught, in any thread, become lines too. Call it once.
    """
    handler = LogHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    # Below WARNING Tornado tells of every malformed request, which are strangers' to send.
    logging.getLogger("tornado.general").setLevel(max(logging.WARNING, root.level))
    excepthooks.install()
    return handler


class _Window:
    """What was said of one kind since its first line, and what was held back."""

    def __init__(self, first: logging.LogRecord, ends: float) -> None:
        self.first = first
        self.ends = ends
        self.lines = 0
        self.held: Counter[str] = Counter()

    def hold(self, record: logging.LogRecord) -> None:
        reason = str(getattr(record, "reason", ""))
        self.held[reason if reason in self.held or len(self.held) < MAX_REASONS else "others"] += 1

    def summary(self) -> logging.LogRecord:
        """The line that says how many were held back."""
        of = str(getattr(self.first, "event", "")) or words_of(self.first)
        reference = getattr(self.first, "reference", None)
        reasons = {reason: count for reason, count in self.held.most_common() if reason}
        details = [f"{reason} {count}" for reason, count in reasons.items()]
        if reference is not None:
            details.append(f"reference {reference}")
        fields = {"event": "held_back", "of": of, "count": self.held.total(), "reasons": reasons}
        return logging.makeLogRecord(
            {
                "name": "chatio.logs",
                "levelno": self.first.levelno,
                "levelname": self.first.levelname,
                "msg": "%d more lines of %s in %g s%s",
                "args": (
                    self.held.total(),
                    of,
                    WINDOW_SECONDS,
                    f" ({', '.join(details)})" if details else "",
                ),
            }
            | fields
            | ({} if reference is None else {"reference": reference})
        )


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes lines, and holds back what comes too often. Any thread."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self.errors = LabelledCounter(ERRORS)  # also those that are held back
        self._clock = clock
        self._windows: dict[Kind, _Window] = {}
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            event = getattr(record, "event", "")
            self.errors.increment(event if event in ERRORS else "other")
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
            window.hold(record)
            self._wake_after(window.ends - now)

    def tell_held_back(self) -> None:
        """Say now what windows that are over held back; a timer does it, this is for who has no time to wait."""
        self.acquire()
        try:
            self._timer = None
            now = self._clock()
            self._end_windows(now)
            waiting = [window.ends for window in self._windows.values() if window.held]
            if waiting:
                self._wake_after(min(waiting) - now)
        finally:
            self.release()

    def close(self) -> None:
        """The last counts are told; `logging` calls this when the process ends."""
        if self._timer is not None:
            self._timer.cancel()
        self._end_windows(float("inf"))
        super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """A line that cannot be written is lost: `logging` would print a traceback, and what the line was of."""

    def _end_windows(self, now: float) -> None:
        for kind, window in list(self._windows.items()):
            if now >= window.ends:
                self._windows.pop(kind, None)
                if window.held:
                    super().emit(window.summary())

    def _wake_after(self, seconds: float) -> None:
        """A thread, not the loop's timer: lines come from threads too, and while the loop hangs or has ended."""
        if self._timer is None:
            timer = threading.Timer(max(seconds, 0.0), self.tell_held_back)
            timer.daemon = True
            with contextlib.suppress(RuntimeError):  # no thread can be had: the next line, or the end, tells
                timer.start()
                self._timer = timer


def _kind_of(record: logging.LogRecord) -> Kind:
    if event := getattr(record, "event", ""):
        return str(event), 0, str(getattr(record, "reference", ""))
    return record.name, record.lineno, record.pathname
