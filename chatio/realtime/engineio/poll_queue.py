"""Poll queue: the output of a polling session, and the GET that waits for it."""

import asyncio

from chatio.realtime.engineio.packets import NOOP, EncodedPacket
from chatio.realtime.limits import PACKETS_PER_ANSWER, PENDING_OUTPUT_BYTES


class PollQueue:
    """A bounded list and a future; the library's queue costs 1.5 KiB and bounds nothing. Event loop only."""

    __slots__ = ("_bytes", "_packets", "_waiting")

    def __init__(self) -> None:
        self._packets: list[EncodedPacket] = []
        self._bytes = 0
        self._waiting: asyncio.Future[EncodedPacket | None] | None = None

    @property
    def is_polled(self) -> bool:
        """A GET is waiting."""
        return self._waiting is not None

    @property
    def is_empty(self) -> bool:
        return not self._packets

    @property
    def is_full(self) -> bool:
        return self._bytes > PENDING_OUTPUT_BYTES

    def put(self, packet: EncodedPacket) -> None:
        self._packets.append(packet)
        self._bytes += packet.size_bytes

    def take_all(self) -> list[EncodedPacket]:
        """Remove and return all waiting packets."""
        packets, self._packets, self._bytes = self._packets, [], 0
        return packets

    def take_some(self) -> list[EncodedPacket]:
        """Remove and return as many waiting packets as one answer may have."""
        packets = self._packets[:PACKETS_PER_ANSWER]
        del self._packets[:PACKETS_PER_ANSWER]
        self._bytes -= sum(packet.size_bytes for packet in packets)
        return packets

    async def take(self) -> list[EncodedPacket]:
        """The answer to a GET: waiting packets, as soon as there are any, or the argument of `release`."""
        farewell = None
        if not self._packets:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                farewell = await self._waiting
            finally:
                self._waiting = None
        return [farewell] if farewell is not None else self.take_some() or [NOOP]

    def release(self, farewell: EncodedPacket | None = None) -> None:
        """Let the waiting GET be answered: with `farewell` alone, or with waiting packets."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(farewell)
