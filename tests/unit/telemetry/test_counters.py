"""Counters and histograms."""

import math

import pytest

from chatio.telemetry.counters import Histogram, LabelledCounter


def test_a_counter_counts_by_label() -> None:
    counter = LabelledCounter(["early", "late"])
    counter["late"] += 1
    counter["late"] += 1
    assert list(counter.items()) == [("early", 0), ("late", 2)]
    assert counter["late"] == counter.total() == 2


def test_a_counter_raises_for_an_unknown_label() -> None:
    counter = LabelledCounter(["early"])
    with pytest.raises(KeyError):
        counter["what a client sent"] += 1
    assert list(counter.items()) == [("early", 0)]


def test_a_histogram_counts_durations_up_to_and_including_each_bound() -> None:
    durations = Histogram((0.1, 1.0))
    for seconds in (0.0, 0.1, 0.5, 1.0, 7.0):
        durations.observe(seconds)
    assert durations.cumulated() == [(0.1, 2), (1.0, 4), (math.inf, 5)]
    assert durations.sum == pytest.approx(8.6)
