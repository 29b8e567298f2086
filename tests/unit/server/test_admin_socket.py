"""The admin socket: for the user of the server only, one server at a time, and gone with it."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatio.server import admin_socket
from chatio.server.admin_socket import AdminSocket, ServerSilent, ask, open_admin_socket
from tests.conftest import ExpectedLogs


async def echo(line: bytes) -> AsyncIterator[bytes]:
    for number in range(3):
        yield b"%d %b" % (number, line.strip())


async def opened(path: Path) -> AdminSocket:
    found = open_admin_socket(path, echo)
    assert found is not None
    await found.start()
    return found


async def answers(path: Path, line: bytes = b"hello") -> list[bytes]:
    return [answer async for answer in ask(path, line)]


async def test_a_command_is_answered_line_by_line(tmp_path: Path) -> None:
    server = await opened(tmp_path / "admin")
    assert await answers(tmp_path / "admin") == [b"0 hello", b"1 hello", b"2 hello"]
    server.close()
    with pytest.raises(FileNotFoundError):
        await answers(tmp_path / "admin")


async def test_no_other_user_may_connect(tmp_path: Path) -> None:
    mask = os.umask(0)
    server = await opened(tmp_path / "admin")
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "admin").stat().st_mode) == 0o600
    server.close()


async def test_the_name_of_a_killed_server_is_taken_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / "admin"))
    with pytest.raises(ConnectionRefusedError):
        await answers(tmp_path / "admin")
    server = await opened(tmp_path / "admin")
    assert len(await answers(tmp_path / "admin")) == 3
    server.close()


@pytest.mark.parametrize("kind", ["file", "link to a file"])
def test_a_file_that_is_no_socket_stays(tmp_path: Path, logs: ExpectedLogs, kind: str) -> None:
    """ADMIN_SOCKET that names the database by mistake is no order to delete it."""
    logs.expect("No admin socket at chat.db: there is a file of that name, and no socket")
    path = tmp_path / "chat.db"
    database = path if kind == "file" else tmp_path / "other.db"
    database.write_text("all messages")
    if path != database:
        path.symlink_to(database)
    assert open_admin_socket(path, echo) is None
    assert path.read_text() == "all messages"


async def test_a_server_that_listens_keeps_its_name(tmp_path: Path, logs: ExpectedLogs) -> None:
    logs.expect("No admin socket at admin: another server listens there")
    first = await opened(tmp_path / "admin")
    assert open_admin_socket(tmp_path / "admin", echo) is None
    assert len(await answers(tmp_path / "admin")) == 3
    first.close()


async def test_a_server_does_not_remove_the_name_of_another(tmp_path: Path) -> None:
    first = await opened(tmp_path / "admin")
    (tmp_path / "admin").unlink()
    second = await opened(tmp_path / "admin")
    first.close()
    assert len(await answers(tmp_path / "admin")) == 3
    second.close()


@pytest.mark.parametrize("name", ["missing/admin", "x" * 120])
def test_a_path_that_cannot_be_used_is_a_warning(tmp_path: Path, logs: ExpectedLogs, name: str) -> None:
    logs.expect("No admin socket at")
    assert open_admin_socket(tmp_path / name, echo) is None


async def test_a_folder_that_can_only_be_read_by_now_fails_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await opened(tmp_path / "admin")

    def refused(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refused)
    server.close()


async def test_a_client_that_says_nothing_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_socket, "REQUEST_SECONDS", 0.05)
    server = await opened(tmp_path / "admin")
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "admin"))
    assert (await asyncio.wait_for(reader.read(), 10)).strip() == b""
    writer.close()
    server.close()


async def test_a_command_that_fails_is_reported_and_the_next_one_is_answered(
    tmp_path: Path, logs: ExpectedLogs
) -> None:
    logs.expect("running a command of the operator")

    async def failing(line: bytes) -> AsyncIterator[bytes]:
        if line == b"fail\n":
            raise RuntimeError
        yield line.strip()

    server = open_admin_socket(tmp_path / "admin", failing)
    assert server is not None
    await server.start()
    assert await answers(tmp_path / "admin", b"fail") == []
    assert await answers(tmp_path / "admin", b"go on") == [b"go on"]
    server.close()


async def test_a_command_that_takes_long_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_socket, "BEAT_SECONDS", 0.01)
    done = asyncio.Event()

    async def slow(line: bytes) -> AsyncIterator[bytes]:
        yield b"begun"
        await done.wait()
        yield b"done"

    server = open_admin_socket(tmp_path / "admin", slow)
    assert server is not None
    await server.start()
    monkeypatch.setattr(admin_socket, "SILENT_SECONDS", 0.5)
    asking = ask(tmp_path / "admin", b"hello")
    assert await anext(asking) == b"begun"
    asyncio.get_running_loop().call_later(1.0, done.set)
    assert [line async for line in asking] == [b"done"]
    server.close()


def listening(path: Path, waiting: int = 10) -> socket.socket:
    """A server that never accepts, as one that is stopped."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(waiting)
    return server


@pytest.mark.parametrize("is_full", [False, True], ids=["with room", "with no room for one more client"])
async def test_a_server_that_is_stopped_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_full: bool
) -> None:
    monkeypatch.setattr(admin_socket, "SILENT_SECONDS", 0.05)
    with listening(tmp_path / "admin", 0), socket.socket(socket.AF_UNIX) as other:
        if is_full:
            other.connect(str(tmp_path / "admin"))
        with pytest.raises(ServerSilent) as silent:
            await answers(tmp_path / "admin")
        assert not silent.value.was_asked


async def test_a_server_that_stops_in_the_middle_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_socket, "SILENT_SECONDS", 0.05)
    with listening(tmp_path / "admin") as server:
        asking = ask(tmp_path / "admin", b"hello")
        first = asyncio.ensure_future(anext(asking))
        connection, _ = await asyncio.to_thread(server.accept)
        with connection:
            connection.sendall(b"\nrow\n")
            assert await first == b"row"
            assert await asyncio.to_thread(connection.recv, 100) == b"hello\n"
            with pytest.raises(ServerSilent) as silent:
                await anext(asking)
            assert silent.value.was_asked


async def test_a_server_that_dies_in_the_middle_is_the_end_of_its_answer(tmp_path: Path) -> None:
    with listening(tmp_path / "admin") as server:
        asking = asyncio.ensure_future(answers(tmp_path / "admin"))
        connection, _ = await asyncio.to_thread(server.accept)
        connection.sendall(b"\nrow\n")
        connection.close()  # the command is unread, so that the client's connection is reset
        assert await asking in ([b"row"], [])


def test_a_stopped_server_keeps_its_name_and_no_other_server_from_starting(
    tmp_path: Path, logs: ExpectedLogs
) -> None:
    logs.expect("No admin socket at admin: another server listens there")
    with listening(tmp_path / "admin", 0), socket.socket(socket.AF_UNIX) as other:
        other.connect(str(tmp_path / "admin"))  # the one that may wait
        assert open_admin_socket(tmp_path / "admin", echo) is None
