"""python-socketio on Tornado, with what it lacks."""

from contextvars import ContextVar
from typing import Any

import socketio
from tornado.web import RequestHandler

_ack_requested: ContextVar[bool] = ContextVar("ack_requested", default=False)


def ack_requested() -> bool:
    """Whether the client asked for an ack to the event that is being handled. Within an event handler only."""
    return _ack_requested.get()


class Server(socketio.AsyncServer):
    async def _handle_event_internal(
        self,
        server: Any,
        sid: str,
        eio_sid: str,
        data: Any,
        namespace: str,
        id: int | None,  # noqa: A002
    ) -> None:
        _ack_requested.set(id is not None)
        await super()._handle_event_internal(server, sid, eio_sid, data, namespace, id)

    async def drop_all(self) -> None:
        await self.shutdown()


def create_server(**options: Any) -> tuple[Server, type[RequestHandler]]:
    server = Server(async_mode="tornado", **options)
    return server, socketio.get_tornado_handler(server)
