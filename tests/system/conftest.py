"""A running server and official clients for the tests that want them."""

from collections.abc import Iterator

import pytest

from tests.system.js import JsClients
from tests.system.server import ServerProcess


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as process:
        yield process


@pytest.fixture
def js() -> Iterator[JsClients]:
    with JsClients() as clients:
        yield clients
