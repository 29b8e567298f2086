"""Voices: which users may read, and not write, and until when."""

import time
from collections.abc import Callable

from chatio.errors import Muted


class Voices(dict[str, float]):
    """The users without a voice, by their ids: until when, in seconds since the epoch. Event loop only.

    It is asked for each message, so a caller looks first whether the user is in it: that is no call.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._clock = clock

    def require(self, user_id: str) -> None:
        """Raise `Muted` if the user may not write now."""
        if (until := self.get(user_id, 0.0)) > self._clock():
            raise Muted(until=until)

    def silence(self, user_id: str, until: float) -> None:
        """Let the user write from `until` on, and forget the users who may write again."""
        now = self._clock()
        for over in [each for each, end in self.items() if end <= now]:
            del self[over]
        if until > now:
            self[user_id] = until
        else:
            self.pop(user_id, None)
