"""Guesses at passwords: counted by account and by address, before they are computed; owners are let past."""

import pytest

from chatio.accounts.login_throttle import KNOWN_ADDRESSES, Failures, KnownAddresses, LoginThrottle
from chatio.errors import BadCredentials, Overloaded, RateLimited, UserUnknown
from tests.unit.clock import Clock

OWNER, STRANGER, ACCOUNT = "192.0.2.1", "198.51.100.7", "ada@chat.test"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@pytest.fixture
def sign_ins(clock: Clock) -> LoginThrottle:
    return LoginThrottle(clock=clock)


def fail(sign_ins: LoginThrottle, account: str = ACCOUNT, address: str = STRANGER) -> int:
    """One wrong password: 0 if it was looked at, else the seconds to wait."""
    try:
        with pytest.raises(BadCredentials), sign_ins.attempt(account, address):
            raise BadCredentials
    except RateLimited as refused:
        return refused.retry_after_seconds
    return 0


def sign_in(sign_ins: LoginThrottle, account: str = ACCOUNT, address: str = OWNER) -> None:
    with sign_ins.attempt(account, address):
        pass


def looked_at(sign_ins: LoginThrottle, most: int = 1000, **who: str) -> int:
    """How many wrong passwords are looked at in one go."""
    for count in range(most):
        if fail(sign_ins, **who):
            return count
    return most


def test_ten_failures_are_looked_at_and_then_the_waits_double_up_to_fifteen_minutes(
    sign_ins: LoginThrottle, clock: Clock
) -> None:
    assert looked_at(sign_ins) == 10
    waits = []
    for _ in range(6):
        waits.append(fail(sign_ins))
        clock.now += waits[-1]
        assert looked_at(sign_ins) == 1
    assert waits == [60, 120, 240, 480, 900, 900]


def test_refused_attempts_do_not_lengthen_the_wait(sign_ins: LoginThrottle, clock: Clock) -> None:
    looked_at(sign_ins)
    for _ in range(50):
        fail(sign_ins)
    assert fail(sign_ins) == 60


def test_failures_are_forgotten_after_an_hour_without_one(sign_ins: LoginThrottle, clock: Clock) -> None:
    looked_at(sign_ins)
    clock.now += MINUTE + HOUR
    assert looked_at(sign_ins) == 1
    clock.now += 2 * MINUTE + HOUR + 1
    assert looked_at(sign_ins) == 10


def test_what_a_stranger_is_answered_does_not_depend_on_the_account(sign_ins: LoginThrottle, clock: Clock) -> None:
    """Not even when its owner signs in meanwhile, from where he did before or from elsewhere."""
    sign_in(sign_ins)
    answers: dict[str, list[int]] = {ACCOUNT: [], "nobody@chat.test": []}
    for step in range(40):
        for account, waits in answers.items():
            waits.append(fail(sign_ins, account))
        if step == 5:
            sign_in(sign_ins, address="203.0.113.5")
        if step % 4 == 0:
            sign_in(sign_ins)
        clock.now += 20
    assert answers[ACCOUNT] == answers["nobody@chat.test"]
    assert 0 < answers[ACCOUNT].count(0) < 20


def test_an_owner_is_let_in_from_where_he_signed_in_before_whatever_strangers_guess(
    sign_ins: LoginThrottle,
) -> None:
    sign_in(sign_ins)
    assert looked_at(sign_ins) == 10
    sign_in(sign_ins)
    with pytest.raises(RateLimited):
        sign_in(sign_ins, address="203.0.113.5")


def test_a_known_address_has_a_count_of_its_own_which_a_success_resets(sign_ins: LoginThrottle) -> None:
    sign_in(sign_ins)
    for _ in range(9):
        fail(sign_ins, address=OWNER)
    sign_in(sign_ins)
    assert looked_at(sign_ins, address=OWNER) == 10
    assert looked_at(sign_ins) == 10


def test_another_account_does_not_make_an_address_known(sign_ins: LoginThrottle) -> None:
    sign_in(sign_ins, "eve@chat.test", STRANGER)
    looked_at(sign_ins)
    with pytest.raises(RateLimited):
        sign_in(sign_ins, address=STRANGER)


def test_an_address_is_held_to_a_hundred_failures_over_all_accounts(sign_ins: LoginThrottle, clock: Clock) -> None:
    guesses = [fail(sign_ins, f"{number}@chat.test") for number in range(101)]
    assert guesses[:100] == [0] * 100
    assert guesses[100] == 36
    assert fail(sign_ins, "new@chat.test", OWNER) == 0
    clock.now += HOUR
    assert fail(sign_ins, "new@chat.test") == 0


