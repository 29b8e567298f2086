"""How often a password may be guessed: by account, by address, and who is let past a stranger's guesses.

    counted by              what                       past it
    account                 failures of strangers      a wait that doubles, from a minute up to 15
    account and address     failures of who has        the same, for that address alone
                            signed in from there
    address                 failures of strangers,     as many in each hour
                            over all accounts
    address                 log-ins of any outcome     as many in each minute

Who is a stranger to an account is told by the address (`chatio.addresses.rate_limit_key`): after the right password
from there it is one of the account's own for 30 days. So who guesses closes the account to strangers, not to its
owner; and a neighbour behind the same router, who guesses at this very account, closes it there alone.

Rules: an attempt counts as a failure before anything is computed, and is given back if it was none, so that
guesses at the same time do not slip through. An account is a digest of what was typed; whether it exists is never
asked, so nobody learns it here, and what strangers are counted is not reset by its owner's success, which would
tell it too. Waits that double, and no lock that stays, which would be a stranger's to close: OWASP Authentication
Cheat Sheet, "Account Lockout". All of it is in memory, bounded, and gone after a restart.
"""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple

from chatio.errors import BadCredentials, ChatioError, RateLimited
from chatio.throttling.rate_limiter import MAX_KEYS, RateLimiter

FIRST_WAIT_SECONDS: Final = 60.0
LONGEST_WAIT_SECONDS: Final = 15 * 60.0
# Without a failure for so long, after the wait that the last one brought. With the longest wait an account can be
# guessed at 96 times a day without end; by who lets it be forgotten at the best of times, 268 times.
FORGOTTEN_AFTER_SECONDS: Final = 3600.0
KNOWN_ADDRESS_SECONDS: Final = 30 * 86400.0
KNOWN_ADDRESSES: Final = 8  # of one account; the one that was longest without a log-in is forgotten
LOGIN_BURST_MINUTES: Final = 5

Clock = Callable[[], float]


class _Count(NamedTuple):
    failures: int
    closed_until: float


class Failures:
    """Failures by key: `most` of them, and then each closes the key for twice as long as the one before."""

    def __init__(self, most: int, *, max_keys: int = MAX_KEYS, clock: Clock = time.monotonic) -> None:
        self._most = most
        self._max_keys = max_keys
        self._clock = clock
        self._counts: OrderedDict[str, _Count] = OrderedDict()  # in order of counting

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, key: str) -> _Count:
        """Count a failure; returns what was there before, for `refund`. Raises `RateLimited`, counting none."""
        now = self._clock()
        before = self._counts.get(key, _Count(0, now))
        if now > before.closed_until + FORGOTTEN_AFTER_SECONDS:
            before = _Count(0, now)
        if before.failures >= self._most and before.closed_until > now:
            raise RateLimited(retry_after_seconds=math.ceil(before.closed_until - now))
        failures = before.failures + 1
        self._forget(now)
        self._counts[key] = _Count(failures, now + self.wait_after(failures))
        self._counts.move_to_end(key)
        return before

    def wait_after(self, failures: int) -> float:
        """The seconds for which a key is closed after so many."""
        if failures < self._most:
            return 0.0
        doublings = min(failures - self._most, 10)
        return float(min(FIRST_WAIT_SECONDS * 2**doublings, LONGEST_WAIT_SECONDS))

    def refund(self, key: str, before: _Count) -> None:
        """The attempt that `count` answered with `before` was no failure."""
        count = self._counts.get(key)
        if count is not None and count.failures > 1:
            self._counts[key] = _Count(count.failures - 1, before.closed_until)
        else:
            self._counts.pop(key, None)

    def reset(self, key: str) -> None:
        self._counts.pop(key, None)

    def _forget(self, now: float) -> None:
        for _ in range(2):  # two for each that comes, so that it shrinks
            key = next(iter(self._counts), None)
            if key is None:
                return
            is_old = now > self._counts[key].closed_until + FORGOTTEN_AFTER_SECONDS
            if not is_old and len(self._counts) < self._max_keys:
                return
            del self._counts[key]


class KnownAddresses:
    """From where each account has signed in: `KNOWN_ADDRESSES` for `KNOWN_ADDRESS_SECONDS`."""

    def __init__(self, *, max_accounts: int = MAX_KEYS, clock: Clock = time.monotonic) -> None:
        self._max_accounts = max_accounts
        self._clock = clock
        self._known: OrderedDict[str, dict[str, float]] = OrderedDict()  # account: address: until

    def __len__(self) -> int:
        return len(self._known)

    def has(self, account: str, address: str) -> bool:
        return self._known.get(account, {}).get(address, 0.0) > self._clock()

    def add(self, account: str, address: str) -> None:
        now = self._clock()
        addresses = {known: until for known, until in self._known.pop(account, {}).items() if until > now}
        addresses.pop(address, None)  # the newest stands last
        addresses[address] = now + KNOWN_ADDRESS_SECONDS
        while len(addresses) > KNOWN_ADDRESSES:
            del addresses[next(iter(addresses))]
        self._known[account] = addresses
        while (oldest := next(iter(self._known))) != account:
            if len(self._known) <= self._max_accounts and max(self._known[oldest].values()) > now:
                return
            del self._known[oldest]


class LoginThrottle:
    """Every attempt to prove who one is by a password goes through `attempt`. Event loop only."""

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
        self._by_account = Failures(failures_per_account, clock=clock)
        self._by_address = RateLimiter(failures_per_address, 3600, clock=clock)
        burst = LOGIN_BURST_MINUTES * logins_per_minute
        self._logins = RateLimiter(logins_per_minute, 60, burst=burst, clock=clock)
        self._known = KnownAddresses(clock=clock)

    @contextmanager
    def attempt(
        self, account: str, address: str, *, failure: type[ChatioError] = BadCredentials
    ) -> Iterator[None]:
        """Around the check of a password. Raises `RateLimited` before it, when it is not to be checked.

        `failure` from within is one, no exception is a sign-in, and any other exception is neither.
        `account`: `chatio.users.account_key`; `address`: `chatio.addresses.rate_limit_key`.
        """
        if not self._is_on:
            yield
            return
        account = hashlib.blake2b(account.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        is_known = self._known.has(account, address)
        key = f"{account} {address}" if is_known else account
        with ExitStack() as undo:
            undo.callback(self._by_account.refund, key, self._by_account.count(key))
            if not is_known:
                self._by_address.acquire(address)
                undo.callback(self._by_address.refund, address)
            self._logins.acquire(address)
            try:
                yield
            except failure:
                undo.pop_all()
                raise
            if is_known:
                self._by_account.reset(key)
            self._known.add(account, address)
