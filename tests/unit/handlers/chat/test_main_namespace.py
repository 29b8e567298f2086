"""The main namespace "/", which some clients join before any other (elephant.io, the C++ client)."""

import json
from typing import Any

import pytest

from chatio.realtime.limits import MAX_REFUSED_CONNECTS
from tests.client.wire import open_polling, request, until
from tests.unit.handlers.chat.chat_server import House, chat_house
from tests.unit.handlers.chat.test_acks import UNKNOWN, ack


def chat_connect(house: House, query: str = "") -> str:
    return f'40/chat{query},{{"token":"{house.token()}"}}'


@pytest.mark.parametrize("connect", ["40", "40/,", "40{}", '40{"token":"x"}', "40/?token=x,", "40/?EIO=4&x=1"])
async def test_client_joins_the_main_namespace_and_then_the_chat(connect: str) -> None:
    async with chat_house() as house:
        ws = await house.open()
        ws.send(connect)
        answer = str(await ws.receive())
        assert list(json.loads(answer[2:])) == ["sid"]
        ws.send(chat_connect(house), '42/chat,1["send-message",{"content":"hello"}]')
        assert str(await ws.receive()).startswith("40/chat,")
        assert (await ack(ws, 1))[0]["ok"] is True


async def test_client_joins_the_chat_and_then_the_main_namespace() -> None:
    async with chat_house() as house:
        ws = await house.open()
        ws.send(chat_connect(house), "40")
        assert str(await ws.receive()).startswith("40/chat,")
        assert str(await ws.receive()).startswith('40{"sid":')
        ws.send("41", '42/chat,1["send-message",{"content":"hello"}]')
        assert (await ack(ws, 1))[0]["ok"] is True


async def test_client_on_polling_joins_both_in_one_body() -> None:
    async with chat_house() as house:
        target = await open_polling(house.port)
        body = f"40\x1e{chat_connect(house)}".encode()
        assert (await request(house.port, "POST", target, body)).text == "ok"
        answers: list[str] = []
        while len(answers) < 2:
            answers += (await request(house.port, "GET", target)).text.split("\x1e")
        assert [answer[:5] for answer in answers] == ['40{"s', "40/ch"]


async def test_query_of_a_namespace_may_be_as_long_as_a_token() -> None:
    async with chat_house() as house:
        ws = await house.open()
        ws.send(chat_connect(house, f"?token={house.token()}"))
        assert str(await ws.receive()).startswith("40/chat,")


async def test_main_namespace_does_not_count_as_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    async with chat_house() as house:
        ws = await house.open()
        ws.send("40")
        await ws.receive()
        sizes = house.chat.server.table_sizes()
        assert (sizes["unconnected"], sizes["rooms"]) == (1, 0)
        connection = next(iter(house.chat.server.eio.sockets.values()))
        assert connection.max_input_bytes == 16 * 1024
        ws.send("40/admin,")
        assert await ws.receive() == '44/admin,{"message":"Invalid namespace"}'
        assert await ws.closed() == 1000
        await until(lambda: not any(house.chat.server.table_sizes().values()))


async def test_event_in_the_main_namespace_is_refused() -> None:
    async with chat_house() as house:
        ws = await house.open()
        ws.send("40", '42["hello"]', '421["hello"]', "431[]", '451-2["hello",{"_placeholder":true,"num":0}]', b"x")
        assert str(await ws.receive()).startswith("40{")
        assert [await ack(ws, 1, "/"), await ack(ws, 2, "/")] == [[UNKNOWN], [UNKNOWN]]
        ws.send("41", "40")
        assert str(await ws.receive()).startswith("40{")


@pytest.mark.parametrize("repeated", [["40", "41"], ['421["hello"]']])
async def test_client_in_no_other_namespace_is_answered_so_often_and_then_closed(repeated: list[Any]) -> None:
    async with chat_house() as house:
        ws = await house.open()
        ws.send("40", "41", "40", *(repeated * MAX_REFUSED_CONNECTS))
        answers = 0
        while not (answer := await ws.receive_or_end()).startswith("closed"):
            answers += 1
        assert answer == "closed, 1002"
        assert answers <= MAX_REFUSED_CONNECTS


async def test_second_connect_closes_the_connection() -> None:
    async with chat_house() as house:
        ws = await house.open()
        ws.send("40", "40")
        assert await ws.closed() == 1002
