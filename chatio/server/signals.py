"""Signals that stop the server: the first gracefully, the second at once; and SIGABRT, a watchdog's."""

import asyncio
import logging
import os
import signal
from types import FrameType
from typing import Final

from chatio.telemetry.error_report import place_in

logger = logging.getLogger("chatio")

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """SIGTERM and SIGINT as two events, whichever of them comes. Main thread's event loop only."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        for number in STOPPING:
            asyncio.get_running_loop().add_signal_handler(number, self._arrived)

    def close(self) -> None:
        """Ignore both from now on: the process is about to end by itself, with its own exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # a signal between the two steps would kill
        try:
            for number in STOPPING:
                asyncio.get_running_loop().remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def _arrived(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


def log_aborts() -> None:
    """Log where the process was when SIGABRT, a watchdog's signal for a stuck process, ends it."""
    signal.signal(signal.SIGABRT, _aborted)


def _aborted(number: int, frame: FrameType | None) -> None:
    place = "unknown" if frame is None else place_in(frame, frame.f_lineno)
    logger.critical(
        "Aborted by SIGABRT, a watchdog's signal, in %s", place, extra={"event": "aborted", "place": place}
    )
    logging.shutdown()  # writes the line, in a bounded time
    signal.signal(signal.SIGABRT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGABRT)
