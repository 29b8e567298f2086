"""Rate limits of the chat: how many events a connection and a user may send, and when a flood ends a connection.

    event                                   counted by                by default
    new messages                            connection                60 at once, then 5 a second
    new messages                            user                      120 at once, then 10 a second
    other events: typing, repeated          user                      200 at once, then 20 a second
    messages, unknown events, joining
    rate-limited events                     connection                300 at once, then 1 a second

A page that sends 50 messages at once stays below the first row. A connection past the last row ignores its errors:
the server closes it and silences its user for a minute, in which each further rate-limited event counts ten times.
So a client gains nothing by reconnecting at once.
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from chatio.throttling.rate_limiter import RateLimiter

OTHERS_BURST_SECONDS: Final = 10.0
JOINING_COST: Final = 5.0  # the server checks a token and sends the newest messages
SILENCE_SECONDS: Final = 60.0
COST_IN_SILENCE: Final = 10.0


class Rates(NamedTuple):
    """Events in a second, and bursts: events at once."""

    messages: float = 5
    message_burst: int = 60
    person_messages: float = 10
    person_message_burst: int = 120
    other_events: float = 20
    flood_events: int = 300


class MessageRateLimits:
    """Counts the events of each connection (`sid`) and each user (`author_id`). Event loop only."""

    def __init__(self, rates: Rates, *, is_on: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        def limiter(events: float, burst: float) -> RateLimiter:
            return RateLimiter(events, 1, burst=burst, is_on=is_on, clock=clock)

        self._messages = limiter(rates.messages, rates.message_burst)
        self._persons = limiter(rates.person_messages, rates.person_message_burst)
        self._others = limiter(rates.other_events, rates.other_events * OTHERS_BURST_SECONDS)
        self._limited = limiter(1, rates.flood_events)
        self._silenced = RateLimiter(1, SILENCE_SECONDS, is_on=is_on, clock=clock)

    def message(self, sid: str, author_id: str) -> float:
        """Count a new message: 0.0 if it may be accepted, else the seconds until it could be."""
        wait = self._silenced.wait(author_id) or self._messages.wait_after(sid)
        if wait:
            return wait
        wait = self._persons.wait_after(author_id)
        if wait:
            self._messages.refund(sid)
        return wait

    def other(self, author_id: str) -> bool:
        """Count an event of a user that is no new message: True if the server may handle it."""
        return not self._others.wait_after(author_id)

    def joining(self, author_id: str) -> bool:
        """Count a connection that joins the chat: True if it may."""
        return not self._others.wait_after(author_id, JOINING_COST)

    def count_limited(self, sid: str, author_id: str) -> bool:
        """Count an event that was rate limited: True if it is one too many, and the connection must be closed."""
        cost = COST_IN_SILENCE if self._silenced.wait(author_id) else 1
        if not self._limited.wait_after(sid, cost):
            return False
        self._silenced.wait_after(author_id)
        return True