def test_a_neighbour_who_guesses_does_not_lock_out_who_signed_in_from_there(sign_ins: LoginThrottle) -> None:
    sign_in(sign_ins)
    assert looked_at(sign_ins, account="somebody", address=OWNER) == 10
    for number in range(200):
        fail(sign_ins, f"{number}@chat.test", OWNER)
    sign_in(sign_ins)


def test_what_an_address_was_refused_for_does_not_count_for_the_account(sign_ins: LoginThrottle) -> None:
    for number in range(200):
        fail(sign_ins, f"{number}@chat.test")
    for _ in range(50):
        assert fail(sign_ins) > 0
    assert looked_at(sign_ins, address=OWNER) == 10


def test_log_ins_of_any_outcome_are_five_minutes_worth_at_once(sign_ins: LoginThrottle, clock: Clock) -> None:
    for number in range(300):
        sign_in(sign_ins, f"{number}@chat.test")
    with pytest.raises(RateLimited) as refused:
        sign_in(sign_ins)
    assert refused.value.retry_after_seconds == 1
    clock.now += 1
    sign_in(sign_ins)


def test_guesses_at_the_same_time_are_counted_before_they_are_looked_at(sign_ins: LoginThrottle) -> None:
    attempts = [sign_ins.attempt(ACCOUNT, STRANGER) for _ in range(11)]
    for attempt in attempts[:10]:
        attempt.__enter__()
    with pytest.raises(RateLimited):
        attempts[10].__enter__()
    for attempt in attempts[:10]:
        attempt.__exit__(None, None, None)
    assert looked_at(sign_ins, address="203.0.113.5") == 10


def test_what_was_no_failure_is_given_back(sign_ins: LoginThrottle) -> None:
    for _ in range(9):
        fail(sign_ins)
    for _ in range(20):
        with pytest.raises(Overloaded), sign_ins.attempt(ACCOUNT, STRANGER):
            raise Overloaded(retry_after_seconds=1)
    assert looked_at(sign_ins) == 1


def test_what_is_a_failure_can_be_another_error(sign_ins: LoginThrottle) -> None:
    for _ in range(10):
        with pytest.raises(UserUnknown), sign_ins.attempt(ACCOUNT, STRANGER, failure=UserUnknown):
            raise UserUnknown
    assert fail(sign_ins) == 60


def test_a_success_between_two_waits_leaves_strangers_where_they_were(
    sign_ins: LoginThrottle, clock: Clock
) -> None:
    looked_at(sign_ins)
    clock.now += 60
    sign_in(sign_ins)
    assert looked_at(sign_ins) == 1
    assert fail(sign_ins) == 120


def test_off_counts_nothing() -> None:
    sign_ins = LoginThrottle(is_on=False)
    assert looked_at(sign_ins, 1000) == 1000


def test_any_text_can_stand_for_an_account(sign_ins: LoginThrottle) -> None:
    assert looked_at(sign_ins, account="\ud83d" * 10_000) == 10


def test_failures_are_forgotten_in_time_and_past_the_most_that_are_kept(clock: Clock) -> None:
    failures = Failures(2, max_keys=3, clock=clock)
    for key in ("a", "b", "c", "a", "d"):
        failures.count(key)
    assert len(failures) == 3
    with pytest.raises(RateLimited):
        failures.count("a")
    clock.now += HOUR + 16 * MINUTE
    failures.count("e")
    failures.count("f")
    assert len(failures) == 2


def test_an_attempt_that_was_given_back_leaves_nothing(clock: Clock) -> None:
    failures = Failures(2, clock=clock)
    failures.refund("a", failures.count("a"))
    assert len(failures) == 0


def test_known_addresses_are_the_newest_few_of_each_account_for_thirty_days(clock: Clock) -> None:
    known = KnownAddresses(max_accounts=2, clock=clock)
    for number in range(KNOWN_ADDRESSES + 1):
        known.add("ada", f"10.0.0.{number}")
    assert [known.has("ada", f"10.0.0.{number}") for number in (0, 1, KNOWN_ADDRESSES)] == [False, True, True]
    clock.now += 30 * DAY
    assert not known.has("ada", f"10.0.0.{KNOWN_ADDRESSES}")
    known.add("eve", OWNER)
    assert len(known) == 1  # who was not seen for so long is gone
    known.add("bob", OWNER)
    known.add("cy", OWNER)
    assert len(known) == 2
    assert not known.has("eve", OWNER)
