"""A TCP proxy that fails like a bad network: reset, black hole, lost answers."""

import contextlib
import socket
import struct
import threading
import time
from typing import Self

from tests.system.nginx import STANDS_BEFORE_ALL

Pair = tuple[socket.socket, socket.socket]

_RESET = struct.pack("ii", 1, 0)


class CuttingProxy:
    """Pass bytes between a port of its own and `port`, until a method says otherwise."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._pairs: set[Pair] = set()
        self._lock = threading.Lock()
        self._is_down = False
        self._swallows = False
        self._may_pass = threading.Event()
        self._may_pass.set()
        self.delay_seconds = 0.0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if STANDS_BEFORE_ALL else 'http'}://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._may_pass.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    @property
    def connections(self) -> int:
        return len(self._pairs)

    def cut(self) -> None:
        """Reset every connection, and each new one, until `mend`."""
        self._is_down = True
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._end(pair)

    def cut_answers(self) -> None:
        """As `cut`, but requests have gone through, and only answers may be lost."""
        self._swallows = True
        self.cut()

    def swallow(self) -> None:
        """Take bytes and pass none on: a black hole."""
        self._swallows = True

    def stall(self) -> None:
        """Pass nothing on until `mend`; bytes that arrive meanwhile are not lost."""
        self._may_pass.clear()

    def mend(self) -> None:
        """Pass everything on again, at once."""
        self._is_down = self._swallows = False
        self.delay_seconds = 0.0
        self._may_pass.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_down:
                _reset(client)
                continue
            upstream = socket.create_connection(("127.0.0.1", self._port))
            pair = (client, upstream)
            with self._lock:
                self._pairs.add(pair)
            for source, target in (pair, pair[::-1]):
                thread = threading.Thread(target=self._pass, args=(source, target, pair), daemon=True)
                self._threads.append(thread)
                thread.start()
            self._end_if_down(pair)

    def _pass(self, source: socket.socket, target: socket.socket, pair: Pair) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._may_pass.wait()
                if self.delay_seconds:
                    time.sleep(self.delay_seconds)
                if not self._swallows:
                    target.sendall(data)
        self._end(pair)

    def _end_if_down(self, pair: Pair) -> None:
        """For a connection that came while `cut` looked at the others."""
        if self._is_down:
            self._end(pair)

    def _end(self, pair: Pair) -> None:
        with self._lock:
            if pair not in self._pairs:
                return
            self._pairs.remove(pair)
        for end in pair:
            _reset(end)


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits in recv
    end.close()
