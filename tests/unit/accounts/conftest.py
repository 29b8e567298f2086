"""Password hashers with the cheapest parameters, closed after the test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from chatio.accounts.passwords import PasswordHasher

MakeHasher = Callable[..., PasswordHasher]


@pytest.fixture
def make_hasher() -> Iterator[MakeHasher]:
    with ExitStack() as opened:

        def make(**options: Any) -> PasswordHasher:
            return opened.enter_context(closing(PasswordHasher(**{"memory_kib": 8, "iterations": 1} | options)))

        yield make


@pytest.fixture
def hasher(make_hasher: MakeHasher) -> PasswordHasher:
    return make_hasher()
