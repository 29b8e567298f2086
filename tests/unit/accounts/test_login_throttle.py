"""LoginThrottle: guesses at passwords are limited by account and by address; an account's owner can log in."""

import pytest

from chatio.accounts.login_throttle import KNOWN_ADDRESSES, FailureBackoff, KnownAddresses, LoginThrottle
from chatio.errors import BadCredentials, Overloaded, RateLimited, UserUnknown
from tests.unit.clock import Clock

OWNER, STRANGER, ACCOUNT = "192.0.2.1", "198.51.100.7", "ada@chat.test"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@pytest.fixture
def throttle(clock: Clock) -> LoginThrottle:
    return LoginThrottle(clock=clock)


def fail(throttle: LoginThrottle, account: str = ACCOUNT, address: str = STRANGER) -> int:
    """Try a wrong password: 0 if it was checked, else the seconds to wait."""
    try:
        with pytest.raises(BadCredentials), throttle.attempt(account, address):
            raise BadCredentials
    except RateLimited as refused:
        return refused.retry_after_seconds
    return 0


def log_in(throttle: LoginThrottle, account: str = ACCOUNT, address: str = OWNER) -> None:
    with throttle.attempt(account, address):
        pass


def checked(throttle: LoginThrottle, most: int = 1000, **at: str) -> int:
    """The number of wrong passwords that are checked in a row."""
    for count in range(most):
        if fail(throttle, **at):
            return count
    return most


def test_past_ten_failures_the_waits_double_up_to_fifteen_minutes(throttle: LoginThrottle, clock: Clock) -> None:
    assert checked(throttle) == 10
    waits = []
    for _ in range(6):
        waits.append(fail(throttle))
        clock.now += waits[-1]
        assert checked(throttle) == 1
    assert waits == [60, 120, 240, 480, 900, 900]


def test_rate_limited_attempts_do_not_lengthen_the_wait(throttle: LoginThrottle, clock: Clock) -> None:
    checked(throttle)
    for _ in range(50):
        fail(throttle)
    assert fail(throttle) == 60


def test_failures_are_forgotten_after_an_hour_without_one(throttle: LoginThrottle, clock: Clock) -> None:
    checked(throttle)
    clock.now += MINUTE + HOUR
    assert checked(throttle) == 1
    clock.now += 2 * MINUTE + HOUR + 1
    assert checked(throttle) == 10


def test_answers_to_an_unknown_address_do_not_depend_on_the_account(throttle: LoginThrottle, clock: Clock) -> None:
    """Not even when its owner logs in meanwhile, from a known address or from a new one."""
    log_in(throttle)
    answers: dict[str, list[int]] = {ACCOUNT: [], "nobody@chat.test": []}
    for step in range(40):
        for account, waits in answers.items():
            waits.append(fail(throttle, account))
        if step == 5:
            log_in(throttle, address="203.0.113.5")
        if step % 4 == 0:
            log_in(throttle)
        clock.now += 20
    assert answers[ACCOUNT] == answers["nobody@chat.test"]
    assert 0 < answers[ACCOUNT].count(0) < 20


def test_a_known_address_can_log_in_whatever_other_addresses_guess(throttle: LoginThrottle) -> None:
    log_in(throttle)
    assert checked(throttle) == 10
    log_in(throttle)
    with pytest.raises(RateLimited):
        log_in(throttle, address="203.0.113.5")


def test_a_known_address_has_its_own_count_which_a_login_resets(throttle: LoginThrottle) -> None:
    log_in(throttle)
    for _ in range(9):
        fail(throttle, address=OWNER)
    log_in(throttle)
    assert checked(throttle, address=OWNER) == 10
    assert checked(throttle) == 10


def test_another_account_does_not_make_an_address_known(throttle: LoginThrottle) -> None:
    log_in(throttle, "eve@chat.test", STRANGER)
    checked(throttle)
    with pytest.raises(RateLimited):
        log_in(throttle, address=STRANGER)


def test_address_has_hundred_failures_in_an_hour_over_all_accounts(throttle: LoginThrottle, clock: Clock) -> None:
    guesses = [fail(throttle, f"{number}@chat.test") for number in range(101)]
    assert guesses[:100] == [0] * 100
    assert guesses[100] == 36
    assert fail(throttle, "new@chat.test", OWNER) == 0
    clock.now += HOUR
    assert fail(throttle, "new@chat.test") == 0


def test_guesses_at_other_accounts_do_not_lock_out_a_known_address(throttle: LoginThrottle) -> None:
    log_in(throttle)
    assert checked(throttle, account="somebody", address=OWNER) == 10
    for number in range(200):
        fail(throttle, f"{number}@chat.test", OWNER)
    log_in(throttle)


def test_attempts_that_are_limited_by_address_do_not_count_for_the_account(throttle: LoginThrottle) -> None:
    for number in range(200):
        fail(throttle, f"{number}@chat.test")
    for _ in range(50):
        assert fail(throttle) > 0
    assert checked(throttle, address=OWNER) == 10


