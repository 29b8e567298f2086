"""Tallies and durations."""

import math

import pytest

from chatio.telemetry.counters import Histogram, LabelledCounter


def test_a_tally_counts_what_it_was_made_for() -> None:
    tally = LabelledCounter(["early", "late"])
    tally.increment("late")
    tally.increment("late")
    assert tally.items() == [("early", 0), ("late", 2)]
    assert tally["late"] == tally.total() == 2


def test_a_tally_of_a_fixed_set_takes_no_other_name() -> None:
    tally = LabelledCounter(["early"])
    with pytest.raises(KeyError):
        tally.increment("what a client sent")
    assert tally.items() == [("early", 0)]


def test_durations_are_cumulated_and_a_bound_belongs_to_itself() -> None:
    durations = Histogram((0.1, 1.0))
    for seconds in (0.0, 0.1, 0.5, 1.0, 7.0):
        durations.observe(seconds)
    assert durations.cumulated() == [(0.1, 2), (1.0, 4), (math.inf, 5)]
    assert durations.sum == pytest.approx(8.6)
