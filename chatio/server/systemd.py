"""systemd's protocols for services: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3).

A notification is one datagram of NAME=value lines to a Unix socket. The libraries for it are unmaintained since
2017 (sdnotify, which also hides failures) or need libsystemd's headers to build (systemd-python).
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, MutableMapping
from typing import Final

from chatio.server.listen import CannotListen
from chatio.telemetry.error_report import report

logger = logging.getLogger("chatio")

STATUS_SECONDS: Final = 10.0  # between two reports, unless a watchdog needs them more often
FIRST_DESCRIPTOR: Final = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)


class SystemdNotifier:
    """Reports the server's state to the service manager, if there is one. Event loop only.

    The watchdog is notified from the event loop only: when the loop is stuck, notifications stop, and the manager
    restarts the service.
    """

    def __init__(self, address: str = "", *, watchdog_seconds: float | None = None) -> None:
        """`address` as in NOTIFY_SOCKET: a path, or "@name" for an abstract one; "" for none.

        `watchdog_seconds`: the manager restarts the service after so long without a notification.
        """
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_seconds = watchdog_seconds
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_reached = True

    def ready(self, status: Callable[[], str], is_stalled: Callable[[], bool] = lambda: False) -> None:
        """The server accepts clients. From now on until `close`, report `status()`, a line for operators.

        While it `is_stalled`, the watchdog is not notified either: only a restart will help.
        """
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._send("READY=1")
            self._report(status, is_stalled)

    def stopping(self) -> None:
        """The server drains and is about to end."""
        self._send("STOPPING=1")

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._socket.close()
        self._timer = self._socket = None

    def _report(self, status: Callable[[], str], is_stalled: Callable[[], bool]) -> None:
        seconds = STATUS_SECONDS if self._watchdog_seconds is None else self._watchdog_seconds / 2
        # As sd_watchdog_enabled(3) recommends. And first: whatever fails below, the next report comes.
        self._timer = asyncio.get_running_loop().call_later(seconds, self._report, status, is_stalled)
        if is_stalled():
            self._send("STATUS=stalled")
            return
        lines = []
        try:
            lines.append(f"STATUS={status()}")
        except Exception as error:  # any: the loop goes on, and so does the watchdog
            report(logger, "the status for the service manager", error)
        if self._watchdog_seconds is not None:
            lines.append("WATCHDOG=1")
        self._send("\n".join(lines))

    def _send(self, text: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(text.encode(), self._address)
            self._is_reached = True
        except OSError as error:  # the next one may succeed
            if self._is_reached:
                logger.warning(
                    "Notifying the service manager of %s failed: %s",
                    text.partition("=")[0],
                    error.strerror,
                    extra={"event": "manager_not_told", "reason": error.strerror},
                )
            self._is_reached = False


def take_notifier(environ: MutableMapping[str, str]) -> SystemdNotifier:
    """The notifier that `environ` configures. Its variables are removed, so that no child process uses them."""
    address = environ.pop("NOTIFY_SOCKET", "")
    watchdog, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    is_ours = pid in ("", str(os.getpid()))
    microseconds = int(watchdog) if is_ours and watchdog.isdecimal() else 0
    return SystemdNotifier(address, watchdog_seconds=microseconds / 1e6 if microseconds else None)


def take_descriptors(environ: MutableMapping[str, str]) -> range:
    """The listening descriptors that the service manager handed over to this process, by sd_listen_fds(3).

    Their variables are removed from `environ`, so that no child process uses them. Descriptors for another process
    are ignored. Raises `CannotListen` for values that are not numbers.
    """
    pid, count, _ = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if not pid or not count:
        return range(0)
    if not (pid.isdecimal() and count.isdecimal() and len(pid + count) < 20):
        raise CannotListen("LISTEN_PID and LISTEN_FDS must be numbers.")
    return range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + (int(count) if int(pid) == os.getpid() else 0))
