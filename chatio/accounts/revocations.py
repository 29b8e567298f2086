"""Revoked tokens: single ones by their id, or all of a user that were issued up to a moment.

(OWASP, JSON Web Token Cheat Sheet, "No Built-In Token Revocation by the User".)

An entry is kept until the tokens that it revokes have expired. A `RevocationStore` keeps it over restarts. Without
a database a revoked token is valid again then, until its `exp`, as the users in memory are gone.

No revoked token becomes valid before it expires, and no other token is ever revoked with it:

    too many tokens of one user     `require_capacity_for_token` raises, and then no token is revoked; all of the
                                    user's can be, which takes one entry
    no capacity for one more user   `require_capacity` raises beforehand, and then no token is revoked
    an entry that has expired       leaves its moment as a floor for all users: our own tokens of that age have
                                    expired, and a token of another issuer that lives longer stays revoked
"""

import heapq
import math
import time
from collections.abc import Callable
from typing import Final

from chatio.errors import Overloaded, RateLimited

# Users and tokens together: 13 to 32 MiB.
MAX_ENTRIES: Final = 100_000
# Only a client with the password gets as many tokens to revoke; 100 such users would fill the table.
MAX_TOKENS_OF_USER: Final = 1000
RETRY_AFTER_SECONDS: Final = 60
_REMOVED_AT_ONCE: Final = 1000  # about a millisecond


class _Revoked:
    """The revoked tokens of one user; the last of them expires at `until`."""

    __slots__ = ("before", "latest", "tokens", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.before = 0.0  # tokens issued then or earlier are revoked
        self.latest = 0.0  # when the youngest of `tokens` was issued
        self.tokens: dict[str, float] = {}  # id -> its `exp`


class Revocations:
    """Which tokens have been revoked. Times are seconds since the epoch. Event loop only."""

    def __init__(self, *, max_entries: int = MAX_ENTRIES, clock: Callable[[], float] = time.time) -> None:
        self._max_entries = max_entries
        self._clock = clock
        self._users: dict[str, _Revoked] = {}
        self._by_until: list[tuple[float, str]] = []  # a heap, with one entry for each user, perhaps too early
        self._tokens = 0
        self._floor = 0.0

    def __len__(self) -> int:
        """The number of users and tokens that are kept."""
        return len(self._users) + self._tokens

    def is_revoked(self, subject: str, token_id: str, issued_at: float) -> bool:
        """Whether this token of `subject` is revoked. `token_id` is "" for a token without an id."""
        revoked = self._users.get(subject)
        if revoked is None:
            return issued_at <= self._floor
        return issued_at <= max(revoked.before, self._floor) or token_id in revoked.tokens

    def require_capacity(self, subject: str) -> None:
        """Raise `Overloaded` if no token of `subject` can be revoked now.

        Call it before an action that must revoke tokens. Actions that passed it meanwhile may take a few entries
        past the bound.
        """
        self.remove_expired()
        if subject not in self._users and len(self) >= self._max_entries:
            raise Overloaded(retry_after_seconds=RETRY_AFTER_SECONDS)

    def require_capacity_for_token(self, subject: str) -> None:
        """Raise `Overloaded`, or `RateLimited` past `MAX_TOKENS_OF_USER`, if no single token can be revoked."""
        self.require_capacity(subject)
        revoked = self._users.get(subject)
        if revoked is None:
            return
        if len(revoked.tokens) >= MAX_TOKENS_OF_USER or len(self) >= self._max_entries:
            self._remove_expired_tokens(revoked)
        if len(revoked.tokens) >= MAX_TOKENS_OF_USER:
            seconds = min(revoked.tokens.values()) - self._clock()
            raise RateLimited(retry_after_seconds=math.ceil(seconds))
        if len(self) >= self._max_entries:
            raise Overloaded(retry_after_seconds=RETRY_AFTER_SECONDS)

    def revoke(self, subject: str, token_id: str, *, issued_at: float, expires_at: float) -> None:
        """Revoke one token, which has an id."""
        revoked = self._of(subject, expires_at)
        if token_id not in revoked.tokens:
            self._tokens += 1
        revoked.tokens[token_id] = expires_at
        revoked.latest = max(revoked.latest, issued_at)

    def revoke_all(self, subject: str, *, before: float, until: float) -> None:
        """Revoke all tokens of `subject` that were issued at `before` or earlier.

        `until`: when the last of them has expired.
        """
        revoked = self._of(subject, until)
        revoked.before = max(revoked.before, before)
        if revoked.latest <= revoked.before:  # else a single one of them may be younger
            self._tokens -= len(revoked.tokens)
            revoked.tokens.clear()

    def _of(self, subject: str, until: float) -> _Revoked:
        revoked = self._users.get(subject)
        if revoked is None:
            revoked = self._users[subject] = _Revoked(until)
            heapq.heappush(self._by_until, (until, subject))
        revoked.until = max(revoked.until, until)
        return revoked

    def _remove_expired_tokens(self, revoked: _Revoked) -> None:
        now = self._clock()
        unexpired = {token_id: end for token_id, end in revoked.tokens.items() if end > now}
        self._tokens -= len(revoked.tokens) - len(unexpired)
        revoked.tokens = unexpired

    def remove_expired(self) -> None:
        """Remove what has expired, some of it at a time, and leave the floor for it."""
        now = self._clock()
        for _ in range(_REMOVED_AT_ONCE):
            if not self._by_until or self._by_until[0][0] > now:
                return
            _, subject = heapq.heappop(self._by_until)
            revoked = self._users[subject]
            if revoked.until > now:  # more tokens of the user were revoked since
                heapq.heappush(self._by_until, (revoked.until, subject))
                continue
            del self._users[subject]
            self._tokens -= len(revoked.tokens)
            self._floor = max(self._floor, revoked.before)
