"""A bounded map whose entries expire: what rate limits and the login throttle keep of each key."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

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
