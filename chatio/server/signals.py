"""Signals: which end the server gracefully or at once, which are ignored; and SIGABRT, a watchdog's.

docs/leaving.md has the table of them. SIGPIPE is ignored by Python itself, without a line: each write to a
connection that its client has closed sends one.
"""

import asyncio
import atexit
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

from chatio.telemetry.error_report import place_in

logger = logging.getLogger("chatio")

STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
HANGUP: Final = signal.SIGHUP
# Sent again and again: while the power fails, and each second past the limit of CPU time (RLIMIT_CPU).
REPEATED: Final = (HANGUP, *(getattr(signal, name) for name in ("SIGPWR", "SIGXCPU") if hasattr(signal, name)))
# A fault in the code of the process, which cannot go on; SIGABRT has a handler of its own.
_FAULTS: Final = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
_UNCATCHABLE: Final = {signal.SIGKILL, signal.SIGSTOP}
# They end no process by default (signal(7)), and a shell's job control needs them; Python ignores the last two.
_HARMLESS: Final = {
    *(signal.SIGCHLD, signal.SIGCONT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGURG),
    *(signal.SIGWINCH, signal.SIGPIPE, signal.SIGXFSZ),
}
# By default each of these kills: SIGUSR1, SIGALRM, the real-time signals and so on. A reload or a reopened log is
# what their senders expect: the server has neither.
IGNORED: Final = tuple(
    sorted(signal.valid_signals() - {*STOPPING, *REPEATED} - _FAULTS - _UNCATCHABLE - _HARMLESS)
)
HANDLED: Final = (*STOPPING, *REPEATED, *IGNORED)
AT_ONCE_SECONDS: Final = 2.0  # after the second signal: a database is closed within one


class ProcessSignals:
    """The signals that stop the server, as two events; and a log line for each one that is ignored.

    A hangup never counts as the second signal: a terminal that is closed may send several, and systemd sends one
    right after SIGTERM where a unit says so. It is ignored if it was ignored at the start, as nohup(1) asks for.
    The same holds for the other signals that are sent again and again.

    From the first signal on the process must end within the grace. That is said by a handler of Python's own, for
    the loop may stand still.

    Main thread's event loop only.
    """

    def __init__(self, end_within: Callable[[float], None], grace_seconds: float) -> None:
        """`end_within`: see `ExitDeadline`."""
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        self._end_within = end_within
        self._grace_seconds = grace_seconds
        self._has_arrived = False
        loop = asyncio.get_running_loop()
        for number in STOPPING:
            loop.add_signal_handler(number, self._stop)
            signal.signal(number, self._arrived)  # besides: asyncio is told by its file descriptor
        for number in REPEATED:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self.first.set)
                signal.signal(number, self._arrived)
        for number in IGNORED:
            with contextlib.suppress(RuntimeError):  # valgrind and some sandboxes keep one for themselves
                loop.add_signal_handler(number, _log_ignored, number)

    def close(self) -> None:
        """Ignore them from now on: the process is about to end by itself, with its own exit code.

        While something holds it up, the second of those that stop it still makes it end at once.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)  # a signal between the two steps would kill
        try:
            for number in HANDLED:
                asyncio.get_running_loop().remove_signal_handler(number)
                with contextlib.suppress(OSError):  # kept by a sandbox: see above
                    signal.signal(number, self._arrived if number in STOPPING else signal.SIG_IGN)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        atexit.register(_ignore_stopping)  # after all threads have ended; a handler of Python's would then kill

    def _arrived(self, number: int, _: FrameType | None) -> None:
        if not self._has_arrived:
            self._has_arrived = True
            self._end_within(self._grace_seconds)
        elif number in STOPPING:
            self._end_within(min(AT_ONCE_SECONDS, self._grace_seconds))

    def _stop(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


def _ignore_stopping() -> None:
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def ignore_terminal_stops() -> None:
    """Let a process in the background write to its terminal: `stty tostop` would stop it at its first line."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)


def _log_ignored(number: int) -> None:
    name = _name_of(number)
    logger.info("%s is ignored", name, extra={"event": "signal_ignored", "signal": name})


def _name_of(number: int) -> str:
    """The name of signal `number`; the real-time signals between the first and the last have none of their own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"


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
