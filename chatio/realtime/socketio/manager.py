"""Manager: which client is in which namespace and room.

The library's manager looks through every room of the namespace when one client leaves it (each client has a
room of its own, so that is every client), keeps leaving and arriving clients in lists, and makes two dicts
and an object for each client's own room. Here a client's rooms are listed by client, its own room is implied,
and leaving costs as much as the number of its rooms. Order of entering is order of delivery, as in the library.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chatio.realtime.broadcast.cursor import Cursor
from chatio.realtime.broadcast.fanout import Fanout
from chatio.realtime.close_reasons import OUTPUT_NOT_TAKEN
from chatio.realtime.engineio.connection import Connection
from chatio.realtime.engineio.payload import EncodedPacket
from chatio.realtime.library import SocketIOManager
from chatio.realtime.limits import PENDING_OUTPUT_BYTES
from chatio.realtime.socketio.attachments import PartialPacket
from chatio.realtime.socketio.packets import PacketType, encode

Room = Any  # any hashable but None


class LogStart(NamedTuple):
    """The log that a client is to be sent, the entry after which it starts, and the `pid` to recover by."""

    fanout: Fanout
    after: int
    pid: str


@dataclass(slots=True, eq=False)
class Peer:
    """Socket.IO's state of one Engine.IO connection. Event loop only."""

    connection: Connection
    sids: dict[str, str] = field(default_factory=dict)  # of the namespaces that it is connected to
    leaving: dict[str, asyncio.Event] = field(
        default_factory=dict
    )  # those whose disconnect handler runs, until it has
    refused_connects: int = 0
    partial: PartialPacket | None = None
    following: tuple[str, Fanout, Cursor] | None = None  # namespace, and the place in its log
    # While a CONNECT is decided: its namespace, and the packets that wait for the answer.
    connecting: str | None = None
    deferred: list[EncodedPacket] = field(default_factory=list)
    deferred_bytes: int = 0
    log_start: LogStart | None = None

    def write(self, namespace: str, packets: list[EncodedPacket]) -> None:
        """Send `packets`, in order; behind the CONNECT answer of their namespace if that is not sent yet."""
        if self.connecting != namespace:
            for packet in packets:
                self.connection.write(packet)
            return
        self.deferred += packets
        self.deferred_bytes += sum(packet.size_bytes for packet in packets)
        if self.deferred_bytes > PENDING_OUTPUT_BYTES:
            self.take_deferred()
            self.connection.refuse(OUTPUT_NOT_TAKEN)

    def take_deferred(self) -> list[EncodedPacket]:
        """End the wait for the answer to CONNECT: the packets that waited, which are no longer here."""
        deferred, self.deferred, self.deferred_bytes, self.connecting = self.deferred, [], 0, None
        return deferred


class Manager(SocketIOManager):  # type: ignore[misc]
    """An in-memory client manager. Event loop only.

    `rooms[namespace][room][sid]` is an eio_sid, as in the library; room None has every client of the namespace,
    also one that is being connected or disconnected.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peers: dict[str, Peer] = {}  # by eio_sid
        self.rooms: dict[str, dict[Room, dict[str, str]]] = {}
        self._rooms_of: dict[str, list[Room]] = {}  # sid -> the rooms it entered

    def table_sizes(self) -> dict[str, int]:
        return {
            "peers": len(self.peers),
            "connecting": sum(peer.connecting is not None for peer in self.peers.values()),
            "rooms": len(self.rooms),
            "rooms_of": len(self._rooms_of),
            "callbacks": len(self.callbacks),
        }

    def peer_of(self, sid: str, namespace: str) -> Peer | None:
        return self.peers.get(self.eio_sid_from_sid(sid, namespace) or "")

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Whether `sid` is in `namespace`, and neither being connected nor disconnected."""
        peer = self.peer_of(sid, namespace)
        return peer is not None and peer.sids.get(namespace) == sid and namespace not in peer.leaving

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        peer = self.peers.get(eio_sid)
        return None if peer is None else peer.sids.get(namespace)

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        return self.rooms.get(namespace, {}).get(None, {}).get(sid)

    def basic_disconnect(self, sid: str, namespace: str, **_options: Any) -> None:
        """Forget `sid`: O(its rooms)."""
        for room in (*self._rooms_of.pop(sid, ()), None):
            self._remove(namespace, room, sid)
        self.callbacks.pop(sid, None)

    # Rooms

    def basic_enter_room(self, sid: str, namespace: str, room: Room, eio_sid: str | None = None) -> None:
        """Put `sid` into `room`; with `eio_sid` and room None, into the namespace.

        Raises ValueError for the own room of another, KeyError if `sid` is not connected.
        """
        if room is None and eio_sid is not None:
            self.rooms.setdefault(namespace, {}).setdefault(None, {})[sid] = eio_sid
            return
        if namespace not in self.rooms:
            raise ValueError("sid is not connected to requested namespace")
        if room == sid:
            return
        if self.is_sid_room(namespace, room):
            raise ValueError("cannot enter a sid room")
        eio_sid = self.rooms[namespace][None][sid]
        members = self.rooms[namespace].setdefault(room, {})
        if sid not in members:
            self._rooms_of.setdefault(sid, []).append(room)
        members[sid] = eio_sid

    def basic_leave_room(self, sid: str, namespace: str, room: Room) -> None:
        """Take `sid` out of `room`; nothing happens if it is not in there."""
        entered = self._rooms_of.get(sid, [])
        if room in entered:
            entered.remove(room)
            if not entered:
                del self._rooms_of[sid]
            self._remove(namespace, room, sid)

    def _remove(self, namespace: str, room: Room, sid: str) -> None:
        rooms = self.rooms.get(namespace, {})
        members = rooms.get(room, {})
        members.pop(sid, None)
        if not members:
            rooms.pop(room, None)
        if not rooms:
            self.rooms.pop(namespace, None)

    def get_rooms(self, sid: str, namespace: str) -> list[Room]:
        """The rooms of `sid`, its own first; none if it is not connected."""
        if self.eio_sid_from_sid(sid, namespace) is None:
            return []
        return [sid, *self._rooms_of.get(sid, ())]

    def get_participants(self, namespace: str, room: Room) -> Iterator[tuple[str, str]]:
        """(sid, eio_sid) of each member of a room; of several rooms (a list or tuple), each member once."""
        rooms = self.rooms.get(namespace, {})
        everyone = rooms.get(None, {})
        members: dict[str, str] = {}
        for one in room if isinstance(room, list | tuple | set | frozenset) else [room]:
            members |= rooms.get(one) or ({one: everyone[one]} if one in everyone else {})
        yield from members.items()

    # Sending

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Room = None,
        skip_sid: str | list[str] | None = None,
        callback: Any = None,
        to: Room = None,
        **_options: Any,
    ) -> None:
        """Send an event to a room: encoded once, and without a task for each recipient (134 µs in the library)."""
        arguments = list(data) if isinstance(data, tuple) else [] if data is None else [data]
        skipped = skip_sid if isinstance(skip_sid, list) else [skip_sid]
        recipients = [item for item in self.get_participants(namespace, to or room) if item[0] not in skipped]
        if not recipients:
            return
        packets = encode(PacketType.EVENT, namespace, [event, *arguments])
        for sid, eio_sid in recipients:
            if callback is not None:
                ack_id = self._generate_ack_id(sid, callback)
                packets = encode(PacketType.EVENT, namespace, [event, *arguments], ack_id)
            if (peer := self.peers.get(eio_sid)) is not None:
                peer.write(namespace, packets)
