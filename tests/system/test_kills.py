"""kill -9 and power cuts: no acknowledged message is lost, none arrives twice, and all clients have one order.

A few rounds of what `python -m tests.system.kills` and `power_cuts` do a hundred times.
"""

import random

import pytest

from tests.postgres import postgres
from tests.system import kills, power_cuts


@pytest.mark.parametrize(
    ("kind", "victim"),
    [("sqlite", "server"), *(("postgres", victim) for victim in ("server", "database", "sessions", "network"))],
)
def test_kill_9_loses_no_acknowledged_message(kind: str, victim: str) -> None:
    database = postgres() if kind == "postgres" else None
    outcome = kills.play(kind, victim, rounds=2, seed=7, clients=15, database=database)
    assert (outcome.acked_and_lost, outcome.received_twice, outcome.orders) == (0, 0, 1)
    assert outcome.acked > 0
    assert outcome.fresh == 0
    if victim == "server":
        assert outcome.refused == 0


def test_a_power_cut_loses_no_acknowledged_message() -> None:
    outcome = power_cuts.play(2, random.Random(7))
    assert (outcome.lost, outcome.is_sound) == (0, True)
    assert outcome.acknowledged > 0
