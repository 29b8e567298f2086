"""GET /healthz and GET /readyz, for operators: no token, no rate limit, no line in the log.

/healthz answers as long as the process works. A process that does not answer is to be restarted.
/readyz says whether the server takes new clients. One that is not ready still serves the connected clients.

There is no "starting" state: the port is opened when everything else is done.
"""

import chatio
from handlers.http.auth import public
from handlers.http.base import BaseHandler
from handlers.http.operation import unlisted


class HealthHandler(BaseHandler):
    answers_while_draining = True
    is_rate_limited = False

    @public
    @unlisted
    async def get(self) -> None:
        self.answer(200, {"status": "ok", "version": chatio.__version__})


class ReadyHandler(BaseHandler):
    answers_while_draining = True
    is_rate_limited = False

    @public
    @unlisted
    async def get(self) -> None:
        reason = next((reason for reason, holds in self.services.readiness.items() if holds()), None)
        cluster = self.services.cluster
        servers = {} if cluster is None else {"server": cluster.name, "others": sorted(cluster.others.values())}
        if reason is None:
            self.answer(200, {"status": "ready", **servers})
        else:
            self.answer(503, {"status": "not ready", "reason": reason, **servers})
