"""The client manager beside the library's own: the same answers, and nothing left."""

from typing import Any

import pytest
import socketio
from hypothesis import given
from hypothesis import strategies as st

from chatio.realtime.socketio.manager import Manager


class TheirServer:
    """As much of a server as the library's manager asks for: sids are our manager's."""

    packet_class = socketio.packet.Packet
    next_sid = ""

    @property
    def eio(self) -> "TheirServer":
        return self

    def generate_id(self) -> str:
        return self.next_sid


class Ours(Manager):
    """Our manager under the library's names for what the seam calls otherwise."""

    count = 0

    def enter(self, eio_sid: str) -> str:
        """A client whose CONNECT is accepted."""
        return str(run(self.pre_connect(eio_sid, "/chat")))

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        if eio_sid in self.rooms.get(namespace, {}).get(None, {}).values():
            return None
        self.count += 1
        sid = f"sid{self.count}"
        self.basic_enter_room(sid, namespace, None, eio_sid=eio_sid)
        return sid

    async def connect(self, sid: str, namespace: str) -> str:
        return sid

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        eio_sid: str | None = self.eio_sid_from_sid(sid, namespace)
        return eio_sid


def their_manager() -> Any:
    manager = socketio.AsyncManager()
    manager.set_server(TheirServer())
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


def step(manager: Any, sid: str, what: str, room: str, is_pre_connected: bool, is_connected: bool) -> str:
    """One step, and how it ended: its result, or the name of its exception."""
    try:
        if what == "accept":
            return str(run(manager.connect(sid, "/chat")) if is_pre_connected else None)
        if what == "enter":
            return str(manager.basic_enter_room(sid, "/chat", room))
        if what == "leave":
            return str(manager.basic_leave_room(sid, "/chat", room))
        if what == "close":
            return str(manager.basic_close_room(room, "/chat"))
        if what == "leaving":
            return str(manager.pre_disconnect(sid, "/chat") if is_connected else None)
        return str(manager.basic_disconnect(sid, "/chat"))
    except (KeyError, ValueError) as error:
        return type(error).__name__


def seen(manager: Any, sids: dict[int, str]) -> list[Any]:
    """The answers of the public methods about every client."""
    rooms: list[Any] = [None, "red", "green", "blue", ["red", "blue"], *sids.values()]
    return [
        [list(manager.get_participants("/chat", room)) for room in rooms],
        [
            (
                sorted(manager.get_rooms(sid, "/chat")),
                manager.eio_sid_from_sid(sid, "/chat") if manager.rooms.get("/chat", {}).get(None) else None,
            )
            for sid in sids.values()
        ],
    ]


@given(STEPS)
def test_manager_answers_as_the_librarys(steps: list[tuple[str, int, str]]) -> None:
    ours, theirs = Ours(), their_manager()
    sids: dict[int, str] = {}
    for what, client, room in steps:
        sid = sids.get(client, "no client's")
        if what == "connect":
            made = run(ours.pre_connect(f"eio{client}", "/chat"))
            theirs.server.next_sid = made or "unused"
            assert run(theirs.pre_connect(f"eio{client}", "/chat")) == made
            sids[client] = made or sid
        else:
            known = theirs.is_pre_connected(sid, "/chat"), theirs.is_connected(sid, "/chat")
            ended = step(theirs, sid, what, room, *known)
            assert step(ours, sid, what, room, *known) == ended
            if "Error" in ended and not theirs.rooms.get("/chat", {}).get(room):
                theirs.rooms.get("/chat", {}).pop(
                    room, None
                )  # the library has made it, and keeps it for good: empty
        assert seen(ours, sids) == seen(theirs, sids)
    for sid in sids.values():
        ours.basic_disconnect(sid, "/chat")
    assert not any(ours.table_sizes().values())


def test_entering_the_own_room_of_another_is_an_error() -> None:
    manager = Ours()
    first, second = manager.enter("eio0"), manager.enter("eio1")
    with pytest.raises(ValueError, match="sid room"):
        manager.basic_enter_room(first, "/chat", second)


def test_leaving_costs_only_the_rooms_that_clients_entered() -> None:
    """Not one room for each client of the namespace, as in the library."""
    manager = Ours()
    first, second, *_ = [manager.enter(f"eio{client}") for client in range(200)]
    manager.basic_enter_room(second, "/chat", "red")
    looked_at: list[Any] = []

    class Recording(dict[Any, Any]):
        def copy(self) -> Any:
            looked_at.extend(self)
            return dict(self)

    manager.rooms["/chat"] = Recording(manager.rooms["/chat"])
    manager.basic_disconnect(first, "/chat")
    assert looked_at == [None, "red"]
    assert manager.eio_sid_from_sid(first, "/chat") is None
