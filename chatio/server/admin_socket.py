"""Admin socket: the operator's commands reach the running server over a Unix socket.

Only the user of the server and root can connect: the socket has mode 0600 from its first moment on. The server
greets with an empty line, the client sends one line and receives lines; the last is "end" and the exit code of the
command. An empty line each second says that the server goes on: the kernel takes connections and bytes also for a
process that is stopped (SIGSTOP), or that hangs.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from chatio.telemetry.error_report import report

logger = logging.getLogger("chatio.server")

MAX_LINE_BYTES: Final = 4 * 2**20
REQUEST_SECONDS: Final = 10.0
BEAT_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 10.0  # a server that says nothing for so long is stopped, or hangs

Execute = Callable[[bytes], AsyncIterator[bytes]]


class ServerSilent(Exception):
    """A server has the socket and does not answer; `was_asked`: it may run the command when it goes on."""

    def __init__(self, *, was_asked: bool) -> None:
        super().__init__()
        self.was_asked = was_asked


class AdminSocket:
    """The socket at `path`, until `close`. Event loop only."""

    def __init__(self, path: Path, listener: socket.socket, execute: Execute) -> None:
        self._path = path
        self._listener = listener
        self._file = _file_at(path)
        self._execute = execute
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._answer, sock=self._listener, limit=MAX_LINE_BYTES)

    def close(self) -> None:
        """Take no more commands. The name goes, unless it is another server's by now."""
        if self._server is not None:
            self._server.close()
        if _file_at(self._path) == self._file:
            with contextlib.suppress(OSError):  # its folder can be read only by now; the next start removes it
                self._path.unlink()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beating = asyncio.create_task(_beat(writer))
        try:
            line = await asyncio.wait_for(reader.readline(), REQUEST_SECONDS)
            async with contextlib.aclosing(aiter(self._execute(line))) as answers:  # type: ignore[type-var]
                async for answer in answers:
                    writer.write(answer + b"\n")
                    await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass  # the client has gone, or sends no command
        except Exception as error:
            report(logger, "running a command of the operator", error)
        finally:
            beating.cancel()
            writer.close()


async def _beat(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"\n")
        await asyncio.sleep(BEAT_SECONDS)


def open_admin_socket(path: Path, execute: Execute) -> AdminSocket | None:
    """The socket at `path`; None, and a line in the log, if it cannot be opened, or another server has it."""
    if _is_listening(path):
        _log_failed(path, "another server listens there")
        return None
    if _file_at(path) is not None and not path.is_socket():  # a database for instance
        _log_failed(path, "there is a file of that name, and no socket")
        return None
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():  # of a server that was killed
            path.unlink()
        os.fchmod(listener.fileno(), 0o600)  # the mode of the name that bind makes (unix(7))
        listener.bind(os.fspath(path))
        os.chmod(path, 0o600)  # where the system does not take it over
        listener.listen()
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        _log_failed(path, error.strerror or "its path is too long")
        return None
    return AdminSocket(path, listener, execute)


async def ask(path: Path, command: bytes) -> AsyncIterator[bytes]:
    """The lines that the server at `path` answers to `command`, which is one line; fewer if it dies meanwhile.

    Raises OSError without a server, and `ServerSilent`.
    """
    was_asked = False
    reader, writer = await asyncio.open_unix_connection(os.fspath(path), limit=MAX_LINE_BYTES)
    try:
        while line := await _next_line(reader):
            if not was_asked:
                was_asked = True
                writer.write(command + b"\n")
            if line := line.rstrip(b"\n"):
                yield line
    except TimeoutError:
        raise ServerSilent(was_asked=was_asked) from None
    finally:
        writer.close()
    if not was_asked:
        raise ServerSilent(was_asked=False)


async def _next_line(reader: asyncio.StreamReader) -> bytes:
    """Empty at the end, also that of a server that is killed. Raises TimeoutError."""
    async with asyncio.timeout(SILENT_SECONDS):
        try:
            return await reader.readline()
        except OSError:  # not connected, where too many clients wait; or cut off
            return b""


def _log_failed(path: Path, reason: str) -> None:
    logger.warning("No admin socket at %s: %s", path.name, reason, extra={"event": "admin_socket_failed"})


def _is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # it would wait for a server that is stopped, and has many waiting
        try:
            probe.connect(os.fspath(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True


def _file_at(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
