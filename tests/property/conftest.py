"""The REST server of the unit tests, for property tests too."""

from collections.abc import Iterator

import pytest

from tests.measuring import unmeasured
from tests.unit.conftest import rest

__all__ = ["rest"]


@pytest.fixture(scope="package", autouse=True)
def others_are_measured_only() -> Iterator[None]:
    """Thousands of examples run what the other tests run too."""
    with unmeasured():
        yield
