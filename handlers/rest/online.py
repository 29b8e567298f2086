"""GET /users/online."""

from typing import Final

import msgspec

from chatio.errors import RouteUnknown
from handlers.http.auth import authenticated
from handlers.http.base import BaseHandler
from handlers.http.operation import operation
from handlers.http.responses import OnlinePeople

MAX_PAGE_BYTES: Final = 256 * 1024  # as a page of messages: some 2,500 users


class OnlineQuery(msgspec.Struct, frozen=True):
    """The arguments of GET /users/online."""

    after: str = ""


class OnlineHandler(BaseHandler):
    """Mounted only where presence is on."""

    tag = "Chat"
    work_steps = 100

    @authenticated
    @operation(200, OnlinePeople, query=OnlineQuery)
    async def get(self) -> None:
        """List the users that are online; the chat's `presence` event has changes only.

        An answer of more than 256 KiB has fewer users instead, in the order of their ids. `after` of the answer is
        the value for the next page; null after the last one.
        """
        presence = self.services.presence
        if presence is None:
            raise RouteUnknown
        users, after = presence.online(after=self.query_as(OnlineQuery).after, max_bytes=MAX_PAGE_BYTES)
        self.answer(200, {"online": len(presence), "users": users, "after": after})
