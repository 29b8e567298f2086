"""The REST server of the unit tests, for property tests too."""

from tests.unit.conftest import rest

__all__ = ["rest"]
