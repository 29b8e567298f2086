"""Edits and deletions at the socket: their acks, their events, and what a client is told that may not change."""

import json
from typing import Any

import pytest

from tests.client.wire import Ws
from tests.unit.handlers.chat.chat_server import House, chat_house
from tests.unit.handlers.chat.test_acks import ack


async def post(ws: Ws, id_: str, content: str = "hello") -> Any:
    ws.send(f"42/chat,1{json.dumps(['send-message', {'id': id_, 'content': content}])}")
    return (await ack(ws, 1))[0]


async def change(ws: Ws, event: str, **data: Any) -> Any:
    ws.send(f"42/chat,2{json.dumps([event, data])}")
    return (await ack(ws, 2))[0]


async def event(ws: Ws) -> Any:
    """The next event, a list of its name and arguments."""
    while not (text := str(await ws.receive())).startswith("42/chat,"):
        pass
    return json.loads(text.removeprefix("42/chat,"))


async def view(house: House, name: str = "eve") -> list[Any]:
    """The events of the log that a client receives which joins now; the offsets are left out."""
    ws = await house.join(name)
    last = f"the last of {name}"
    ws.send(f"42/chat,{json.dumps(['send-message', {'id': last, 'content': '-'}])}")
    events = []
    while (got := await event(ws))[1]["id"] != last:
        events.append(got[:2])
    return events


async def test_an_edit_is_acknowledged_and_told_to_every_client_with_its_offset() -> None:
    async with chat_house() as house:
        ann, bob = await house.join("ann"), await house.join("bob")
        posted = await post(ann, "a")
        edited = await change(ann, "edit-message", id="a", content="other")
        assert sorted(edited) == ["edited_at", "id", "offset", "ok"]
        assert (edited["ok"], edited["id"]) == (True, "a")
        assert edited["offset"] > posted["offset"]
        assert (await event(bob))[0] == "receive-message"
        told = {"id": "a", "content": "other", "edited_at": edited["edited_at"]}
        assert await event(bob) == ["message-edited", told, edited["offset"]]


async def test_a_deletion_is_acknowledged_and_told_to_every_client_with_its_offset() -> None:
    async with chat_house() as house:
        ann, bob = await house.join("ann"), await house.join("bob")
        await post(ann, "a")
        deleted = await change(ann, "delete-message", id="a")
        assert sorted(deleted) == ["deleted_at", "id", "offset", "ok"]
        assert (await event(bob))[0] == "receive-message"
        assert await event(bob) == [
            "message-deleted",
            {"id": "a", "deleted_at": deleted["deleted_at"]},
            deleted["offset"],
        ]


async def test_a_client_that_joins_later_receives_messages_as_they_are_now() -> None:
    async with chat_house() as house:
        ann = await house.join("ann")
        for id_ in "abc":
            await post(ann, id_, f"secret {id_}")
        edited = [await change(ann, "edit-message", id="a", content=f"text {number}") for number in range(3)]
        await change(ann, "delete-message", id="b")
        events = await view(house)
        assert [(name, data["id"], data.get("content")) for name, data in events] == [
            ("receive-message", "a", "text 2"),
            ("receive-message", "c", "secret c"),
            ("message-edited", "a", "text 2"),
            ("message-deleted", "b", None),
        ]
        assert events[0][1]["edited_at"] == edited[-1]["edited_at"]
        assert "edited_at" not in events[1][1]
        assert "secret a" not in f"{house.chat.namespace.fanout._log.recent} {house.core.log.window.read(0)}"


async def test_as_many_messages_are_history_as_before_whatever_was_edited_and_deleted() -> None:
    async with chat_house(history_on_connect=2) as house:
        ann = await house.join("ann")
        for id_ in "abcd":
            await post(ann, id_)
        for number in range(20):
            await change(ann, "edit-message", id="a", content=f"text {number}")
        await change(ann, "delete-message", id="d")
        received = [data["id"] for name, data in await view(house) if name == "receive-message"]
        assert received == ["b", "c"]


@pytest.mark.parametrize(
    ("event_name", "data", "code"),
    [
        ("edit-message", {"id": "a", "content": "mine"}, "not_your_message"),
        ("delete-message", {"id": "a"}, "not_your_message"),
        ("delete-message", {}, "message_unknown"),
        ("delete-message", {"id": "gone"}, "message_deleted"),
        ("edit-message", {"id": "b", "content": "x" * 10_001}, "message_too_long"),
    ],
)
async def test_a_change_that_may_not_be_is_refused_and_changes_nothing(
    event_name: str, data: dict[str, Any], code: str
) -> None:
    async with chat_house() as house:
        ann, bob = await house.join("ann"), await house.join("bob")
        await post(ann, "a")
        await post(bob, "b")
        await post(bob, "gone")
        await change(bob, "delete-message", id="gone")
        head = house.core.log.window.head
        refused = await change(bob, event_name, **data)
        assert (refused["ok"], refused["error"]["code"]) == (False, code)
        assert house.core.log.window.head == head
        assert house.chat.namespace.message_rejections[code] == 1
        bob.send(f"42/chat,{json.dumps([event_name, data])}")
        while (told := await event(bob))[0] != "change-rejected":
            pass
        id_ = data.get("id")
        assert told == ["change-rejected", {"ok": False, "error": refused["error"], "id": id_}]


async def test_a_change_is_refused_when_it_is_too_late() -> None:
    async with chat_house(edit_seconds=0) as house:
        ann = await house.join("ann")
        await post(ann, "a")
        for name in ("edit-message", "delete-message"):
            assert (await change(ann, name, id="a", content="x"))["error"]["code"] == "change_too_late"


async def test_changes_are_rate_limited_together_with_messages() -> None:
    async with chat_house(message_burst=10, messages_per_second=0.1) as house:
        ann = await house.join("ann")
        await post(ann, "a")
        for number in range(2, 40):
            ann.send(f"42/chat,{number}{json.dumps(['edit-message', {'id': 'a', 'content': f'text {number}'}])}")
        answers = [(await ack(ann, number))[0] for number in range(2, 40)]
        assert [answer["ok"] for answer in answers] == [True] * 9 + [False] * 29
        assert {answer["error"]["code"] for answer in answers[9:]} == {"rate_limited"}
        assert house.core.log.window.head == 10
