"""Login throttle: how often a password may be guessed, by account and by client address.

    counted by              what                                        past the limit
    account                 failures from addresses unknown to it       a wait that doubles, 1 to 15 minutes
    account and address     failures from an address known to it        the same wait, for that address alone
    address                 failures at accounts that do not know it    so many in each hour
    address                 logins of any outcome                       so many in each minute
    /48 of IPv6             both of these                               ten times as many

An address (its rate-limit key) is known to an account for 30 days after a login with the right password from
there. So a client that guesses locks out the account's unknown addresses, and not its owner; a neighbour behind
the same router that guesses at this very account locks out that one address.

Rules: an attempt counts as a failure before its password is checked, and is refunded if it was none, so that
simultaneous guesses do not slip through. An account is a digest of the text that the client typed. The throttle
never asks whether the account exists, and its owner's login does not reset the count of unknown addresses: either
would tell a client that the account exists. Waits double instead of locking the account, because a client could
lock it on purpose (OWASP Authentication Cheat Sheet, "Account Lockout"). All of it is in memory and bounded; what
a restart must not make it forget is in its `tables`, which `ThrottleSaver` keeps in the store.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NamedTuple

from chatio.errors import BadCredentials, ChatioError, RateLimited
from chatio.throttling.expiring_map import RecordedMap
from chatio.throttling.rate_limiter import MAX_KEYS, AddressRateLimiter, RateLimiter

FIRST_WAIT_SECONDS: Final = 60.0
LONGEST_WAIT_SECONDS: Final = 15 * 60.0
# Without a failure for this long after the last wait, the failures of a key are forgotten. A client that always
# guesses after the longest wait has 96 guesses a day at an account; one that waits to be forgotten has 268.
FORGOTTEN_AFTER_SECONDS: Final = 3600.0
KNOWN_ADDRESS_SECONDS: Final = 30 * 86400.0
KNOWN_ADDRESSES: Final = 8  # of one account; the address that was longest without a login is forgotten
LOGIN_BURST_MINUTES: Final = 5

Clock = Callable[[], float]


class _Count(NamedTuple):
    failures: int
    closed_until: float


def _forgotten_at(count: _Count) -> float:
    return count.closed_until + FORGOTTEN_AFTER_SECONDS


class FailureBackoff:
    """Counts failures by key; from `most` failures on, each closes the key for twice as long. Event loop only."""

    def __init__(self, most: int, *, max_keys: int = MAX_KEYS, clock: Clock = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self.counts = RecordedMap[_Count](max_keys, expires_at=_forgotten_at)

    def __len__(self) -> int:
        """The number of keys that are remembered."""
        return len(self.counts)

    def record(self, key: str) -> _Count:
        """Count a failure, and return the count before it, for `refund`.

        Raises `RateLimited` while `key` is closed, and then counts nothing.
        """
        now = self._clock()
        before = self.counts.get(key, _Count(0, now))
        if now > _forgotten_at(before):
            before = _Count(0, now)
        if before.failures >= self._most and before.closed_until > now:
            raise RateLimited(retry_after_seconds=math.ceil(before.closed_until - now))
        failures = before.failures + 1
        self.counts.put(key, _Count(failures, now + self._wait_after(failures)), now)
        return before

    def refund(self, key: str, before: _Count) -> None:
        """Undo the `record` that returned `before`: the attempt was no failure."""
        count = self.counts.get(key)
        if count is not None and count.failures > 1:
            self.counts[key] = _Count(count.failures - 1, before.closed_until)
        else:
            self.reset(key)

    def reset(self, key: str) -> None:
        """Forget the failures of `key`."""
        self.counts.pop(key, None)

    def _wait_after(self, failures: int) -> float:
        """The seconds for which a key is closed after so many failures."""
        if failures < self._most:
            return 0.0
        doublings = min(failures - self._most, 10)
        return float(min(FIRST_WAIT_SECONDS * 2**doublings, LONGEST_WAIT_SECONDS))


class KnownAddresses:
    """The addresses that each account has logged in from, `KNOWN_ADDRESSES` of each. Event loop only."""

    def __init__(self, *, max_accounts: int = MAX_KEYS, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        # For each account, when each of its addresses is forgotten.
        self.known = RecordedMap[dict[str, float]](
            max_accounts, expires_at=lambda addresses: max(addresses.values())
        )

    def __len__(self) -> int:
        """The number of accounts that are remembered."""
        return len(self.known)

    def has(self, account: str, address: str) -> bool:
        """Whether `account` has logged in from `address` within `KNOWN_ADDRESS_SECONDS`."""
        return self.known.get(account, {}).get(address, 0.0) > self._clock()

    def add(self, account: str, address: str) -> None:
        """Remember that a client logged in to `account` from `address`: the address is known from now on.

        Past `KNOWN_ADDRESSES` the account forgets the address that was longest without a login.
        """
        now = self._clock()
        addresses = {known: until for known, until in self.known.get(account, {}).items() if until > now}
        addresses.pop(address, None)  # the newest stands last
        addresses[address] = now + KNOWN_ADDRESS_SECONDS
        while len(addresses) > KNOWN_ADDRESSES:
            del addresses[next(iter(addresses))]
        self.known.put(account, addresses, now)

    def forget(self, account: str) -> None:
        """No address is known to `account` any more."""
        self.known.pop(account, None)


class Table(NamedTuple):
    """A map of the throttle that must outlive a restart; no value is of use for longer than `longest_seconds`."""

    entries: RecordedMap[Any]
    type: Any  # of its values, for msgspec
    longest_seconds: float


class LoginThrottle:
    """Limits guesses at passwords: every check of a password is made within `attempt`. Event loop only."""

    def __init__(
        self,
        *,
        failures_per_account: int = 10,
        failures_per_address: int = 100,
        logins_per_minute: float = 60,
        is_on: bool = True,
        clock: Clock = time.monotonic,
    ) -> None:
        """`failures_per_address` in an hour; `logins_per_minute` of one address, five times as many at once."""
        self._is_on = is_on
        self._by_account = FailureBackoff(failures_per_account, clock=clock)
        by_width: dict[float, RecordedMap[float]] = {
            times: RecordedMap[float](MAX_KEYS, expires_at=float) for times in (1, AddressRateLimiter.WIDER)
        }
        self._by_address = AddressRateLimiter(
            lambda times: RateLimiter(times * failures_per_address, 3600, clock=clock, empty_at=by_width[times])
        )
        burst = LOGIN_BURST_MINUTES * logins_per_minute
        self._logins = AddressRateLimiter(
            lambda times: RateLimiter(times * logins_per_minute, 60, burst=times * burst, clock=clock)
        )
        self._known = KnownAddresses(clock=clock)
        self.tables = {
            "account": Table(self._by_account.counts, _Count, LONGEST_WAIT_SECONDS + FORGOTTEN_AFTER_SECONDS),
            "address": Table(by_width[1], float, 3600),
            "network": Table(by_width[AddressRateLimiter.WIDER], float, 3600),
            "known": Table(self._known.known, dict[str, float], KNOWN_ADDRESS_SECONDS),
        }

    @contextmanager
    def attempt(
        self, account: str, address: str, *, failure: type[ChatioError] = BadCredentials
    ) -> Iterator[bool]:
        """A context for the check of one password: whether `address` is known to `account`.

        Raises `RateLimited` on entry, before the check.

        `failure` raised inside it is a failed login, no exception is a login, any other exception is neither.
        `account`: of `chatio.accounts.users.account_key`; `address`: of
        `chatio.throttling.client_ip.rate_limit_key`.
        """
        if not self._is_on:
            yield False
            return
        account = _digest(account)
        is_known = self._known.has(account, address)
        key = f"{account} {address}" if is_known else account
        with ExitStack() as undo:
            undo.callback(self._by_account.refund, key, self._by_account.record(key))
            if not is_known:
                self._by_address.acquire(address)
                undo.callback(self._by_address.refund, address)
            self._logins.acquire(address)
            try:
                yield is_known
            except failure:
                undo.pop_all()
                raise
            if is_known:
                self._by_account.reset(key)
            self._known.add(account, address)

    def addresses_of(self, account: str) -> list[str]:
        """The addresses that clients have logged in to `account` from: their rate-limit keys."""
        return list(self._known.known.get(_digest(account), ()))

    def forget(self, account: str) -> None:
        """Forget from which addresses clients logged in to `account`, which does not exist any more."""
        self._known.forget(_digest(account))


def _digest(account: str) -> str:
    return hashlib.blake2b(account.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
