"""Tokens that were ended before their time: one by its id, or all that somebody was given up to a moment.

Kept until the tokens would have ended anyway, and in this process only: after a restart, what was ended lives on
until its `exp`. That is a property of this store, as it is one of the store of people in memory.

Nothing is ever forgotten that still matters:

    too many tokens of one person       become "all that were issued until the last of them", which ends more of
                                        that person's, never fewer
    no room for one person more         is told beforehand (`require_room`), and then nothing is ended
    a person whose time is over         leaves "issued before" behind as a floor for everybody; our own tokens of
                                        that age have all ended, and one of a foreign issuer that lives longer than
                                        ours must not come back to life

(OWASP, JSON Web Token Cheat Sheet, "No Built-In Token Revocation by the User".)
"""

import heapq
import time
from collections.abc import Callable
from typing import Final

from chatio.errors import Overloaded

# Of people and of tokens, together: 13 to 32 MiB.
MAX_ENTRIES: Final = 100_000
MAX_TOKENS_OF_ONE: Final = 100
RETRY_AFTER_SECONDS: Final = 60
_FORGOTTEN_AT_ONCE: Final = 1000  # about a millisecond


class _Ended:
    """What of one person has been ended; of no more use after `until`."""

    __slots__ = ("before", "latest", "tokens", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.before = 0.0  # issued then or earlier: ended
        self.latest = 0.0  # issue of the youngest of `tokens`
        self.tokens: dict[str, float] = {}  # id -> its `exp`


class Revocations:
    """Times are seconds since the epoch. Event loop only."""

    def __init__(self, *, max_entries: int = MAX_ENTRIES, clock: Callable[[], float] = time.time) -> None:
        self._max_entries = max_entries
        self._clock = clock
        self._ended: dict[str, _Ended] = {}
        self._by_until: list[tuple[float, str]] = []  # a heap; one for each person, perhaps too early
        self._tokens = 0
        self._floor = 0.0

    def __len__(self) -> int:
        """How many people and tokens are remembered."""
        return len(self._ended) + self._tokens

    def is_revoked(self, subject: str, token_id: str, issued_at: float) -> bool:
        """Whether this token of `subject` has been ended. `token_id` is "" for one without an id."""
        ended = self._ended.get(subject)
        if ended is None:
            return issued_at <= self._floor
        return issued_at <= max(ended.before, self._floor) or token_id in ended.tokens

    def require_room(self, subject: str) -> None:
        """Raises `Overloaded` when nothing of `subject` can be ended now.

        To be asked before something is done that must end tokens. What is under way then may take a few entries
        more than the bound.
        """
        self._forget()
        if subject not in self._ended and len(self) >= self._max_entries:
            raise Overloaded(retry_after_seconds=RETRY_AFTER_SECONDS)

    def revoke(self, subject: str, token_id: str, *, issued_at: float, expires_at: float, until: float) -> None:
        """End one token. One without an id goes with all of `subject` that were issued no later.

        `until`: when the last of the other tokens that this may end has ended by itself.
        """
        if not token_id:
            self.revoke_all(subject, before=issued_at, until=max(expires_at, until))
            return
        ended = self._of(subject, expires_at)
        if token_id not in ended.tokens:
            self._tokens += 1
        ended.tokens[token_id] = expires_at
        ended.latest = max(ended.latest, issued_at)
        if len(ended.tokens) > MAX_TOKENS_OF_ONE or len(self) > self._max_entries:
            self._collapse(subject, ended, until)

    def revoke_all(self, subject: str, *, before: float, until: float) -> None:
        """End all tokens of `subject` that were issued at `before` or earlier.

        `until`: when the last of them has ended by itself.
        """
        ended = self._of(subject, until)
        ended.before = max(ended.before, before, ended.latest)
        self._tokens -= len(ended.tokens)
        ended.tokens.clear()

    def _of(self, subject: str, until: float) -> _Ended:
        ended = self._ended.get(subject)
        if ended is None:
            ended = self._ended[subject] = _Ended(until)
            heapq.heappush(self._by_until, (until, subject))
        ended.until = max(ended.until, until)
        return ended

    def _collapse(self, subject: str, ended: _Ended, until: float) -> None:
        now = self._clock()
        living = {token_id: end for token_id, end in ended.tokens.items() if end > now}
        self._tokens -= len(ended.tokens) - len(living)
        ended.tokens = living
        if len(living) > MAX_TOKENS_OF_ONE or len(self) > self._max_entries:
            self.revoke_all(subject, before=ended.latest, until=until)

    def _forget(self) -> None:
        now = self._clock()
        for _ in range(_FORGOTTEN_AT_ONCE):
            if not self._by_until or self._by_until[0][0] > now:
                return
            _, subject = heapq.heappop(self._by_until)
            ended = self._ended[subject]
            if ended.until > now:  # more of theirs was ended since
                heapq.heappush(self._by_until, (ended.until, subject))
                continue
            del self._ended[subject]
            self._tokens -= len(ended.tokens)
            self._floor = max(self._floor, ended.before)
