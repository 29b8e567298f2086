"""Waiting sockets: those of HTTP connections without a stream, watched by an epoll instance of their own.

The event loop watches the instance, and looks at a few of the sockets that have input in each of its turns. The
sockets of WebSockets it watches itself: however many clients come back at once, a user who chats waits for a few
of them only. When the loop watched all, a thousand requests that came together took 13 ms of one turn.
"""

import asyncio
import logging
import select
from collections.abc import Callable
from typing import Final

from chatio.telemetry.error_report import report

MOST_PER_TURN: Final = 8

logger = logging.getLogger("chatio.http")


class WaitingSockets:
    """Calls back when a socket has input, or its client has left. Event loop only."""

    def __init__(self) -> None:
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll() if hasattr(select, "epoll") else None  # None: macOS
        self._is_watched = False

    def add(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Call `callback` in each turn in which the socket has input, until it is removed."""
        loop = asyncio.get_running_loop()
        if self._epoll is None:
            loop.add_reader(descriptor, callback)
            return
        if not self._is_watched:
            loop.add_reader(self._epoll.fileno(), self._call_some, self._epoll)
            self._is_watched = True
        self._epoll.register(descriptor, select.EPOLLIN)
        self._callbacks[descriptor] = callback

    def remove(self, descriptor: int) -> None:
        """Call its callback no more. The socket must be open still."""
        if self._epoll is None:
            asyncio.get_running_loop().remove_reader(descriptor)
        elif self._callbacks.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._epoll is not None:
            if self._is_watched:
                asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _call_some(self, epoll: select.epoll) -> None:
        for descriptor, _ in epoll.poll(0, MOST_PER_TURN):
            callback = self._callbacks.get(descriptor)  # None: another one has removed it
            try:
                if callback is not None:
                    callback()
            except Exception as error:
                report(logger, "looking at a connection", error)
