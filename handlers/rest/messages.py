"""GET /messages: the log, page by page, from the newest message back."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Raw

from chatio.errors import FieldError, InvalidInput, OffsetInvalid, StoreUnavailable
from chatio.log.history import messages_before
from chatio.log.message_log import Entry
from handlers.http.auth import authenticated
from handlers.http.base import BaseHandler
from handlers.http.operation import operation
from handlers.http.responses import LoggedMessage, MessagePage, Offset

MAX_PAGE_BYTES: Final = 256 * 1024  # of the messages in one answer; one message alone may be larger


class PageQuery(msgspec.Struct, frozen=True):
    """The arguments of GET /messages."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50
    before: Offset | msgspec.UnsetType = msgspec.UNSET


class MessagesHandler(BaseHandler):
    tag = "Chat"
    work_steps = 500  # 256 KiB of messages take 1.5 ms

    @authenticated
    @operation(200, MessagePage, query=PageQuery, raises=[StoreUnavailable])
    async def get(self) -> None:
        """List up to `limit` messages before the offset `before` (the newest without it), newest last.

        `before` of the answer is the offset to ask for next; null where the log has nothing older. An answer of
        more than 256 KiB has fewer messages instead, at least one: so only `before` says whether there are older
        ones. A message has its newest text, and one that was deleted is not listed.
        """
        log, query = self.services.log, self.query_as(PageQuery)
        if query.before is msgspec.UNSET:
            before = log.window.head + 1
        else:
            await log.catch_up(query.before)  # the client may have it from another server
            before = self._sequence_of(query.before)
        page, start = await messages_before(log, before, limit=query.limit)
        messages = _newest(page)
        oldest = page[-len(messages)].sequence if len(messages) < len(page) else start + 1
        older = log.window.offset_of(oldest) if oldest > log.tail + 1 else None
        self.answer(200, {"messages": messages, "before": older})

    def _sequence_of(self, offset: str) -> int:
        try:
            return self.services.log.window.sequence_of(offset)
        except OffsetInvalid:
            raise InvalidInput(FieldError("before", "This is not an offset of this log.")) from None


def _newest(page: Sequence[Entry]) -> list[Raw]:
    """The newest messages of `page`, encoded, as many as fit into `MAX_PAGE_BYTES`, oldest first."""
    messages: list[Raw] = []
    size = 0
    for entry in reversed(page):
        message = msgspec.json.encode(LoggedMessage(**msgspec.structs.asdict(entry.message), offset=entry.offset))
        size += len(message)
        if messages and size > MAX_PAGE_BYTES:
            break
        messages.append(Raw(message))
    return messages[::-1]
