"""What the service manager is told, and how often: sd_notify(3), sd_watchdog_enabled(3).

The protocol is one datagram of NAME=value lines to a Unix socket. The libraries for it are unkept since 2017
(sdnotify, which also hides that nothing was told) or need libsystemd's headers to build (systemd-python).
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, MutableMapping

logger = logging.getLogger("chatio")

STATUS_SECONDS = 10.0  # between two reports where no watchdog wants them more often


class SystemdNotifier:
    """Tells the service manager how the server is; without a manager, nothing. Event loop only.

    The watchdog is fed from the event loop, and from nowhere else: a loop that is stuck feeds nobody, and the
    manager restarts the service.
    """

    def __init__(self, address: str = "", *, watchdog_seconds: float | None = None) -> None:
        """`address` as in NOTIFY_SOCKET: a path, or "@name" for an abstract one; "" for none.

        `watchdog_seconds`: the manager gives up when it has not been fed for so long.
        """
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_seconds = watchdog_seconds
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_heard = True

    def ready(self, status: Callable[[], str]) -> None:
        """The server takes people. From now on until `close` the manager hears `status()`, a line for people."""
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._tell("READY=1")
            self._beat(status)

    def stopping(self) -> None:
        """The server takes nobody new and is about to end."""
        self._tell("STOPPING=1")

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._socket.close()
        self._timer = self._socket = None

    def _beat(self, status: Callable[[], str]) -> None:
        lines = [f"STATUS={status()}"]
        seconds = STATUS_SECONDS
        if self._watchdog_seconds is not None:
            lines.append("WATCHDOG=1")
            seconds = self._watchdog_seconds / 2  # as sd_watchdog_enabled(3) recommends
        self._tell("\n".join(lines))
        self._timer = asyncio.get_running_loop().call_later(seconds, self._beat, status)

    def _tell(self, text: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(text.encode(), self._address)
            self._is_heard = True
        except OSError as error:  # the next one may be heard
            if self._is_heard:
                logger.warning(
                    "The service manager was not told %s: %s",
                    text.partition("=")[0],
                    error.strerror,
                    extra={"event": "manager_not_told", "reason": error.strerror},
                )
            self._is_heard = False


def take_notifier(environ: MutableMapping[str, str]) -> SystemdNotifier:
    """The one that `environ` names. What names it is taken out, so that no child speaks in our name."""
    address = environ.pop("NOTIFY_SOCKET", "")
    watchdog, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    is_ours = pid in ("", str(os.getpid()))
    microseconds = int(watchdog) if is_ours and watchdog.isdecimal() else 0
    return SystemdNotifier(address, watchdog_seconds=microseconds / 1e6 if microseconds else None)
