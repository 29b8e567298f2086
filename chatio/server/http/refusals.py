"""Answers to requests that no handler sees: their heads are too large, too slow or malformed."""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from tornado.httputil import format_timestamp

from chatio.errors import ChatioError, InvalidInput, Temporary, answer_to

# A refused connection is read for so long and so far, so that its client sees the answer and no reset.
LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 1024 * 1024
# So many at a time, since each has a file that counts for no address; past it the connection is closed at once.
MAX_LINGERING: Final = 16

logger = logging.getLogger("chatio.http")


class Refusals:
    """Answers requests that no handler sees, and closes their connections. Event loop only."""

    def __init__(self, headers: Callable[[str | None], Mapping[str, str]]) -> None:
        """`headers` of an answer to a page or app of this Origin, such as those of CORS."""
        self._headers = headers
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """The number of connections that are being answered."""
        return len(self._tasks)

    def refuse(self, sock: socket.socket, address: str, error: ChatioError, *, origin: str | None = None) -> None:
        """Answer `error` over `sock`, a descriptor of our own, and close it; `origin`: what the request says."""
        answer = answer_to(error)
        logger.info(
            "Bad request from %s: answered %d",
            address,
            answer.status,
            extra={"event": "bad_request", "address": address, "status": answer.status, "reason": answer.code},
        )
        data = _bytes_of(error, self._headers(origin))
        if len(self._tasks) >= MAX_LINGERING:
            with sock, contextlib.suppress(OSError):
                sock.send(data)
            return
        task = asyncio.get_running_loop().create_task(_dismiss(sock, data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _dismiss(sock: socket.socket, answer: bytes) -> None:
    loop = asyncio.get_running_loop()
    with sock:
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await loop.sock_sendall(sock, answer)
                sock.shutdown(socket.SHUT_WR)
                left = LINGER_BYTES
                while left > 0 and (discarded := await loop.sock_recv(sock, 64 * 1024)):
                    left -= len(discarded)
        except (OSError, TimeoutError):  # the client is gone, or stays
            return


def _bytes_of(error: ChatioError, headers: Mapping[str, str]) -> bytes:
    answer = answer_to(error)
    body: dict[str, Any] = {"message": answer.message, "code": answer.code}
    if isinstance(error, InvalidInput):
        body["errors"] = error.errors
    if isinstance(error, Temporary):
        body["retry_after_seconds"] = error.retry_after_seconds
        headers = {**headers, "Retry-After": str(error.retry_after_seconds)}
    encoded = msgspec.json.encode(body)
    lines = [
        f"HTTP/1.1 {answer.status} {answer.code.replace('_', ' ').capitalize()}",
        "Content-Type: application/json; charset=utf-8",
        f"Content-Length: {len(encoded)}",
        f"Date: {format_timestamp(time.time())}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + encoded
