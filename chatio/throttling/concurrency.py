"""Concurrency limit: how many of one key may be open at a time, such as connections of one address."""


class ConcurrencyLimit:
    """Counts what is open by key, and has capacity for `most` of each; `most=None` is no limit. Event loop only.

    A key with nothing open takes no memory.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        """The number of keys that have something open."""
        return len(self._counts)

    def __contains__(self, key: str) -> bool:
        """Whether `key` has something open."""
        return key in self._counts

    def acquire(self, key: str) -> bool:
        """Count one more of `key`, and return True. Past the limit count nothing, and return False."""
        count = self._counts.get(key, 0)
        if self._most is not None and count >= self._most:
            return False
        self._counts[key] = count + 1
        return True

    def release(self, key: str) -> None:
        """Count one fewer of `key`. Raises KeyError if none is open."""
        remaining = self._counts[key] - 1
        if remaining:
            self._counts[key] = remaining
        else:
            del self._counts[key]
