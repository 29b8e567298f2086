"""What has been ended stays ended for as long as it matters, and takes no more memory than it may."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatio.accounts.revocations import MAX_TOKENS_OF_ONE, Revocations
from chatio.errors import Overloaded
from tests.property.inputs import bounded

LIFE = 1000.0


class Clock:
    now = 10_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def revocations(clock: Clock) -> Revocations:
    return Revocations(clock=clock)


def revoke(revocations: Revocations, token_id: str, *, subject: str = "ada", issued_at: float = 10_000.0) -> None:
    revocations.revoke(subject, token_id, issued_at=issued_at, expires_at=issued_at + LIFE, until=issued_at + LIFE)


def revoke_all(revocations: Revocations, *, subject: str = "ada", before: float = 10_000.0) -> None:
    revocations.revoke_all(subject, before=before, until=before + LIFE)


def test_nothing_is_revoked_at_first(revocations: Revocations) -> None:
    assert not revocations.is_revoked("ada", "a", 10_000.0)
    assert not revocations.is_revoked("ada", "", 0.5)


def test_one_token_is_ended_and_no_other(revocations: Revocations) -> None:
    revoke(revocations, "a")
    assert revocations.is_revoked("ada", "a", 10_000.0)
    assert not revocations.is_revoked("ada", "b", 10_000.0)
    assert not revocations.is_revoked("ada", "", 10_000.0)
    assert not revocations.is_revoked("eve", "a", 10_000.0)


def test_all_of_one_person_up_to_a_moment_are_ended_and_no_younger_one(revocations: Revocations) -> None:
    revoke_all(revocations, before=10_000.0)
    assert revocations.is_revoked("ada", "a", 9_000.0)
    assert revocations.is_revoked("ada", "", 10_000.0)
    assert not revocations.is_revoked("ada", "b", 10_000.000001)
    assert not revocations.is_revoked("eve", "a", 9_000.0)


def test_an_earlier_moment_takes_nothing_back(revocations: Revocations) -> None:
    revoke_all(revocations, before=10_000.0)
    revoke_all(revocations, before=9_000.0)
    assert revocations.is_revoked("ada", "a", 9_500.0)


def test_a_token_without_an_id_goes_with_those_that_are_not_younger(revocations: Revocations) -> None:
    revoke(revocations, "", issued_at=9_500.0)
    assert revocations.is_revoked("ada", "", 9_500.0)
    assert revocations.is_revoked("ada", "older", 9_400.0)
    assert not revocations.is_revoked("ada", "younger", 9_501.0)


def test_a_token_without_an_id_that_lives_longer_than_ours_stays_ended(
    revocations: Revocations, clock: Clock
) -> None:
    revocations.revoke("ada", "", issued_at=9_500.0, expires_at=99_999.0, until=11_000.0)
    clock.now = 50_000.0
    revocations.require_room("zoe")
    assert revocations.is_revoked("ada", "", 9_500.0)
    assert not revocations.is_revoked("eve", "", 9_500.0)


def test_a_token_that_was_ended_stays_so_when_all_up_to_an_earlier_moment_are(revocations: Revocations) -> None:
    revoke(revocations, "a", issued_at=10_000.0)
    revoke_all(revocations, before=9_000.0)
    assert revocations.is_revoked("ada", "a", 10_000.0)


def test_what_has_ended_by_itself_is_forgotten(revocations: Revocations, clock: Clock) -> None:
    revoke(revocations, "a")
    revoke_all(revocations, subject="eve")
    assert len(revocations) == 3
    clock.now += LIFE - 1
    revocations.require_room("zoe")
    assert len(revocations) == 3
    clock.now += 1
    revocations.require_room("zoe")
    assert len(revocations) == 0


def test_who_ends_more_meanwhile_is_kept_until_the_last_has_ended(revocations: Revocations, clock: Clock) -> None:
    revoke(revocations, "a", issued_at=10_000.0)
    revoke(revocations, "b", issued_at=10_500.0)
    clock.now = 11_100.0
    revocations.require_room("zoe")
    assert revocations.is_revoked("ada", "b", 10_500.0)
    clock.now = 11_500.0
    revocations.require_room("zoe")
    assert len(revocations) == 0


def test_a_forgotten_moment_is_a_floor_for_tokens_that_live_longer_than_ours(
    revocations: Revocations, clock: Clock
) -> None:
    revoke_all(revocations, before=10_000.0)
    clock.now += LIFE
    revocations.require_room("zoe")
    assert len(revocations) == 0
    assert revocations.is_revoked("ada", "foreign", 9_000.0)
    assert revocations.is_revoked("eve", "foreign", 9_000.0)
    assert not revocations.is_revoked("ada", "a", 10_001.0)
    revoke(revocations, "b", subject="eve", issued_at=11_000.0)
    assert revocations.is_revoked("eve", "foreign", 9_000.0)


def test_too_many_tokens_of_one_become_one_moment(revocations: Revocations) -> None:
    for number in range(MAX_TOKENS_OF_ONE):
        revoke(revocations, f"{number}", issued_at=9_500.0 + number)
    assert not revocations.is_revoked("ada", "living", 9_500.0)
    assert len(revocations) == MAX_TOKENS_OF_ONE + 1
    revoke(revocations, "one more", issued_at=9_550.0)
    assert len(revocations) == 1
    for number in range(MAX_TOKENS_OF_ONE):
        assert revocations.is_revoked("ada", f"{number}", 9_500.0 + number)
    assert revocations.is_revoked("ada", "one more", 9_550.0)
    assert not revocations.is_revoked("ada", "younger", 9_600.0)


def test_tokens_that_have_ended_by_themselves_do_not_count(revocations: Revocations, clock: Clock) -> None:
    for number in range(MAX_TOKENS_OF_ONE):
        revoke(revocations, f"{number}", issued_at=9_000.0)
    clock.now = 10_000.0 + 1
    revoke(revocations, "one more", issued_at=10_000.0)
    assert len(revocations) == 2
    assert revocations.is_revoked("ada", "one more", 10_000.0)
    assert not revocations.is_revoked("ada", "another", 9_999.0)


def test_past_the_bound_who_is_new_is_told_so_and_nothing_is_forgotten(clock: Clock) -> None:
    revocations = Revocations(max_entries=4, clock=clock)
    revoke(revocations, "a")
    revoke(revocations, "e", subject="eve")
    with pytest.raises(Overloaded) as caught:
        revocations.require_room("zoe")
    assert caught.value.retry_after_seconds >= 1
    revocations.require_room("ada")
    revoke(revocations, "b")
    assert len(revocations) == 3
    assert all(revocations.is_revoked("ada", token_id, 10_000.0) for token_id in "ab")
    assert revocations.is_revoked("eve", "e", 10_000.0)
    clock.now += LIFE
    revocations.require_room("zoe")


def test_what_was_promised_room_is_ended_though_others_were_faster(clock: Clock) -> None:
    revocations = Revocations(max_entries=1, clock=clock)
    revocations.require_room("ada")
    revocations.require_room("eve")
    revoke_all(revocations)
    revoke_all(revocations, subject="eve")
    assert revocations.is_revoked("ada", "a", 10_000.0)
    assert revocations.is_revoked("eve", "e", 10_000.0)


calls = st.lists(
    st.tuples(
        st.sampled_from(["token", "all", "wait"]),
        st.sampled_from(["ada", "eve", "zoe"]),
        st.integers(0, 200),
    ),
    max_size=60,
)


@bounded
@given(calls)
def test_whatever_is_ended_in_whatever_order_nothing_that_lives_is_let_in_again(
    calls: list[tuple[str, str, int]],
) -> None:
    """Beside a model that forgets nothing: what it says is ended is, until it has ended by itself."""
    clock = Clock()
    revocations = Revocations(max_entries=8, clock=clock)
    ended: list[tuple[str, str, float]] = []
    for kind, subject, number in calls:
        if kind == "wait":
            clock.now += number
            continue
        try:
            revocations.require_room(subject)
        except Overloaded:
            continue
        issued_at = clock.now - number
        if kind == "token":
            token_id = f"{len(ended)}"
            revoke(revocations, token_id, subject=subject, issued_at=issued_at)
        else:
            token_id = "any"
            revoke_all(revocations, subject=subject, before=issued_at)
        ended.append((subject, token_id, issued_at))
        assert len(revocations) <= 8
        for whose, which, issue in ended:
            assert revocations.is_revoked(whose, which, issue) or issue + LIFE <= clock.now
