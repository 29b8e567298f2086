"""A handler that returns its ack later: the client's next message is handled meanwhile, and tables end empty."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from chatio.realtime import Server, ack_requested, create_server
from tests.client.wire import join, leftovers, serving, until
from tests.conftest import ExpectedLogs


class Answers:
    """Handlers of "later", which answer when a test says so."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[Any]] = []
        self.asked: list[bool] = []  # whether there was an ack to give, as the answer saw it

    async def later(self, sid: str, *args: Any) -> Coroutine[Any, Any, Any]:
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        return self._answer(future)

    async def _answer(self, future: "asyncio.Future[Any]") -> Any:
        result = await future
        self.asked.append(ack_requested())
        return result


@asynccontextmanager
async def chat() -> AsyncIterator[tuple[Server, int, Answers]]:
    answers = Answers()
    server, handler = create_server()
    server.on("later", answers.later, namespace="/chat")
    async with serving(handler) as port:
        yield server, port, answers
        await until(lambda: not leftovers(server))


async def test_the_next_message_is_handled_before_the_ack_of_the_last_one() -> None:
    async with chat() as (_server, port, answers):
        ws = await join(port, "/chat")
        ws.send('42/chat,1["later"]', '42/chat,2["later"]', '42/chat,["later"]')
        await until(lambda: len(answers.waiting) == 3)
        answers.waiting[1].set_result({"ok": True})
        assert await ws.receive() == '43/chat,2[{"ok":true}]'
        answers.waiting[2].set_result("not asked for")
        answers.waiting[0].set_result(("a", "b"))
        assert await ws.receive() == '43/chat,1["a","b"]'
        assert answers.asked == [True, False, True]
        ws.close()


async def test_an_answer_that_fails_is_acknowledged_as_failed(logs: ExpectedLogs) -> None:
    logs.expect("event handler failed: RuntimeError")
    async with chat() as (_server, port, answers):
        ws = await join(port, "/chat")
        ws.send('42/chat,1["later"]')
        await until(lambda: answers.waiting)
        answers.waiting[0].set_exception(RuntimeError("hidden"))
        assert str(await ws.receive()).startswith('43/chat,1[{"ok":false,"error":{"code":"internal_error"')
        ws.close()


async def test_an_answer_for_a_client_that_has_gone_is_dropped() -> None:
    async with chat() as (server, port, answers):
        ws = await join(port, "/chat")
        ws.send('42/chat,1["later"]')
        await until(lambda: answers.waiting)
        ws.cut()
        await until(lambda: not server.eio.sockets)
        answers.waiting[0].set_result("too late")
        await until(lambda: answers.asked)


async def test_an_answer_is_not_given_to_the_client_s_next_visit() -> None:
    async with chat() as (_server, port, answers):
        ws = await join(port, "/chat")
        ws.send('42/chat,1["later"]')
        await until(lambda: answers.waiting)
        ws.send("41/chat,", "40/chat,")
        assert str(await ws.receive()).startswith("40/chat,")
        answers.waiting[0].set_result("of the visit before")
        await until(lambda: answers.asked)
        ws.send('42/chat,1["later"]')
        await until(lambda: len(answers.waiting) == 2)
        answers.waiting[1].set_result("of this visit")
        assert await ws.receive() == '43/chat,1["of this visit"]'
        ws.close()
