"""Manager: which client is in which room.

The library's manager looks through every room of the namespace when one client leaves it (each client has a
room of its own, so that is every client), keeps leaving and arriving clients in lists, and makes two dicts
and an object for each client's own room. Here a client's rooms are listed by client, its own room is implied,
and leaving costs as much as the number of its rooms. Order of entering is order of delivery, as in the library.
"""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

from chatio.realtime.engineio.payload import EncodedPacket
from chatio.realtime.library import SocketIOManager
from chatio.realtime.limits import SESSION_ID_BYTES
from chatio.realtime.socketio.packets import PacketType, encode

Room = Any  # any hashable but None


class Manager(SocketIOManager):  # type: ignore[misc]
    """An in-memory client manager. Event loop only.

    `rooms[namespace][room][sid]` is an eio_sid, as in the library; room None has every client of the namespace.
    """

    def __init__(self, send: Callable[[str, str, list[EncodedPacket]], None]) -> None:
        """`send`: packets to an eio_sid, in a namespace."""
        super().__init__()
        self.rooms: dict[str, dict[Room, dict[str, str]]] = {}
        self._send = send
        self._sids: dict[str, dict[str, str]] = {}  # namespace -> eio_sid -> sid
        self._rooms_of: dict[str, list[Room]] = {}  # sid -> the rooms it entered
        self._unsettled: set[str] = set()  # sids that are being connected or disconnected

    def table_sizes(self) -> dict[str, int]:
        tables = {
            "rooms": self.rooms,
            "callbacks": self.callbacks,
            "sids": self._sids,
            "rooms_of": self._rooms_of,
            "unsettled": self._unsettled,
        }
        return {name: len(table) for name, table in tables.items()}

    # Connect and disconnect

    def begin_connect(self, eio_sid: str, namespace: str) -> str | None:
        """A sid for a client whose connect handler is about to run; None if it is in the namespace already."""
        sids = self._sids.setdefault(namespace, {})
        if eio_sid in sids:
            return None
        sid = sids[eio_sid] = secrets.token_urlsafe(SESSION_ID_BYTES)
        self.rooms.setdefault(namespace, {}).setdefault(None, {})[sid] = eio_sid
        self._unsettled.add(sid)
        return sid

    def finish_connect(self, sid: str) -> None:
        """The connect handler has accepted `sid`."""
        self._unsettled.discard(sid)

    def begin_disconnect(self, sid: str) -> None:
        """`sid` is about to leave: its disconnect handler still finds its rooms and its session."""
        self._unsettled.add(sid)

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Whether `sid` is in `namespace`, and neither being connected nor disconnected."""
        return sid not in self._unsettled and sid in self.rooms.get(namespace, {}).get(None, {})

    def basic_disconnect(self, sid: str, namespace: str, **_options: Any) -> None:
        """Forget `sid`: O(its rooms)."""
        for room in self._rooms_of.pop(sid, ()):
            self._remove(namespace, room, sid)
        eio_sid = self.eio_sid_from_sid(sid, namespace)
        self._remove(namespace, None, sid)
        sids = self._sids.get(namespace, {})
        if eio_sid is not None:
            sids.pop(eio_sid, None)
        if not sids:
            self._sids.pop(namespace, None)
        self.callbacks.pop(sid, None)
        self._unsettled.discard(sid)

    # Rooms

    def basic_enter_room(self, sid: str, namespace: str, room: Room, eio_sid: str | None = None) -> None:
        """Put `sid` into `room`.

        Raises ValueError for the own room of another, KeyError if `sid` is not connected.
        """
        if eio_sid is None and namespace not in self.rooms:
            raise ValueError("sid is not connected to requested namespace")
        if room == sid:
            return
        if self.is_sid_room(namespace, room):
            raise ValueError("cannot enter a sid room")
        if eio_sid is None:
            eio_sid = self.rooms[namespace][None][sid]
        members = self.rooms.setdefault(namespace, {}).setdefault(room, {})
        if sid not in members:
            self._rooms_of.setdefault(sid, []).append(room)
        members[sid] = eio_sid

    def basic_leave_room(self, sid: str, namespace: str, room: Room) -> None:
        """Take `sid` out of `room`; nothing happens if it is not in there."""
        entered = self._rooms_of.get(sid)
        if entered is None or room not in entered:
            return
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
        if sid not in self.rooms.get(namespace, {}).get(None, {}):
            return []
        return [sid, *self._rooms_of.get(sid, ())]

    def get_participants(self, namespace: str, room: Room) -> Iterator[tuple[str, str]]:
        """(sid, eio_sid) of each member of a room, or once each of several (a list or tuple of rooms)."""
        rooms = self.rooms.get(namespace, {})
        if isinstance(room, list | tuple | set | frozenset):
            members: dict[str, str] = {}
            for one in room:
                members.update(self._members(rooms, one))
        else:
            members = dict(self._members(rooms, room))
        yield from members.items()

    def _members(self, rooms: dict[Room, dict[str, str]], room: Room) -> dict[str, str]:
        if room in rooms:
            return rooms[room]
        everybody = rooms.get(None, {})
        return {room: everybody[room]} if room in everybody else {}

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        return self._sids.get(namespace, {}).get(eio_sid)

    def connected_sid(self, eio_sid: str, namespace: str) -> str | None:
        """The sid of a client that is in `namespace`, and neither being connected nor disconnected."""
        sid = self._sids.get(namespace, {}).get(eio_sid)
        return None if sid in self._unsettled else sid

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        return self.rooms.get(namespace, {}).get(None, {}).get(sid)

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
            self._send(eio_sid, namespace, packets)
