"""A running server and official clients for the tests that want them."""

from collections.abc import Iterator

import pytest

from tests.system.js import JsClients
from tests.system.nginx import STANDS_BEFORE_ALL
from tests.system.server import ServerProcess


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as process:
        yield process


@pytest.fixture
def js() -> Iterator[JsClients]:
    with JsClients() as clients:
        yield clients


DIRECT = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where nginx stands before all servers, leave out what is about the server's own socket."""
    if not STANDS_BEFORE_ALL:
        return
    left_out = {item: mark.args[0] for item in items if (mark := item.get_closest_marker("direct"))}
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))
    config.stash[DIRECT] = sorted({f"{item.nodeid.partition('[')[0]}: {why}" for item, why in left_out.items()})


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    return [f"not through nginx: {line}" for line in config.stash.get(DIRECT, [])]
