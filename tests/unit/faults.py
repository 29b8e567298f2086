"""Exceptions that happen once, where nothing but what they interrupt may end."""

from collections.abc import Callable
from typing import Any

import pytest

ERRORS = [RuntimeError, MemoryError]  # the fixture `error` is each of them


def failing(
    call: Callable[..., Any], error: type[Exception], *, at: int = 0, times: int = 1
) -> Callable[..., Any]:
    """`call`, which raises `error` `times` times from its call number `at` on."""
    number = iter(range(1 << 60))

    def fails(*args: Any, **kwargs: Any) -> Any:
        if at <= next(number) < at + times:
            raise error
        return call(*args, **kwargs)

    return fails


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: type[Exception]) -> None:
    """Let the next call of this method of `owner` raise `error`."""
    monkeypatch.setattr(owner, name, failing(getattr(owner, name), error))
