"""How fast people may speak in the chat, and when somebody is shown out.

    what                                    counted by                by default
    messages                                connection                60 at once, then 5 a second
    messages                                person                    120 at once, then 10 a second
    everything else: typing, messages       person                    200 at once, then 20 a second
    sent again, events of other names,
    coming in
    what was refused                        connection                300 at once, then 1 a second

A page that sends 50 in one go stays below the first row. Past the last row a connection is a program that does
not listen: it is closed, and its person may say nothing for a minute, so that coming back at once gains nothing,
and while that lasts each refusal weighs ten.
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from chatio.throttling.rate_limiter import RateLimiter

OTHERS_BURST_SECONDS: Final = 10.0
JOINING_COST: Final = 5.0  # a token is checked, and the newest messages are sent
SILENCE_SECONDS: Final = 60.0
COST_IN_SILENCE: Final = 10.0


class Rates(NamedTuple):
    """All of them a second, but for the bursts, which are at once."""

    messages: float = 5
    message_burst: int = 60
    person_messages: float = 10
    person_message_burst: int = 120
    other_events: float = 20
    flood_events: int = 300


class MessageRateLimits:
    """Counts what comes from each connection (`sid`) and each person (`author_id`). Event loop only."""

    def __init__(self, rates: Rates, *, is_on: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        def throttle(events: float, burst: float) -> RateLimiter:
            return RateLimiter(events, 1, burst=burst, is_on=is_on, clock=clock)

        self._messages = throttle(rates.messages, rates.message_burst)
        self._persons = throttle(rates.person_messages, rates.person_message_burst)
        self._others = throttle(rates.other_events, rates.other_events * OTHERS_BURST_SECONDS)
        self._refused = throttle(1, rates.flood_events)
        self._silenced = RateLimiter(1, SILENCE_SECONDS, is_on=is_on, clock=clock)

    def message(self, sid: str, author_id: str) -> float:
        """0.0 if a message was counted, else the seconds until one would be."""
        wait = self._silenced.wait(author_id) or self._messages.wait_after(sid)
        if wait:
            return wait
        wait = self._persons.wait_after(author_id)
        if wait:
            self._messages.refund(sid)
        return wait

    def other(self, author_id: str) -> bool:
        """Whether an event that is no new message may be looked at."""
        return not self._others.wait_after(author_id)

    def joining(self, author_id: str) -> bool:
        """Whether a connection of `author_id` may come in."""
        return not self._others.wait_after(author_id, JOINING_COST)

    def refused(self, sid: str, author_id: str) -> bool:
        """Count an event that was refused. True if it is one too many: the connection is to be closed."""
        cost = COST_IN_SILENCE if self._silenced.wait(author_id) else 1
        if not self._refused.wait_after(sid, cost):
            return False
        self._silenced.wait_after(author_id)
        return True
