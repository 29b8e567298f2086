"""Encoded log: a log whose newest entries are encoded once, for all connections."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from chatio.realtime.engineio.packets import NOOP, EncodedPacket
from chatio.realtime.limits import CHUNK_BYTES

CHUNK_ENTRIES: Final = 256  # read from the log for one chunk, at most
RECENT_BYTES: Final = 4 * CHUNK_BYTES


class Log(Protocol):
    """Entries numbered without gaps, each with its `sequence`. Those after `tail`, up to `head`, can be read.

    An entry may have changed what earlier ones say: `changed` are their sequences.
    """

    head: int
    tail: int

    def read(self, after: int, *, limit: int | None = None) -> Sequence[Any]: ...


class EncodedLog:
    """Event loop only."""

    def __init__(
        self, log: Log, event: Callable[[Any], list[Any] | None], encode: Callable[[list[Any]], EncodedPacket]
    ) -> None:
        """`event`: an entry of the log as a name and arguments, or None for one that says nothing any more.

        `encode`: these as the packet for a client.
        """
        self.log = log
        self.head = log.head  # entries up to here are encoded, and may be sent
        # By sequence: the entries that no broadcast has taken yet, and the newest, for clients that lag a little.
        self.recent: dict[int, EncodedPacket] = {}
        self._event = event
        self._encode = encode
        self._recent_bytes = 0

    def encode_new(self) -> None:
        """Encode the entries that the log has behind `head`, which moves to the log's: one after the other."""
        for entry in self.log.read(self.head):
            self._keep(entry)
            self.head = entry.sequence
            for sequence in entry.changed:
                if sequence in self.recent:
                    self._encode_again(sequence)

    def trim(self, taken: int) -> None:
        """Keep `RECENT_BYTES` of the entries up to `taken`, which a broadcast has taken."""
        while self._recent_bytes > RECENT_BYTES and (oldest := next(iter(self.recent))) <= taken:
            self._recent_bytes -= len(self.recent.pop(oldest).encoded)

    def read(self, after: int) -> Iterator[tuple[int, EncodedPacket]]:
        """Sequence and packet of the entries after `after`, up to `head`; of at most `CHUNK_ENTRIES`."""
        for sequence in range(after + 1, min(self.head, after + CHUNK_ENTRIES) + 1):
            packet = self.recent.get(sequence)  # nearly every time: the one entry that is new
            if packet is None:
                (entry,) = self.log.read(sequence - 1, limit=1)
                packet = self._packet(entry)
            yield sequence, packet

    def _encode_again(self, sequence: int) -> None:
        self._recent_bytes -= len(self.recent[sequence].encoded)
        if sequence > self.log.tail:
            self._keep(*self.log.read(sequence - 1, limit=1))
        else:
            self.recent[sequence] = NOOP
            self._recent_bytes += len(NOOP.encoded)

    def _keep(self, entry: Any) -> None:
        packet = self.recent[entry.sequence] = self._packet(entry)
        self._recent_bytes += len(packet.encoded)

    def _packet(self, entry: Any) -> EncodedPacket:
        event = self._event(entry)
        return NOOP if event is None else self._encode(event)
