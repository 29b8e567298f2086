"""How many of somebody's are here."""


class ConcurrencyLimit:
    """Counts who is in, by key, and lets in `most` of each at a time; without a bound if that is None.

    Nothing is kept of a key of which none is in.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._counts)

    def __contains__(self, key: str) -> bool:
        """One of `key` is in."""
        return key in self._counts

    def has_capacity(self, key: str) -> bool:
        """One more of `key` may come in."""
        return self._most is None or self._counts.get(key, 0) < self._most

    def acquire(self, key: str) -> None:
        """One more of `key`, whatever the bound: to ask first is the caller's."""
        self._counts[key] = self._counts.get(key, 0) + 1

    def release(self, key: str) -> None:
        """One of `key` less. It must have entered."""
        left = self._counts[key] - 1
        if left:
            self._counts[key] = left
        else:
            del self._counts[key]