def test_logins_of_any_outcome_pass_five_minutes_worth_at_once(throttle: LoginThrottle, clock: Clock) -> None:
    for number in range(300):
        log_in(throttle, f"{number}@chat.test")
    with pytest.raises(RateLimited) as refused:
        log_in(throttle)
    assert refused.value.retry_after_seconds == 1
    clock.now += 1
    log_in(throttle)


def test_simultaneous_guesses_are_counted_before_they_are_checked(throttle: LoginThrottle) -> None:
    attempts = [throttle.attempt(ACCOUNT, STRANGER) for _ in range(11)]
    for attempt in attempts[:10]:
        attempt.__enter__()
    with pytest.raises(RateLimited):
        attempts[10].__enter__()
    for attempt in attempts[:10]:
        attempt.__exit__(None, None, None)
    assert checked(throttle, address="203.0.113.5") == 10


def test_an_attempt_that_ends_in_another_error_does_not_count(throttle: LoginThrottle) -> None:
    for _ in range(9):
        fail(throttle)
    for _ in range(20):
        with pytest.raises(Overloaded), throttle.attempt(ACCOUNT, STRANGER):
            raise Overloaded(retry_after_seconds=1)
    assert checked(throttle) == 1


def test_the_error_that_counts_as_a_failure_can_be_named(throttle: LoginThrottle) -> None:
    for _ in range(10):
        with pytest.raises(UserUnknown), throttle.attempt(ACCOUNT, STRANGER, failure=UserUnknown):
            raise UserUnknown
    assert fail(throttle) == 60


def test_a_login_between_two_waits_does_not_reset_unknown_addresses(throttle: LoginThrottle, clock: Clock) -> None:
    checked(throttle)
    clock.now += 60
    log_in(throttle)
    assert checked(throttle) == 1
    assert fail(throttle) == 120


def test_a_throttle_that_is_off_counts_nothing() -> None:
    throttle = LoginThrottle(is_on=False)
    assert checked(throttle, 1000) == 1000


def test_an_account_can_be_any_text(throttle: LoginThrottle) -> None:
    assert checked(throttle, account="\ud83d" * 10_000) == 10


def test_an_attempt_says_whether_the_address_is_known(throttle: LoginThrottle) -> None:
    fail(throttle)
    for account, address, expected in (
        *((ACCOUNT, OWNER, False), (ACCOUNT, OWNER, True)),
        *((ACCOUNT, STRANGER, False), ("eve@chat.test", OWNER, False)),
    ):
        with throttle.attempt(account, address) as is_known:
            assert is_known is expected


def test_the_64s_of_one_48_have_a_thousand_failures_in_an_hour(throttle: LoginThrottle) -> None:
    at = [f"2001:db8:0:{number % 100:x}::/64" for number in range(1100)]
    checks = [fail(throttle, f"{number}@chat.test", address) == 0 for number, address in enumerate(at)]
    assert sum(checks) == 1000
    assert fail(throttle, "new@chat.test", "2001:db8:1::/64") == 0


def test_a_known_address_of_a_48_that_guesses_can_log_in(throttle: LoginThrottle) -> None:
    log_in(throttle, address="2001:db8:0:ffff::/64")
    for number in range(1100):
        fail(throttle, f"{number}@chat.test", f"2001:db8:0:{number % 100:x}::/64")
    log_in(throttle, address="2001:db8:0:ffff::/64")


def test_failures_are_forgotten_when_they_expire_and_past_max_keys(clock: Clock) -> None:
    failures = FailureBackoff(2, max_keys=3, clock=clock)
    for key in ("a", "b", "c", "a", "d"):
        failures.record(key)
    assert len(failures) == 3
    with pytest.raises(RateLimited):
        failures.record("a")
    clock.now += HOUR + 16 * MINUTE
    failures.record("e")
    failures.record("f")
    assert len(failures) == 2


def test_a_refunded_failure_leaves_nothing(clock: Clock) -> None:
    failures = FailureBackoff(2, clock=clock)
    failures.refund("a", failures.record("a"))
    assert len(failures) == 0


def test_known_addresses_are_the_newest_few_of_each_account_for_thirty_days(clock: Clock) -> None:
    known = KnownAddresses(max_accounts=2, clock=clock)
    for number in range(KNOWN_ADDRESSES + 1):
        known.add("ada", f"10.0.0.{number}")
    assert [known.has("ada", f"10.0.0.{number}") for number in (0, 1, KNOWN_ADDRESSES)] == [False, True, True]
    clock.now += 30 * DAY
    assert not known.has("ada", f"10.0.0.{KNOWN_ADDRESSES}")
    known.add("eve", OWNER)
    assert len(known) == 1  # the account whose addresses have expired is gone
    known.add("bob", OWNER)
    known.add("cy", OWNER)
    assert len(known) == 2
    assert not known.has("eve", OWNER)
