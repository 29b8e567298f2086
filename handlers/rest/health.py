"""GET /healthz and GET /readyz, for who runs the server: no token, no throttle, no line in the log.

/healthz says that the process answers. One that does not is to be restarted.
/readyz says whether it takes new people. One that does not is well all the same: who is connected stays.

There is no "starting": the port is opened when everything else is done, and until then nobody answers.
"""

from collections.abc import Callable, Mapping

import chatio
from chatio.server.in_flight import InFlightRequests
from handlers.auth import public
from handlers.base import BaseHandler
from handlers.cors import Cors
from handlers.operation import unlisted

# A word for each reason why nobody new is taken, and whether it holds now. The first that does is told.
ReadinessChecks = Mapping[str, Callable[[], bool]]


class HealthHandler(BaseHandler):
    is_answered_always = True

    @public
    @unlisted
    async def get(self) -> None:
        self.answer(200, {"status": "ok", "version": chatio.__version__})

    head = get


class ReadyHandler(BaseHandler):
    is_answered_always = True

    def initialize(self, cors: Cors, requests: InFlightRequests, checks: ReadinessChecks) -> None:  # type: ignore[override]
        super().initialize(cors, requests)
        self._checks = checks

    @public
    @unlisted
    async def get(self) -> None:
        reason = next((reason for reason, holds in self._checks.items() if holds()), None)
        if reason is None:
            self.answer(200, {"status": "ready"})
        else:
            self.answer(503, {"status": "not ready", "reason": reason})

    head = get
