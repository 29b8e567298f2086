"""Edits and deletions: which user may change which message, and until when. Each is an entry of the log.

What an author may change is asked here, of the message as it is now; the journal decides between changes at once.
An edit takes the text before it away for good, as a deletion does: no client can read it, so it is kept nowhere.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from chatio.chat.messages import checked_content, fit_id, new_id, time_text
from chatio.chat.voices import Voices
from chatio.errors import ChangeTooLate, MessageUnknown, NotYourMessage
from chatio.log.message_log import Entry
from chatio.log.shared_log import SharedLog
from chatio.stores.records import Change, Message
from chatio.telemetry.counters import LabelledCounter


class MessageChanges:
    """Changes of the messages of one log. Event loop only.

    Each method waits until the message is found, and then returns the future of the entry; see `SharedLog.change`.
    It raises `MessageRejected`, and what `SharedLog.change` raises.
    """

    def __init__(
        self,
        log: SharedLog,
        *,
        edit_seconds: int,
        max_chars: int,
        voices: Voices,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """An author may change a message for `edit_seconds`; 0: never."""
        self._voices = voices
        self._log = log
        self._edit_seconds = edit_seconds
        self._max_chars = max_chars
        self._clock = clock
        self.counts = LabelledCounter(["edited", "deleted"])  # given to the log

    async def edit(self, raw: object, *, by: str) -> "asyncio.Future[Entry]":
        """Give the message of the user `by` another text: `raw` is `{"id", "content"}`, or anything."""
        content = checked_content(raw, max_chars=self._max_chars)
        message = await self._find(raw)
        _require_author(message, by)
        is_same_edit = message.edited_at is not msgspec.UNSET and message.content == content  # sent again
        if not is_same_edit:
            self._voices.require(by)
            self._require_in_time(message)
        return self._change(message, content)

    async def delete(self, raw: object, *, by: str, is_moderator: bool = False) -> "asyncio.Future[Entry]":
        """Delete the message of the user `by`, or that of any user at any time if that user is a moderator.

        `raw` is `{"id"}`, or anything.
        """
        message = await self._find(raw)
        if not is_moderator:
            _require_author(message, by)
            self._require_in_time(message)
        return self._change(message, None)

    async def _find(self, raw: object) -> Message:
        id_ = fit_id(raw)  # no message has any other id, and a database would not take each
        message = None if id_ is None else await self._log.find_message(id_)
        if message is None:
            raise MessageUnknown
        return message

    def _require_in_time(self, message: Message) -> None:
        age = self._clock() - datetime.fromisoformat(message.sent_at)
        if not self._edit_seconds or age.total_seconds() > self._edit_seconds:
            raise ChangeTooLate

    def _change(self, message: Message, content: str | None) -> "asyncio.Future[Entry]":
        accepting = self._log.change(Change(new_id(), message.id, content, time_text(self._clock())))
        self.counts["deleted" if content is None else "edited"] += 1
        return accepting


def _require_author(message: Message, user_id: str) -> None:
    if message.author_id != user_id:
        raise NotYourMessage
