"""How far one connection has read a log, and what a log must be so that it can be read so."""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from chatio.realtime.engineio.payload import EncodedPacket

if TYPE_CHECKING:
    from chatio.realtime.broadcast.fanout import Fanout
    from chatio.realtime.engineio.connection import Connection


class Log(Protocol):
    """Entries numbered without gaps. Those after `tail`, up to `head`, can be read."""

    @property
    def head(self) -> int: ...
    @property
    def tail(self) -> int: ...
    def read(self, after: int, *, limit: int | None = None) -> Sequence[Any]: ...


class Cursor:
    """How far one connection has read, and what of its own it must be sent on the way."""

    __slots__ = (
        "connection",
        "fanout",
        "held",
        "held_bytes",
        "in_kernel",
        "is_due",
        "is_stalled",
        "number",
        "started_at",
    )

    def __init__(self, fanout: "Fanout", connection: "Connection", number: int) -> None:
        self.fanout = fanout
        self.connection = connection
        self.started_at = number  # every entry behind it, up to `number`, was one delivery
        self.number = number  # of the last entry it was given
        self.held: deque[tuple[int, EncodedPacket]] | None = None  # each goes behind the entry of that number
        self.held_bytes = 0
        self.is_stalled = False  # was given something that it has not taken yet
        self.in_kernel = 0  # bytes for it there, when it was last looked at
        self.is_due = False  # its next piece is due

    @property
    def is_level(self) -> bool:
        """The connection took all that is there for it."""
        return self.fanout.is_level(self)

    def hold(self, packet: EncodedPacket) -> bool:
        """Take `packet`, which is for this connection alone, if entries go before it; False: send it now."""
        return self.fanout.hold(self, packet)

    def moved(self, *, all_taken: bool) -> None:
        """The connection took some of what it was given, or all of it."""
        self.fanout.moved(self, all_taken=all_taken)
