"""GET /user/export."""

import asyncio

from chatio.errors import RateLimited, StoreUnavailable, Temporary, UserUnknown
from chatio.moderation.personal_data import personal_data
from chatio.server.in_flight import ANSWER_SECONDS
from chatio.stores.accounts import User
from handlers.http.auth import authenticated
from handlers.http.base import BaseHandler
from handlers.http.operation import operation
from handlers.http.responses import PersonalData


class ExportHandler(BaseHandler):
    tag = "Account"
    work_steps = 500

    @authenticated
    @operation(200, PersonalData, raises=[UserUnknown, RateLimited, StoreUnavailable])
    async def get(self) -> None:
        """Download all that the server keeps of the user who is logged in.

        The answer is sent while it is read. Where the database stops answering meanwhile, the connection is closed
        before the end.
        """
        user = await self.services.registry.get(self.claims.subject)
        if self.request.method == "GET":
            self.services.exports.acquire(user.id)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("Content-Disposition", 'attachment; filename="chatio.json"')
        if self.request.method == "HEAD" or await self._send(user):
            self.finish()

    async def _send(self, user: User) -> bool:
        """Send all but the end; False if that is not possible. A client has a time for each piece."""
        services = self.services
        try:
            async for piece in personal_data(user, services.logins, services.log, services.moderation.store):
                self.write(piece)
                await asyncio.wait_for(self.flush(), ANSWER_SECONDS)
        except (OSError, Temporary):  # TimeoutError and Tornado's StreamClosedError are such
            self.give_up()
            return False
        return True

    def give_up(self) -> None:
        """Close the connection: an answer that has begun cannot become another one."""
        self.http.stream.close()
