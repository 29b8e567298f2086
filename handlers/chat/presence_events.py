"""`presence` and `typing`: events outside the log, which the server drops first.

At most one `presence` a second to every client, and one `typing` a second of each user to the others. Neither has
text as its last argument: a client would take it for an offset.
"""

import asyncio
import logging
from typing import Any, Final

import msgspec

from chatio.chat.messages import Author
from chatio.chat.presence import Presence
from chatio.cluster.cluster import Cluster
from chatio.cluster.people import SharedPeople
from chatio.realtime import Server
from chatio.telemetry.error_report import report
from chatio.throttling.timeouts import TimeoutQueue

logger = logging.getLogger("chatio.presence")

INTERVAL_SECONDS: Final = 1.0


class PresenceBroadcaster:
    """Broadcasts the presence of one namespace's users. Event loop only."""

    def __init__(self, server: Server, namespace: str, presence: Presence, cluster: Cluster | None = None) -> None:
        """`cluster`: the other servers, whose users are online too."""
        self._cluster = cluster
        self._people: SharedPeople | None = None
        if cluster is not None:
            self._people = cluster.share_people(came=self._came, left=self._left, typing=self._tell_typing)
        self._server = server
        self._namespace = namespace
        self._presence = presence
        self._is_scheduled = False
        self._untold: Any = None  # a change that could not be told
        self._told_of = TimeoutQueue[str](INTERVAL_SECONDS, lambda _: None)  # the ids of users who type

    def connected(self, author: Author) -> None:
        """`author` has one connection more at this server."""
        self._came(author)
        if self._people is not None:
            self._people.connected(author)

    def disconnected(self, author: Author) -> None:
        """`author` has one connection less at this server."""
        self._left(author)
        if self._people is not None:
            self._people.disconnected(author)

    def typing(self, author: Author, sid: str) -> None:
        """Tell the other clients that `author` types at `sid`, unless they were told in the last second."""
        if self._tell_typing(author, sid) and self._cluster is not None:
            self._cluster.typing(author)

    def _came(self, author: Author) -> None:
        self._presence.connected(author)
        self._schedule()

    def _left(self, author: Author) -> None:
        self._presence.disconnected(author)
        self._schedule()

    def _tell_typing(self, author: Author, sid: str | None = None) -> bool:
        """Whether the clients of this server are told now; not the one at `sid`."""
        if author.id in self._told_of:
            return False
        self._told_of.add(author.id)
        self._server.send_volatile(self._namespace, "typing", msgspec.to_builtins(author), but=sid)
        return True

    def _schedule(self) -> None:
        if not self._is_scheduled:
            try:
                asyncio.get_running_loop().call_later(INTERVAL_SECONDS, self._broadcast)
                self._is_scheduled = True
            except Exception as error:  # told with the next change
                report(logger, "presence", error)

    def _broadcast(self) -> None:
        self._is_scheduled = False
        try:
            if self._untold is None and self._presence.has_changed:
                self._untold = msgspec.to_builtins(self._presence.take_change())
            if self._untold is not None:
                self._server.send_volatile(self._namespace, "presence", self._untold)
                self._untold = None
        except Exception as error:
            report(logger, "presence", error)
        if self._untold is not None or self._presence.has_changed:
            self._schedule()
