"""Every event that asks for an ack gets one at once, so that a client with `retries` sends its next one."""

import json
from typing import Any

import pytest

from tests.client.wire import Ws, until
from tests.unit.handlers.chat.chat_server import chat_house

UNKNOWN = {"ok": False, "error": {"code": "unknown_event", "message": "This server knows no such event."}}


async def ack(ws: Ws, ack_id: int, namespace: str = "/chat") -> Any:
    """The arguments of the ack, which may stand behind other packets."""
    head = f"43{'' if namespace == '/' else namespace + ','}{ack_id}"
    while not (text := str(await ws.receive())).startswith(head + "["):
        pass
    return json.loads(text[len(head) :])


@pytest.mark.parametrize("event", ["no such event", "disconnected", "on_typing", "trigger_event", "", 7, 1.5])
async def test_unknown_event_is_refused_at_once_and_the_message_behind_it_goes_out(event: Any) -> None:
    async with chat_house() as house:
        ws = await house.join()
        ws.send(f"42/chat,1{json.dumps([event, 1])}", '42/chat,2["send-message",{"content":"hello"}]')
        assert await ack(ws, 1) == [UNKNOWN]
        assert (await ack(ws, 2))[0]["ok"] is True


async def test_unknown_event_without_an_ack_is_ignored() -> None:
    async with chat_house() as house:
        ws = await house.join()
        ws.send('42/chat,["no such event"]', '42/chat,2["send-message",{"content":"hello"}]')
        assert str(await ws.receive()).startswith('42/chat,["receive-message"')


async def test_event_that_is_turned_off_is_unknown() -> None:
    async with chat_house(presence="off") as house:
        ws = await house.join()
        ws.send('42/chat,1["typing"]')
        assert await ack(ws, 1) == [UNKNOWN]


@pytest.mark.parametrize("event", ["typing", "no such event", "renew"])
async def test_throttled_event_is_refused_at_once(event: str) -> None:
    async with chat_house(presence="on", other_events_per_second=1) as house:
        ws = await house.join()
        ws.send(*(f'42/chat,{number}["{event}"]' for number in range(1, 200)))
        answers = [await ack(ws, number) for number in range(1, 200)]
        refusals = [answer[0]["error"] for answer in answers if answer and not answer[0]["ok"]]
        limited = [error for error in refusals if error["code"] == "rate_limited"]
        assert limited
        assert all(error["retry_after_seconds"] >= 1 for error in limited)


@pytest.mark.parametrize("arguments", [[], [None], [1, 2, 3], [[]], ["text"], [{}], [{"content": 1}]])
async def test_event_with_wrong_arguments_is_refused_at_once(arguments: list[Any]) -> None:
    async with chat_house() as house:
        ws = await house.join()
        for number, event in enumerate(("send-message", "renew")):
            ws.send(f"42/chat,{number}{json.dumps([event, *arguments])}")
            assert (await ack(ws, number))[0]["ok"] is False


async def test_event_behind_a_connect_waits_for_its_decision() -> None:
    async with chat_house() as house:
        ws = await house.open()
        ws.send(
            f'40/chat,{{"token":"{house.token()}"}}',
            '42/chat,1["no such event"]',
            '42/chat,2["send-message",{"content":"hello"}]',
        )
        assert str(await ws.receive()).startswith("40/chat,")
        assert await ack(ws, 1) == [UNKNOWN]
        assert (await ack(ws, 2))[0]["ok"] is True


async def test_event_behind_a_connect_that_is_to_come_later_does_not_close_the_connection_before_its_time() -> (
    None
):
    async with chat_house(max_connections_per_person=1) as house:
        await house.join()
        ws = await house.open()
        ws.send(f'40/chat,{{"token":"{house.token()}"}}', '42/chat,1["send-message",{"content":"hello"}]')
        await until(lambda: house.chat.server.table_sizes()["later"] == 1)
        ws.send('42/chat,2["typing"]', "40/random,")
        assert str(await ws.receive()).startswith("44/random,")


async def test_event_with_attachments_is_refused_and_nothing_of_them_is_kept() -> None:
    """No event of the chat has any: they are read as null."""
    async with chat_house() as house:
        ws = await house.join()
        ws.send(
            '451-/chat,1["send-message",{"id":"a","content":{"_placeholder":true,"num":0}}]',
            b"x" * 500_000,
            '451-/chat,2["no such event",{"_placeholder":true,"num":0}]',
            b"x" * 500_000,
        )
        assert (await ack(ws, 1))[0]["error"]["code"] == "invalid_message"
        assert await ack(ws, 2) == [UNKNOWN]


async def test_attachments_that_do_not_come_close_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatio.realtime.limits.ATTACHMENT_SECONDS", 0.05)
    async with chat_house() as house:
        ws = await house.join()
        ws.send('452-/chat,1["send-message",{"_placeholder":true,"num":0}]', b"x")
        assert await ws.closed() == 1002
        await until(lambda: not any(house.chat.server.table_sizes().values()))


async def test_attachments_that_come_in_time_close_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatio.realtime.limits.ATTACHMENT_SECONDS", 0.05)
    async with chat_house() as house:
        ws = await house.join()
        ws.send('451-/chat,1["send-message",{"_placeholder":true,"num":0}]', b"x")
        assert (await ack(ws, 1))[0]["ok"] is False
        await until(lambda: house.chat.server.table_sizes()["partial"] == 0)
        ws.send('42/chat,2["send-message",{"content":"hello"}]')
        assert (await ack(ws, 2))[0]["ok"] is True
