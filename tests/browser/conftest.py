"""The same parts as in the system tests."""

from tests.system.conftest import js

__all__ = ["js"]
