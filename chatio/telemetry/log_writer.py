"""The log writer: writes lines to a descriptor in a thread of its own, so that no caller ever waits for a reader.

A pipe that is not read, a terminal after Ctrl-S and a slow disk block `write(2)` for as long as they please. Lines
wait in a bounded queue meanwhile; past the bound they are dropped and counted.

logging's QueueHandler and QueueListener are not used: the listener's `stop` waits for its thread without a limit,
an exception that is not a handler's own ends that thread, and the lock of a standard stream that is being written
would make Python abort at its exit.
"""

import contextlib
import os
import queue
import select
import threading
import time
from collections.abc import Callable
from typing import Final

MAX_LINES: Final = 1000
TEND_SECONDS: Final = 1.0


class LogWriter:
    """Writes lines to `descriptor`, which stays open for as long as the process.

    `tend` is called by the writer's thread about once a second, whenever no line waits.
    """

    def __init__(self, descriptor: int, *, tend: Callable[[], None], max_lines: int = MAX_LINES) -> None:
        self._descriptor = descriptor
        self._tend = tend
        self._max_lines = max_lines
        # Not queue.Queue: its lock is not reentrant, and a signal handler may write in the middle of a `put`.
        self._waiting: queue.SimpleQueue[str | threading.Event | None] = queue.SimpleQueue()
        self._rejected = 0  # lines that found the queue full; counted by the callers
        self._failed = 0  # lines that could not be written; counted by the thread
        self._is_in_line = False  # the last write failed in the middle of a line
        self.is_failing = False  # the last line could not be written
        self._is_stuck = False  # the last flush waited in vain
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """The number of lines that were not written."""
        return self._rejected + self._failed

    def write(self, line: str) -> None:
        """Write `line` and a line end, soon. Never blocks; one thread at a time, or a signal handler in it."""
        if self._waiting.qsize() < self._max_lines:
            self._waiting.put(line)
        else:
            self._rejected += 1

    def drop(self) -> None:
        """Count a line that its caller could not make. Callers as those of `write`."""
        self._rejected += 1

    def flush(self, seconds: float) -> None:
        """Return when all lines so far are written, or after `seconds`. Any thread but the writer's own."""
        if self._thread.is_alive():
            written = threading.Event()
            self._waiting.put(written)
            self._is_stuck = not written.wait(seconds)

    def close(self, seconds: float) -> None:
        """Write the lines so far within `seconds`; later ones are lost. The thread does not keep the process.

        Does not wait again after a flush that waited in vain.
        """
        self._waiting.put(None)
        self._thread.join(0 if self._is_stuck else seconds)

    def _run(self) -> None:
        tended = time.monotonic()
        while True:
            with contextlib.suppress(queue.Empty):
                item = self._waiting.get(timeout=TEND_SECONDS)
                if item is None:
                    return
                if isinstance(item, threading.Event):
                    item.set()
                else:
                    self._write_line(item)
            if self._waiting.empty() and time.monotonic() - tended >= TEND_SECONDS:
                with contextlib.suppress(Exception):  # the log goes on, whatever fails in making a line
                    self._tend()
                tended = time.monotonic()

    def _write_line(self, line: str) -> None:
        try:
            text = f"\n{line}\n" if self._is_in_line else f"{line}\n"
            rest = memoryview(text.encode("utf-8", "backslashreplace"))
            while rest:
                rest = rest[self._write_some(rest) :]
                self._is_in_line = bool(rest)
            self.is_failing = False
        except Exception:  # any: OSError, MemoryError; the next line may succeed
            self._failed += 1
            self.is_failing = True

    def _write_some(self, data: memoryview) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:  # another process of the terminal has set O_NONBLOCK
            select.select([], [self._descriptor], [])
            return 0
