"""What a service manager hears, on a socket as systemd's own."""

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatio.server.listen import CannotListen
from chatio.server.systemd import STATUS_SECONDS, SystemdNotifier, take_descriptors, take_notifier
from tests.conftest import ExpectedLogs

PATIENCE_SECONDS = 20.0


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def close(self) -> None:
        self._socket.close()

    def heard(self) -> list[str]:
        """All that it was told since it was last asked."""
        texts = []
        while True:
            try:
                texts.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return texts

    async def next(self) -> str:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await asyncio.get_running_loop().sock_recv(self._socket, 4096)).decode()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify") if request.param == "path" else f"@chatio-test-{os.getpid()}")
    yield manager
    manager.close()


async def test_ready_then_the_status_then_stopping(manager: Manager) -> None:
    notifier = SystemdNotifier(manager.address)
    notifier.ready(lambda: "7 people online")
    notifier.stopping()
    notifier.close()
    assert manager.heard() == ["READY=1", "STATUS=7 people online", "STOPPING=1"]


async def test_the_watchdog_is_fed_by_the_loop_with_the_status_of_the_moment(manager: Manager) -> None:
    people = iter(range(100_000))
    notifier = SystemdNotifier(manager.address, watchdog_seconds=0.01)
    notifier.ready(lambda: f"{next(people)} people online")
    assert await manager.next() == "READY=1"
    for number in range(3):
        assert await manager.next() == f"STATUS={number} people online\nWATCHDOG=1"
    notifier.close()


@pytest.mark.parametrize("error", [RuntimeError("hunter2"), MemoryError()])
async def test_a_status_that_fails_ends_neither_the_reports_nor_the_watchdog(
    manager: Manager, logs: ExpectedLogs, error: Exception
) -> None:
    def fail() -> str:
        raise error

    logs.expect(f"^the status for the service manager failed: {type(error).__name__} at ")
    notifier = SystemdNotifier(manager.address, watchdog_seconds=0.01)
    notifier.ready(fail)
    assert await manager.next() == "READY=1"
    for _ in range(3):
        assert await manager.next() == "WATCHDOG=1"
    notifier.close()


@pytest.mark.parametrize(("watchdog_seconds", "seconds"), [(30.0, 15.0), (None, STATUS_SECONDS)])
async def test_the_next_report_is_due_at_half_of_the_watchdogs_time(
    manager: Manager, monkeypatch: pytest.MonkeyPatch, watchdog_seconds: float | None, seconds: float
) -> None:
    loop = asyncio.get_running_loop()
    later, asked = loop.call_later, []

    def remembered(delay: float, *call: Any) -> asyncio.TimerHandle:
        asked.append((delay, later(delay, *call)))
        return asked[-1][1]

    monkeypatch.setattr(loop, "call_later", remembered)
    notifier = SystemdNotifier(manager.address, watchdog_seconds=watchdog_seconds)
    notifier.ready(lambda: "well")
    ((delay, timer),) = asked
    assert delay == seconds
    assert not timer.cancelled()
    notifier.close()
    assert timer.cancelled()


async def test_a_stuck_loop_notifies_no_watchdog(manager: Manager) -> None:
    notifier = SystemdNotifier(manager.address, watchdog_seconds=0.01)
    notifier.ready(lambda: "well")
    for _ in range(3):
        await manager.next()
    manager.heard()
    time.sleep(0.2)  # noqa: ASYNC251 - the loop is stuck for forty of its beats
    assert manager.heard() == []
    assert "WATCHDOG=1" in await manager.next()
    notifier.close()


async def test_after_the_end_nothing_is_told(manager: Manager) -> None:
    notifier = SystemdNotifier(manager.address, watchdog_seconds=0.01)
    notifier.ready(lambda: "well")
    notifier.close()
    manager.heard()
    notifier.stopping()
    notifier.close()
    assert manager.heard() == []


async def test_without_a_manager_nothing_happens() -> None:
    notifier = SystemdNotifier()
    notifier.ready(lambda: pytest.fail("nobody asked"))
    notifier.stopping()
    notifier.close()


async def test_unreachable_manager_is_a_warning_and_notified_later(tmp_path: Path, logs: ExpectedLogs) -> None:
    logs.expect("^Notifying the service manager of READY failed: No such file or directory$")
    notifier = SystemdNotifier(str(tmp_path / "late"), watchdog_seconds=0.01)
    notifier.ready(lambda: "well")
    assert len(logs.records) == 1
    late = Manager(str(tmp_path / "late"))
    assert await late.next() == "STATUS=well\nWATCHDOG=1"
    notifier.close()
    late.close()


async def told_by(environ: dict[str, str], manager: Manager) -> list[str]:
    notifier = take_notifier(environ)
    notifier.ready(lambda: "well")
    notifier.close()
    return manager.heard()


async def test_it_is_taken_from_the_environment_once(manager: Manager) -> None:
    environ = {
        "NOTIFY_SOCKET": manager.address,
        "WATCHDOG_USEC": "20000000",
        "WATCHDOG_PID": str(os.getpid()),
        "PATH": "/bin",
    }
    assert await told_by(environ, manager) == ["READY=1", "STATUS=well\nWATCHDOG=1"]
    assert environ == {"PATH": "/bin"}
    assert await told_by(environ, manager) == []


async def test_a_watchdog_without_a_pid_is_ours(manager: Manager) -> None:
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "20000000"}
    assert (await told_by(environ, manager))[-1] == "STATUS=well\nWATCHDOG=1"


@pytest.mark.parametrize(
    "watchdog",
    [
        {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "often"},
        {"WATCHDOG_USEC": "-1"},
        {"WATCHDOG_PID": "1"},
    ],
)
async def test_watchdog_of_another_process_is_not_notified(manager: Manager, watchdog: dict[str, str]) -> None:
    heard = await told_by({"NOTIFY_SOCKET": manager.address, **watchdog}, manager)
    assert heard == ["READY=1", "STATUS=well"]


# --- descriptors


def test_descriptors_begin_at_3_and_what_names_them_is_taken_away() -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "PATH": "/bin"}
    assert list(take_descriptors(environ)) == [3, 4]
    assert environ == {"PATH": "/bin"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid())},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"},
    ],
)
def test_nothing_handed_over_to_us_is_no_descriptor(environ: dict[str, str]) -> None:
    assert list(take_descriptors(environ)) == []
    assert environ == {}


@pytest.mark.parametrize(
    ("pid", "count"), [("me", "1"), (None, "one"), (None, "-1"), (None, "9" * 5000), ("²", "1")]
)
def test_what_no_manager_would_write_is_one_clear_line(pid: str | None, count: str) -> None:
    with pytest.raises(CannotListen, match=r"^LISTEN_PID and LISTEN_FDS must be numbers\.$"):
        take_descriptors({"LISTEN_PID": pid or str(os.getpid()), "LISTEN_FDS": count})


async def test_the_watchdog_is_not_fed_while_the_server_is_stalled(manager: Manager) -> None:
    is_stalled = False
    notifier = SystemdNotifier(manager.address, watchdog_seconds=0.01)
    notifier.ready(lambda: "7 people online", is_stalled=lambda: is_stalled)
    assert await manager.next() == "READY=1"
    assert await manager.next() == "STATUS=7 people online\nWATCHDOG=1"
    is_stalled = True
    while (told := await manager.next()).endswith("WATCHDOG=1"):
        pass
    assert told == "STATUS=stalled"
    is_stalled = False
    while (told := await manager.next()) == "STATUS=stalled":
        pass
    assert told == "STATUS=7 people online\nWATCHDOG=1"
    notifier.close()
