"""ThrottleSaver: a restart is no reset button for guessing, and an owner's address stays known."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from chatio.accounts.login_throttle import KNOWN_ADDRESSES, FailureBackoff, LoginThrottle
from chatio.accounts.throttle_saver import SAVED_AT_ONCE, ThrottleSaver, steady_clock
from chatio.errors import StoreUnavailable
from chatio.stores.accounts import LoginCount
from tests.unit.accounts.test_login_throttle import ACCOUNT, OWNER, STRANGER, checked, fail, log_in
from tests.unit.clock import Clock


class Store:
    """A `LoginStore` of a dictionary; the real ones have a contract of their own."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], LoginCount] = {}
        self.is_there = True
        self.saves = 0

    async def save(self, counts: Sequence[LoginCount], *, gone: Sequence[tuple[str, str]]) -> None:
        if not self.is_there:
            raise StoreUnavailable(retry_after_seconds=1)
        self.saves += 1
        assert len(counts) + len(gone) <= SAVED_AT_ONCE
        for key in gone:
            self.rows.pop(key, None)
        self.rows |= {(count.kind, count.key): count for count in counts}

    async def all(self, now: float) -> list[LoginCount]:
        return sorted((row for row in self.rows.values() if row.until > now), key=lambda row: row.until)


@pytest.fixture
def store() -> Store:
    return Store()


async def restarted(store: Store, throttle: LoginThrottle, clock: Clock) -> LoginThrottle:
    """The throttle of the next process."""
    await ThrottleSaver(store, throttle, clock=clock).save()
    new = LoginThrottle(clock=clock)
    await ThrottleSaver(store, new, clock=clock).restore()
    return new


@pytest.fixture
def throttle(clock: Clock) -> LoginThrottle:
    return LoginThrottle(clock=clock)


async def test_failures_and_waits_go_on_after_a_restart(
    store: Store, throttle: LoginThrottle, clock: Clock
) -> None:
    assert checked(throttle, 7) == 7
    throttle = await restarted(store, throttle, clock)
    assert checked(throttle) == 3
    clock.now += 20
    throttle = await restarted(store, throttle, clock)
    assert fail(throttle) == 40
    clock.now += 40
    assert checked(throttle) == 1
    assert fail(await restarted(store, throttle, clock)) == 120


async def test_a_known_address_is_known_after_a_restart_and_has_its_own_count(
    store: Store, throttle: LoginThrottle, clock: Clock
) -> None:
    log_in(throttle)
    assert checked(throttle) == 10
    throttle = await restarted(store, throttle, clock)
    assert checked(throttle, 4, address=OWNER) == 4
    throttle = await restarted(store, throttle, clock)
    assert checked(throttle, address=OWNER) == 6
    clock.now += 60
    log_in(throttle)
    assert checked(await restarted(store, throttle, clock), address=OWNER) == 10


async def test_the_failures_of_an_address_and_of_its_48_go_on_after_a_restart(
    store: Store, throttle: LoginThrottle, clock: Clock
) -> None:
    for number in range(1000):
        fail(throttle, f"{number}@chat.test", f"2001:db8:0:{number % 100:x}::/64")
    for number in range(100):
        fail(throttle, f"{number}@chat.test", STRANGER)
    throttle = await restarted(store, throttle, clock)
    assert fail(throttle, "new@chat.test", "2001:db8:0:ffff::/64") > 0
    assert fail(throttle, "new@chat.test", STRANGER) == 36
    assert fail(throttle, "new@chat.test", "203.0.113.9") == 0


async def test_a_failure_writes_nothing_by_itself_and_a_save_writes_what_has_changed_only(
    store: Store, throttle: LoginThrottle, clock: Clock
) -> None:
    saver = ThrottleSaver(store, throttle, clock=clock)
    for number in range(50):
        fail(throttle, f"{number}@chat.test", f"10.0.0.{number}")
    assert store.saves == 0
    await saver.save()
    assert (store.saves, len(store.rows)) == (2, 100)  # one of each table that has changed
    await saver.save()
    assert store.saves == 2


async def test_the_store_keeps_no_more_than_the_throttle(
    store: Store, throttle: LoginThrottle, clock: Clock
) -> None:
    saver = ThrottleSaver(store, throttle, clock=clock)
    for number in range(KNOWN_ADDRESSES + 4):
        log_in(throttle, address=f"10.0.0.{number}")
        await saver.save()
    throttle.forget(ACCOUNT)
    fail(throttle, "eve@chat.test", OWNER)
    with throttle.attempt("bob@chat.test", OWNER):
        pass
    throttle.forget("bob@chat.test")
    await saver.save()
    assert sorted(kind for kind, _ in store.rows) == ["account", "address"]


async def test_a_key_that_was_dropped_for_newer_ones_is_dropped_in_the_store(store: Store, clock: Clock) -> None:
    failures = FailureBackoff(2, max_keys=2, clock=clock)
    throttle = LoginThrottle(clock=clock)
    throttle.tables = {"account": throttle.tables["account"]._replace(entries=failures.counts)}
    saver = ThrottleSaver(store, throttle, clock=clock)
    for key in ("a", "b", "c"):
        failures.record(key)
        await saver.save()
    assert [key for _, key in store.rows] == ["b", "c"]


async def test_what_the_store_refused_is_saved_later(store: Store, throttle: LoginThrottle, clock: Clock) -> None:
    assert checked(throttle) == 10
    store.is_there = False
    saver = ThrottleSaver(store, throttle, clock=clock)
    with pytest.raises(StoreUnavailable):
        await saver.save()
    await saver.save_last()
    store.is_there = True
    assert fail(await restarted(store, throttle, clock)) == 60


async def test_what_a_clock_that_was_set_back_left_in_the_future_is_forgotten(
    store: Store, throttle: LoginThrottle, clock: Clock
) -> None:
    assert checked(throttle) == 10
    await ThrottleSaver(store, throttle, clock=clock).save()
    clock.now -= 86400
    assert checked(await restarted(store, throttle, clock)) == 10


async def test_a_restored_throttle_has_nothing_to_save(
    store: Store, throttle: LoginThrottle, clock: Clock
) -> None:
    fail(throttle)
    throttle = await restarted(store, throttle, clock)
    before = store.saves
    await ThrottleSaver(store, throttle, clock=clock).save()
    assert store.saves == before


def test_the_clock_is_that_of_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    with _set_clocks(monkeypatch) as times:
        clock = steady_clock()
        times["monotonic"] += 5
        times["time"] -= 3600  # the machine's clock is set back
        assert clock() == 1_900_000_005


@contextmanager
def _set_clocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, float]]:
    times = {"time": 1_900_000_000.0, "monotonic": 77.0}
    with monkeypatch.context() as patch:
        for name in times:
            patch.setattr(f"chatio.accounts.throttle_saver.time.{name}", lambda name=name: times[name])
        yield times
