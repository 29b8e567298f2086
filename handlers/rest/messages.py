"""GET /messages: what was said, page by page, from the newest back."""

from typing import Annotated

import msgspec

from chatio.accounts.tokens import Claims, Tokens
from chatio.chat.message_log import Entry, MessageLog
from chatio.errors import FieldError, InvalidInput, OffsetInvalid
from chatio.server.in_flight import InFlightRequests
from handlers.auth import authenticated
from handlers.base import BaseHandler
from handlers.cors import Cors
from handlers.operation import described
from handlers.responses import LoggedMessage, MessagePage, Offset

MAX_PAGE = 100
DEFAULT_PAGE = 50


class PageQuery(msgspec.Struct, frozen=True):
    """The arguments of GET /messages."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    before: Offset | msgspec.UnsetType = msgspec.UNSET


class MessagesHandler(BaseHandler):
    tokens: Tokens
    claims: Claims

    def initialize(  # type: ignore[override]
        self, cors: Cors, requests: InFlightRequests, tokens: Tokens, log: MessageLog
    ) -> None:
        super().initialize(cors, requests)
        self.tokens = tokens
        self._messages = log

    @authenticated
    @described(200, MessagePage, query=PageQuery)
    async def get(self) -> None:
        """Up to `limit` messages before the offset `before` (the newest without it), newest last.

        `before` of the answer is the offset to ask for next; null where the log has nothing older.
        """
        limit, before = self._limit(), self._before()
        start = max(before - 1 - limit, self._messages.tail)
        page = self._messages.read(start, limit=before - 1 - start) if start < before - 1 else []
        has_older = bool(page) and page[0].sequence > self._messages.tail + 1
        before_page = page[0].offset if has_older else None
        self.answer(200, MessagePage([_shown(entry) for entry in page], before_page))

    def _limit(self) -> int:
        text = self.get_query_argument("limit", str(DEFAULT_PAGE))
        if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= MAX_PAGE):
            raise InvalidInput(FieldError("limit", f"This must be a number from 1 to {MAX_PAGE}."))
        return int(text)

    def _before(self) -> int:
        text = self.get_query_argument("before", None)
        if text is None:
            return self._messages.head + 1
        try:
            return self._messages.sequence_of(text)
        except OffsetInvalid:
            raise InvalidInput(FieldError("before", "This is not an offset of this log.")) from None


def _shown(entry: Entry) -> LoggedMessage:
    return LoggedMessage(**msgspec.structs.asdict(entry.message), offset=entry.offset)
