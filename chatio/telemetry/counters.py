"""What has happened since the start, in numbers: for whoever asks, and with no idea who that is.

What happens is counted where it happens, and the metrics read it (handlers/metrics/collector.py). What can be
asked of the thing itself when somebody wants to know, such as how many are connected, is not counted twice.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Sequence
from typing import Final, Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)

# Upper bounds in seconds. Each is a bit more than twice the one before.
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class LabelledCounter(Generic[Name]):
    """How often each of a fixed set of things has happened. Event loop only.

    The set is fixed, so that nothing a client sends makes it grow, and all of it is there from the start at 0.
    """

    def __init__(self, names: Iterable[Name]) -> None:
        self._counts = dict.fromkeys(names, 0)

    def __contains__(self, name: object) -> bool:
        return name in self._counts

    def __getitem__(self, name: Name) -> int:
        return self._counts[name]

    def increment(self, name: Name) -> None:
        """One more of `name`. KeyError if it is not of the set."""
        self._counts[name] += 1

    def items(self) -> list[tuple[Name, int]]:
        return list(self._counts.items())

    def total(self) -> int:
        return sum(self._counts.values())


class Histogram:
    """How many durations, in seconds, were not longer than each bound, and their sum. Event loop only."""

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        self.sum = 0.0
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, seconds: float) -> None:
        """0.15 µs."""
        self.sum += seconds
        self._counts[bisect_left(self._bounds, seconds)] += 1

    def cumulated(self) -> list[tuple[float, int]]:
        """Each bound, infinity last, and how many were not longer."""
        pairs = []
        so_far = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            so_far += count
            pairs.append((bound, so_far))
        return pairs
