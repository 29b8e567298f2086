"""A bounded map whose entries expire: what rate limits and the login throttle keep of each key."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, TypeVar

Value = TypeVar("Value")


class ExpiringMap(OrderedDict[str, Value]):
    """A dictionary, in the order of `put`, that forgets. Event loop only.

    There is no timer: each `put` removes up to two of the keys that were put longest ago, as long as they have
    expired or the map is full. Two for each new key, so that the map shrinks after a rush. A key that has expired
    is there until it is removed. (A plain dict looks long for its first key when many before it were deleted.)
    """

    def __init__(self, max_keys: int, expires_at: Callable[[Value], float]) -> None:
        """`expires_at`: the time at which a value is of no use any more."""
        super().__init__()
        self._max_keys = max_keys
        self._expires_at = expires_at

    def put(self, key: str, value: Value, now: float) -> None:
        """Set the value of `key`, which is then the newest key. Other ways to set it leave its place."""
        self.pop(key, None)
        for _ in range(2):
            oldest = next(iter(self), None)
            if oldest is None or (len(self) < self._max_keys and self._expires_at(self[oldest]) > now):
                break
            del self[oldest]
        self[key] = value


class RecordedMap(ExpiringMap[Value]):
    """An `ExpiringMap` that notes which keys were set or removed, for a copy of it elsewhere."""

    def __init__(self, max_keys: int, expires_at: Callable[[Value], float]) -> None:
        super().__init__(max_keys, expires_at)
        self._changed: dict[str, None] = {}

    def __setitem__(self, key: str, value: Value) -> None:
        super().__setitem__(key, value)
        self._changed[key] = None

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._changed[key] = None

    def pop(self, key: str, default: Any = None) -> Any:
        """Remove `key`, and return its value; `default` if it is not there."""
        if key in self:
            self._changed[key] = None
        return super().pop(key, default)  # which does not call `__delitem__`

    def until(self, key: str) -> float:
        """The time at which the value of `key` is of no use any more."""
        return self._expires_at(self[key])

    def take_changed(self, most: int | None = None) -> list[str]:
        """The keys that changed since they were taken the last time, or the first `most` of them."""
        taken = list(islice(self._changed, most))
        for key in taken:
            del self._changed[key]
        return taken

    def note(self, keys: Iterable[str]) -> None:
        """Note as changed again those of `keys` that are in the map: the copy could not be brought up to date."""
        self._changed.update(dict.fromkeys(key for key in keys if key in self))
