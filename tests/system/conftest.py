"""Fixtures: a running server, and official clients."""

import asyncio
from collections.abc import Iterator

import pytest
from tornado.ioloop import IOLoop

from tests.client import wire
from tests.measuring import unmeasured
from tests.system.js import JsClients
from tests.system.nginx import SERVERS, STANDS_BEFORE_ALL
from tests.system.server import ServerProcess


@pytest.fixture(scope="package", autouse=True)
def servers_are_measured_only() -> Iterator[None]:
    with unmeasured():
        yield


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as process:
        yield process


@pytest.fixture
def js() -> Iterator[JsClients]:
    with JsClients() as clients:
        yield clients


@pytest.fixture(autouse=True)
def nothing_stays_open(io_loop: IOLoop) -> Iterator[None]:
    """Cut the connections that a test has left open, before its loop is closed."""
    yield

    async def cut() -> None:
        wire.cut_all()
        await asyncio.sleep(0)  # for asyncio to close them

    io_loop.run_sync(cut)


DIRECT = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, behind nginx, the tests of the own socket, and with several servers those of a single one."""
    if not STANDS_BEFORE_ALL:
        return
    names = ("direct", "alone") if SERVERS > 1 else ("direct",)
    marks = {item: next(filter(None, map(item.get_closest_marker, names)), None) for item in items}
    left_out = {item: mark.args[0] for item, mark in marks.items() if mark is not None}
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))
    config.stash[DIRECT] = sorted({f"{item.nodeid.partition('[')[0]}: {why}" for item, why in left_out.items()})


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    return [f"not through nginx: {line}" for line in config.stash.get(DIRECT, [])]
