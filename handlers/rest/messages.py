"""GET /messages: the log, page by page, from the newest message back."""

from typing import Annotated

import msgspec

from chatio.chat.message_log import Entry
from chatio.errors import FieldError, InvalidInput, OffsetInvalid, StoreUnavailable
from handlers.auth import authenticated
from handlers.base import BaseHandler
from handlers.operation import operation
from handlers.responses import LoggedMessage, MessagePage, Offset


class PageQuery(msgspec.Struct, frozen=True):
    """The arguments of GET /messages."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50
    before: Offset | msgspec.UnsetType = msgspec.UNSET


class MessagesHandler(BaseHandler):
    @authenticated
    @operation(200, MessagePage, query=PageQuery, raises=[StoreUnavailable])
    async def get(self) -> None:
        """List up to `limit` messages before the offset `before` (the newest without it), newest last.

        `before` of the answer is the offset to ask for next; null where there is nothing older.
        """
        log, query = self.services.log, self.query_as(PageQuery)
        before = log.window.head + 1 if query.before is msgspec.UNSET else self._sequence_of(query.before)
        start = max(before - 1 - query.limit, log.tail)
        page = await log.read(start, limit=before - 1 - start) if start < before - 1 else []
        has_older = bool(page) and page[0].sequence > log.tail + 1
        self.answer(200, MessagePage([_shown(entry) for entry in page], page[0].offset if has_older else None))

    def _sequence_of(self, offset: str) -> int:
        try:
            return self.services.log.window.sequence_of(offset)
        except OffsetInvalid:
            raise InvalidInput(FieldError("before", "This is not an offset of this log.")) from None


def _shown(entry: Entry) -> LoggedMessage:
    return LoggedMessage(**msgspec.structs.asdict(entry.message), offset=entry.offset)
