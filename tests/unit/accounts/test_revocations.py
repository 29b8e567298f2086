"""Revocations: a revoked token stays revoked until it expires, in bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatio.accounts.revocations import MAX_TOKENS_OF_USER, Revocations
from chatio.errors import Overloaded, RateLimited
from tests.property.inputs import bounded
from tests.unit.clock import Clock

LIFE = 1000.0


@pytest.fixture
def revocations(clock: Clock) -> Revocations:
    clock.now = 10_000.0
    return Revocations(clock=clock)


def revoke(revocations: Revocations, token_id: str, *, subject: str = "ada", issued_at: float = 10_000.0) -> None:
    revocations.revoke(subject, token_id, issued_at=issued_at, expires_at=issued_at + LIFE)


def revoke_all(revocations: Revocations, *, subject: str = "ada", before: float = 10_000.0) -> None:
    revocations.revoke_all(subject, before=before, until=before + LIFE)


def test_nothing_is_revoked_at_first(revocations: Revocations) -> None:
    assert not revocations.is_revoked("ada", "a", 10_000.0)
    assert not revocations.is_revoked("ada", "", 0.5)


def test_one_token_is_revoked_and_no_other(revocations: Revocations) -> None:
    revoke(revocations, "a")
    assert revocations.is_revoked("ada", "a", 10_000.0)
    assert not revocations.is_revoked("ada", "b", 10_000.0)
    assert not revocations.is_revoked("ada", "", 10_000.0)
    assert not revocations.is_revoked("eve", "a", 10_000.0)


def test_all_tokens_of_a_user_up_to_a_moment_are_revoked_and_no_younger_one(revocations: Revocations) -> None:
    revoke_all(revocations, before=10_000.0)
    assert revocations.is_revoked("ada", "a", 9_000.0)
    assert revocations.is_revoked("ada", "", 10_000.0)
    assert not revocations.is_revoked("ada", "b", 10_000.000001)
    assert not revocations.is_revoked("eve", "a", 9_000.0)


def test_an_earlier_moment_does_not_replace_a_later_one(revocations: Revocations) -> None:
    revoke_all(revocations, before=10_000.0)
    revoke_all(revocations, before=9_000.0)
    assert revocations.is_revoked("ada", "a", 9_500.0)


def test_token_without_an_id_that_outlives_ours_stays_revoked(revocations: Revocations, clock: Clock) -> None:
    revocations.revoke_all("ada", before=9_500.0, until=99_999.0)
    clock.now = 50_000.0
    revocations.require_capacity("zoe")
    assert revocations.is_revoked("ada", "", 9_500.0)
    assert not revocations.is_revoked("eve", "", 9_500.0)


def test_a_revoked_token_stays_revoked_when_all_up_to_an_earlier_moment_are(revocations: Revocations) -> None:
    revoke(revocations, "a", issued_at=10_000.0)
    revoke_all(revocations, before=9_000.0)
    assert revocations.is_revoked("ada", "a", 10_000.0)
    assert not revocations.is_revoked("ada", "b", 10_000.0)


def test_entries_are_removed_when_their_tokens_have_expired(revocations: Revocations, clock: Clock) -> None:
    revoke(revocations, "a")
    revoke_all(revocations, subject="eve")
    assert len(revocations) == 3
    clock.now += LIFE - 1
    revocations.require_capacity("zoe")
    assert len(revocations) == 3
    clock.now += 1
    revocations.require_capacity("zoe")
    assert len(revocations) == 0


def test_an_entry_is_kept_until_its_last_token_has_expired(revocations: Revocations, clock: Clock) -> None:
    revoke(revocations, "a", issued_at=10_000.0)
    revoke(revocations, "b", issued_at=10_500.0)
    clock.now = 11_100.0
    revocations.require_capacity("zoe")
    assert revocations.is_revoked("ada", "b", 10_500.0)
    clock.now = 11_500.0
    revocations.require_capacity("zoe")
    assert len(revocations) == 0


def test_removed_moment_is_a_floor_for_tokens_that_outlive_ours(revocations: Revocations, clock: Clock) -> None:
    revoke_all(revocations, before=10_000.0)
    clock.now += LIFE
    revocations.require_capacity("zoe")
    assert len(revocations) == 0
    assert revocations.is_revoked("ada", "foreign", 9_000.0)
    assert revocations.is_revoked("eve", "foreign", 9_000.0)
    assert not revocations.is_revoked("ada", "a", 10_001.0)
    revoke(revocations, "b", subject="eve", issued_at=11_000.0)
    assert revocations.is_revoked("eve", "foreign", 9_000.0)


def test_many_logouts_of_a_user_revoke_those_tokens_and_no_other(revocations: Revocations, clock: Clock) -> None:
    for number in range(MAX_TOKENS_OF_USER):
        revocations.require_capacity_for_token("ada")
        revoke(revocations, f"{number}", issued_at=9_500.0 + number / 10)
    assert not revocations.is_revoked("ada", "living", 9_500.0)
    assert len(revocations) == MAX_TOKENS_OF_USER + 1
    with pytest.raises(RateLimited) as caught:
        revocations.require_capacity_for_token("ada")
    assert caught.value.retry_after_seconds == 500
    revocations.require_capacity_for_token("eve")
    revocations.require_capacity("ada")
    clock.now += 500
    revocations.require_capacity_for_token("ada")
    assert len(revocations) == MAX_TOKENS_OF_USER
    assert not revocations.is_revoked("ada", "living", 9_500.0)
    assert revocations.is_revoked("ada", f"{MAX_TOKENS_OF_USER - 1}", 9_599.9)


def test_expired_tokens_do_not_count_to_the_bound(revocations: Revocations, clock: Clock) -> None:
    for number in range(MAX_TOKENS_OF_USER):
        revoke(revocations, f"{number}", issued_at=9_000.0)
    clock.now = 10_000.0 + 1
    revoke(revocations, "living", issued_at=10_000.0)
    revocations.require_capacity_for_token("ada")
    assert len(revocations) == 2
    revoke(revocations, "one more", issued_at=10_000.0)
    assert revocations.is_revoked("ada", "one more", 10_000.0)
    assert not revocations.is_revoked("ada", "another", 9_999.0)


def test_past_the_bound_a_new_user_is_overloaded_and_no_entry_is_removed(clock: Clock) -> None:
    clock.now = 10_000.0
    revocations = Revocations(max_entries=4, clock=clock)
    revoke(revocations, "a")
    revoke(revocations, "e", subject="eve")
    with pytest.raises(Overloaded) as caught:
        revocations.require_capacity("zoe")
    assert caught.value.retry_after_seconds >= 1
    revocations.require_capacity("ada")
    with pytest.raises(Overloaded):
        revocations.require_capacity_for_token("ada")
    revoke_all(revocations, before=9_000.0)
    assert len(revocations) == 4
    assert revocations.is_revoked("ada", "a", 10_000.0)
    assert not revocations.is_revoked("ada", "b", 10_000.0)
    assert revocations.is_revoked("eve", "e", 10_000.0)
    clock.now += LIFE
    revocations.require_capacity("zoe")


def test_users_that_passed_the_check_can_revoke_past_the_bound(clock: Clock) -> None:
    clock.now = 10_000.0
    revocations = Revocations(max_entries=1, clock=clock)
    revocations.require_capacity("ada")
    revocations.require_capacity("eve")
    revoke_all(revocations)
    revoke_all(revocations, subject="eve")
    assert revocations.is_revoked("ada", "a", 10_000.0)
    assert revocations.is_revoked("eve", "e", 10_000.0)


calls = st.lists(
    st.tuples(
        st.sampled_from(["token", "all", "wait"]), st.sampled_from(["ada", "eve", "zoe"]), st.integers(0, 200)
    ),
    max_size=60,
)


@bounded
@given(calls)
def test_no_revoked_token_becomes_valid_before_it_expires(calls: list[tuple[str, str, int]]) -> None:
    """Compared with a model that removes nothing."""
    clock = Clock()
    clock.now = 10_000.0
    revocations = Revocations(max_entries=8, clock=clock)
    ended: list[tuple[str, str, float]] = []
    for kind, subject, number in calls:
        if kind == "wait":
            clock.now += number
            continue
        try:
            if kind == "token":
                revocations.require_capacity_for_token(subject)
            else:
                revocations.require_capacity(subject)
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
        assert len(revocations) <= 9  # of a user without an entry, one token takes two
        assert not revocations.is_revoked(subject, "living", clock.now + 1)
        for whose, which, issue in ended:
            assert revocations.is_revoked(whose, which, issue) or issue + LIFE <= clock.now
