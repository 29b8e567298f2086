"""How fast a connection and a person may speak, and when a connection is closed."""

import pytest

from chatio.pace import Pace, Rates


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(Rates(), clock=clock)


def spoken(pace: Pace, sid: str, author_id: str = "ada", most: int = 1000) -> int:
    """How many messages are taken in one go."""
    for count in range(most):
        if pace.message(sid, author_id):
            return count
    return most


def test_sixty_messages_pass_at_once_and_then_five_a_second(pace: Pace, clock: Clock) -> None:
    assert spoken(pace, "a") == 60
    assert pace.message("a", "ada") == pytest.approx(0.2)
    clock.now += 1
    assert spoken(pace, "a") == 5


def test_a_person_is_held_over_all_connections(pace: Pace, clock: Clock) -> None:
    assert [spoken(pace, sid) for sid in ("a", "b", "c")] == [60, 60, 0]
    clock.now += 1
    assert [spoken(pace, sid) for sid in ("a", "b", "c")] == [5, 5, 0]
    assert spoken(pace, "d", "eve") == 60


def test_what_a_person_is_refused_is_not_taken_from_the_connection(pace: Pace, clock: Clock) -> None:
    for sid in ("a", "b"):
        spoken(pace, sid)
    for _ in range(60):
        assert pace.message("c", "ada")
    clock.now += 1
    assert spoken(pace, "c") == 10


def test_other_events_are_counted_by_person_and_coming_in_weighs_five(pace: Pace) -> None:
    assert all(pace.other("ada") for _ in range(200))
    assert not pace.other("ada")
    assert not pace.joining("ada")
    assert [pace.joining("eve") for _ in range(41)] == [True] * 40 + [False]


def test_messages_and_other_events_do_not_take_from_each_other(pace: Pace) -> None:
    assert spoken(pace, "a") == 60
    assert all(pace.other("ada") for _ in range(200))
    assert spoken(pace, "b") == 60


def test_three_hundred_refusals_at_once_are_borne_and_one_a_second(pace: Pace, clock: Clock) -> None:
    assert not any(pace.refused("a", "ada") for _ in range(300))
    clock.now += 10
    assert [pace.refused("a", "ada") for _ in range(11)] == [False] * 10 + [True]


def test_who_was_shown_out_may_say_nothing_for_a_minute_and_is_borne_less(pace: Pace, clock: Clock) -> None:
    while not pace.refused("a", "ada"):
        pass
    assert pace.message("new", "ada") == pytest.approx(60)
    assert [pace.refused("new", "ada") for _ in range(31)] == [False] * 30 + [True]
    assert pace.message("b", "eve") == 0
    clock.now += 60
    assert spoken(pace, "new") == 60


def test_off_counts_nothing(clock: Clock) -> None:
    pace = Pace(Rates(), is_on=False, clock=clock)
    assert spoken(pace, "a", most=10_000) == 10_000
    assert not any(pace.refused("a", "ada") for _ in range(10_000))
    assert all(pace.other("ada") and pace.joining("ada") for _ in range(10_000))
