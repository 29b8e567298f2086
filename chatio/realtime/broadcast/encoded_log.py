"""Encoded log: a log whose newest entries are encoded once, for all connections."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from chatio.realtime.engineio.payload import EncodedPacket
from chatio.realtime.limits import CHUNK_BYTES

CHUNK_ENTRIES: Final = 256  # read from the log for one chunk, at most
RECENT_BYTES: Final = 4 * CHUNK_BYTES


class Log(Protocol):
    """Entries numbered without gaps, each with its `sequence`. Those after `tail`, up to `head`, can be read."""

    @property
    def head(self) -> int: ...
    @property
    def tail(self) -> int: ...
    def read(self, after: int, *, limit: int | None = None) -> Sequence[Any]: ...


class EncodedLog:
    """Event loop only."""

    def __init__(
        self, log: Log, event: Callable[[Any], list[Any]], encode: Callable[[list[Any]], EncodedPacket]
    ) -> None:
        """`event`: an entry of the log as a name and arguments; `encode`: these as the packet for a client."""
        self.log = log
        self.head = log.head  # entries up to here are encoded, and may be sent
        self._event = event
        self._encode = encode
        self._recent: dict[int, EncodedPacket] = {}  # by sequence; for clients that lag a little
        self._recent_bytes = 0

    def encode_new(self) -> list[EncodedPacket]:
        """The entries that the log has behind `head`, which moves to the log's."""
        packets = []
        for entry in self.log.read(self.head):
            packet = self._recent[entry.sequence] = self._encode(self._event(entry))
            self._recent_bytes += len(packet.encoded)
            packets.append(packet)
        while self._recent_bytes > RECENT_BYTES:
            self._recent_bytes -= len(self._recent.pop(next(iter(self._recent))).encoded)
        self.head += len(packets)
        return packets

    def read(self, after: int) -> Iterator[tuple[int, EncodedPacket]]:
        """Sequence and packet of the entries after `after`, up to `head`; of at most `CHUNK_ENTRIES`."""
        recent = self._recent.get(after + 1)
        if recent is not None and after + 1 == self.head:  # nearly every read: one entry, which is encoded
            return iter([(self.head, recent)])
        return self._read(after)

    def _read(self, after: int) -> Iterator[tuple[int, EncodedPacket]]:
        for entry in self.log.read(after, limit=min(CHUNK_ENTRIES, self.head - after)):
            yield entry.sequence, self._recent.get(entry.sequence) or self._encode(self._event(entry))
