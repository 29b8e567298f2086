"""Ports of 127.0.0.1."""

import socket
import time
from collections.abc import Callable


def free_port() -> int:
    """A port on which nothing listens now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def await_port(port: int, seconds: float, *, is_alive: Callable[[], bool] = lambda: True) -> None:
    """Return when a process listens on `port`. Raises TimeoutError after `seconds`, or if it is not alive."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and is_alive():
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port}")
