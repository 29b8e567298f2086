"""GET /users/online."""

from chatio.errors import RouteUnknown
from handlers.http.auth import authenticated
from handlers.http.base import BaseHandler
from handlers.http.operation import operation
from handlers.http.responses import OnlinePeople


class OnlineHandler(BaseHandler):
    """Mounted only where presence is on."""

    tag = "Chat"
    work_steps = 100

    @authenticated
    @operation(200, OnlinePeople)
    async def get(self) -> None:
        """List the users that are online, in full; the chat's `presence` event has changes only."""
        presence = self.services.presence
        if presence is None:
            raise RouteUnknown
        self.answer(200, {"online": len(presence), "users": presence.online()})
