"""Counters and histograms of what has happened since the start.

Each event is counted where it happens, and the metrics read the numbers (handlers/metrics/collector.py). A number
that an object has anyway, such as its open connections, is not counted twice.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Sequence
from typing import Final, TypeVar

Name = TypeVar("Name", bound=Hashable)

# Upper bounds in seconds. Each is a bit more than twice the one before.
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class LabelledCounter(dict[Name, int]):
    """Counts by label, out of a fixed set of labels: `counter[label] += 1`. Event loop only.

    The set is fixed: another label raises KeyError, so that no input of a client makes it grow, and every label is
    there from the start with 0.
    """

    def __init__(self, labels: Iterable[Name]) -> None:
        super().__init__(dict.fromkeys(labels, 0))

    def total(self) -> int:
        """The sum of all counts."""
        return sum(self.values())


class Histogram:
    """Counts durations, in seconds, by upper bound, and adds them up. Event loop only."""

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        self.later: list[float] = []  # durations that `flush` counts: appending one takes 0.03 µs, and not 0.15
        self._sum = 0.0
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self._sum += seconds
        self._counts[bisect_left(self._bounds, seconds)] += 1

    def flush(self) -> None:
        """Count the durations in `later`. Reading the histogram does so, too."""
        for seconds in self.later:
            self.observe(seconds)
        self.later.clear()

    @property
    def sum(self) -> float:
        self.flush()
        return self._sum

    def cumulated(self) -> list[tuple[float, int]]:
        """Each bound, infinity last, with the number of durations up to it."""
        self.flush()
        pairs = []
        so_far = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            so_far += count
            pairs.append((bound, so_far))
        return pairs
