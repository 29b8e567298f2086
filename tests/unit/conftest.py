"""What unit tests share."""

from collections.abc import Iterator

import pytest
from tornado.ioloop import IOLoop

from tests.unit.clock import Clock
from tests.unit.faults import ERRORS
from tests.unit.handlers.rest_server import Rest


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=ERRORS)
def error(request: pytest.FixtureRequest) -> type[Exception]:
    kind: type[Exception] = request.param
    return kind


@pytest.fixture
def rest(io_loop: IOLoop) -> Iterator[Rest]:
    rest = Rest()
    io_loop.run_sync(rest.restart)
    yield rest
    io_loop.run_sync(rest.close)
