"""Two servers behind nginx, while servers, their database and connections are killed."""

from tests.system import many_kills
from tests.system.kills import Cast


def test_no_acknowledged_message_is_lost_and_every_client_has_the_same() -> None:
    cast = Cast(clients=20, senders=5, step_seconds=0.1, round_seconds=(0.5, 1.0))
    outcome = many_kills.play(3, 7, servers=2, cast=cast)
    assert (outcome.acked_and_lost, outcome.received_twice, outcome.orders) == (0, 0, 1)
    assert outcome.acked > 0
    assert outcome.fresh == 0
