"""The signals that stop the server: the first politely, the second at once."""

import asyncio
import signal
from typing import Final

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """SIGTERM and SIGINT as two events, whichever of them comes. Main thread's event loop only."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        for number in STOPPING:
            asyncio.get_running_loop().add_signal_handler(number, self._arrived)

    def close(self) -> None:
        """From now on both are ignored: the process is about to end by itself, with its own exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # one that comes between the two steps would kill
        try:
            for number in STOPPING:
                asyncio.get_running_loop().remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def _arrived(self) -> None:
        (self.second if self.first.is_set() else self.first).set()
