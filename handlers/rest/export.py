"""GET /user/export."""

import asyncio

from chatio.errors import RateLimited, StoreUnavailable, UserUnknown
from chatio.moderation.personal_data import personal_data
from chatio.throttling.request_limits import ANSWER_SECONDS
from handlers.auth import authenticated
from handlers.base import BaseHandler
from handlers.operation import operation
from handlers.responses import PersonalData


class ExportHandler(BaseHandler):
    @authenticated
    @operation(200, PersonalData, raises=[UserUnknown, RateLimited, StoreUnavailable])
    async def get(self) -> None:
        """Download all that the server keeps of the user who is logged in.

        The answer is sent while it is read. An answer that ends early, without its last brace, is to be asked for
        again.
        """
        user = await self.services.registry.get(self.claims.subject)
        if self.request.method == "GET":
            self.services.exports.acquire(user.id)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("Content-Disposition", 'attachment; filename="chatio.json"')
        if self.request.method == "GET":
            moderation = self.services.moderation
            try:
                async for piece in personal_data(user, self.services.log, moderation.store):
                    self.write(piece)
                    await asyncio.wait_for(self.flush(), ANSWER_SECONDS)  # a client that reads no more has gone
            except TimeoutError:
                self.http.stream.close()
                return
        self.finish()
