"""The client manager beside the library's own: the same answers, and nothing left."""

from typing import Any

import pytest
import socketio
from hypothesis import given
from hypothesis import strategies as st

from chatio.realtime.socketio.manager import Manager


class Eio:
    """Hands out sids: the next one, until told that it is used."""

    def __init__(self) -> None:
        self.used = 0

    def generate_id(self) -> str:
        return f"sid{self.used}"


class OneServer:
    """As much of a server as a manager asks for."""

    packet_class = socketio.packet.Packet

    def __init__(self) -> None:
        self.eio = Eio()


def manager_of(kind: type[Any]) -> Any:
    manager = kind()
    manager.set_server(OneServer())
    return manager


def run(coroutine: Any) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["connect", "accept", "enter", "leave", "close", "leaving", "disconnect"]),
        st.integers(0, 4),
        st.sampled_from(["red", "green", "blue"]),
    ),
    max_size=40,
)


def step(manager: Any, sids: dict[int, str], what: str, client: int, room: str) -> str:
    """One step, and how it ended: its result, or the name of its exception."""
    sid = sids.get(client, "nobody")
    try:
        if what == "connect":
            made = run(manager.pre_connect(f"eio{client}", "/chat"))
            sids[client] = made or sid
            manager.server.eio.used += made is not None
            return str(made)
        if what == "accept":
            known = manager.is_pre_connected(sid, "/chat")
            return str(run(manager.connect(sid, "/chat")) if known else None)
        if what == "enter":
            return str(manager.basic_enter_room(sid, "/chat", room))
        if what == "leave":
            return str(manager.basic_leave_room(sid, "/chat", room))
        if what == "close":
            return str(manager.basic_close_room(room, "/chat"))
        if what == "leaving":
            return str(manager.pre_disconnect(sid, "/chat") if manager.is_connected(sid, "/chat") else None)
        return str(manager.basic_disconnect(sid, "/chat"))
    except (KeyError, ValueError) as error:
        return type(error).__name__


def seen(manager: Any, sids: dict[int, str]) -> list[Any]:
    """What the public methods say about everybody."""
    rooms: list[Any] = [None, "red", "green", "blue", ["red", "blue"], *sids.values()]
    return [
        [list(manager.get_participants("/chat", room)) for room in rooms],
        [
            (
                sorted(manager.get_rooms(sid, "/chat")),
                manager.is_connected(sid, "/chat"),
                manager.is_pre_connected(sid, "/chat"),
                manager.sid_from_eio_sid(f"eio{client}", "/chat"),
                manager.eio_sid_from_sid(sid, "/chat") if manager.rooms.get("/chat", {}).get(None) else None,
            )
            for client, sid in sids.items()
        ],
    ]


@given(STEPS)
def test_manager_says_what_the_librarys_says(steps: list[tuple[str, int, str]]) -> None:
    ours, theirs = manager_of(Manager), manager_of(socketio.AsyncManager)
    our_sids: dict[int, str] = {}
    their_sids: dict[int, str] = {}
    for what, client, room in steps:
        ours_did, theirs_did = (
            step(ours, our_sids, what, client, room),
            step(theirs, their_sids, what, client, room),
        )
        assert ours_did == theirs_did
        if "Error" in theirs_did:
            # The library has made the room by then, and keeps it for good: empty.
            theirs.rooms.get("/chat", {}).pop(room, None) if not theirs.rooms.get("/chat", {}).get(room) else None
        assert seen(ours, our_sids) == seen(theirs, their_sids)
    for sid in our_sids.values():
        ours.basic_disconnect(sid, "/chat")
    assert not any([ours.rooms, ours._sids, ours._rooms_of, ours.pending_connect, ours.pending_disconnect])


def test_entering_the_own_room_of_another_is_an_error() -> None:
    manager = manager_of(Manager)
    first = run(manager.pre_connect("eio0", "/"))
    manager.server.eio.used += 1
    second = run(manager.pre_connect("eio1", "/"))
    with pytest.raises(ValueError, match="sid room"):
        manager.basic_enter_room(first, "/", second)


def test_leaving_costs_only_the_rooms_one_was_in() -> None:
    manager = manager_of(Manager)
    for client in range(200):
        manager.server.eio.used = client
        run(manager.pre_connect(f"eio{client}", "/"))

    class Counting(dict[Any, Any]):
        looked_up = 0

        def get(self, key: Any, default: Any = None) -> Any:
            Counting.looked_up += 1
            return super().get(key, default)

        def items(self) -> Any:
            raise AssertionError("went through every room")

        def copy(self) -> Any:
            raise AssertionError("copied every room")

    manager.rooms["/"] = Counting(manager.rooms["/"])
    manager.basic_disconnect("sid0", "/")
    assert Counting.looked_up < 10
