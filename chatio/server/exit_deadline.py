"""Exit deadline: after a signal the process ends in a bounded time, whatever hangs.

The shutdown gives each of its steps a bounded time. What it cannot bound ends here: a thread that Python joins at
its exit (a name that is looked up, a disk that does not answer), a task that is never woken, a handler that never
returns. One log line says where they are, and the exit code is 1. A watchdog in C stands behind the thread, for
code that holds the interpreter's lock.
"""

import asyncio
import faulthandler
import logging
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from typing import Final

from chatio.telemetry.error_report import place_in

logger = logging.getLogger("chatio")

EXIT_CODE: Final = 1
LATE_SECONDS: Final = 0.5  # past the grace, for a machine that is busy
WATCHDOG_SECONDS: Final = 1.0  # past that: the log line takes 0.5 s at most
MOST_NAMED: Final = 10


class ExitDeadline:
    """Ends the process after the least of the times that it is given; never without one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._null = os.open(os.devnull, os.O_WRONLY)  # now: a flood may take all descriptors
        # A signal handler may put into it at any moment, in the middle of another `put` too.
        self._given: queue.SimpleQueue[tuple[float, float]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="exit-deadline", daemon=True).start()

    def end_within(self, seconds: float) -> None:
        """End the process `seconds` from now, and `LATE_SECONDS`. The main thread, or a signal handler in it."""
        self._given.put((time.monotonic() + seconds + LATE_SECONDS, seconds))
        faulthandler.dump_traceback_later(seconds + LATE_SECONDS + WATCHDOG_SECONDS, exit=True, file=self._null)

    def _run(self) -> None:
        first = math.inf, math.inf
        while True:
            try:
                wait = None if math.isinf(first[0]) else max(first[0] - time.monotonic(), 0)
                first = min(first, self._given.get(timeout=wait))
            except queue.Empty:
                break
        try:
            running = list(self._running())
            logger.critical(
                "The process did not end within %g seconds of the signal, and is ended now; still running: %s",
                first[1],
                ", ".join(running[:MOST_NAMED]),
                extra={"event": "shutdown_timeout", "seconds": first[1], "running": running[:MOST_NAMED]},
            )
            logging.shutdown()
        finally:
            os._exit(EXIT_CODE)

    def _running(self) -> Iterator[str]:
        """The threads that keep the process, and the tasks of the loop, in words of the source only."""
        frames = sys._current_frames()
        for thread in threading.enumerate():
            frame = frames.get(thread.ident or 0)
            if frame is not None and not thread.daemon and frame.f_code.co_name != "_worker":  # which is idle
                yield f"thread {thread.name} in {place_in(frame, frame.f_lineno)}"
        for task in asyncio.all_tasks(self._loop):
            yield f"task {getattr(task.get_coro(), '__qualname__', 'unknown')}"
