"""Input that waits: bounded for each address, and for all."""

import pytest

from chatio.server.http import held_input
from chatio.server.http.held_input import HeldInput
from tests.client.protocol import http_request
from tests.client.wire import soon, until
from tests.unit.server.http.test_request_turns import FLOODER, FRIEND, PROXY, Turns, serving

HALF_A_HEAD = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 3000
HALF_A_BODY = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n" + b"x" * 3000


@pytest.fixture
def most_per_address(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(held_input, "MOST_PER_ADDRESS", 20_000)
    return 20_000


@pytest.mark.parametrize("unfinished", [HALF_A_HEAD, HALF_A_BODY])
async def test_an_address_holds_so_much_and_then_its_connections_give_way(
    unfinished: bytes, most_per_address: int
) -> None:
    held = HeldInput()
    async with serving(Turns(), held=held) as here:
        flood = [await here.connect(FLOODER) for _ in range(10)]
        for each in flood:
            each.writer.write(unfinished)
        await until(lambda: sum(bool(each.reader._buffer) for each in flood) >= 3)  # type: ignore[attr-defined]
        assert held.of(FLOODER) <= most_per_address
        refused = next(each for each in flood if each.reader._buffer)  # type: ignore[attr-defined]
        answer = await refused.answer()
        assert (answer.status, answer.header("retry-after")) == (429, "1")
        assert answer.json["retry_after_seconds"] == 1
        assert await here.status(FRIEND) == 404
        for each in flood:
            each.cut()
        await until(lambda: not len(held))


async def test_of_requests_in_advance_little_is_read() -> None:
    turns, held = Turns(), HeldInput()
    turns.is_spent = True
    async with serving(turns, held=held) as here:
        flooder = await here.connect(FLOODER)
        flooder.writer.write(http_request("GET", "/nowhere") * 2000)
        await until(lambda: turns.waiting)
        assert not held.of(FLOODER)
        turns.waiting.pop().set_result(None)
        await until(lambda: turns.waiting)
        assert 0 < held.of(FLOODER) <= 4096


async def test_behind_a_proxy_the_client_holds_it(most_per_address: int) -> None:
    held = HeldInput()
    turns = Turns()
    async with serving(turns, PROXY, held=held) as here:
        connection = await here.connect(PROXY)
        assert (await connection.request("GET", "/nowhere", X_Forwarded_For=FLOODER)).status == 404
        turns.is_spent = True
        connection.writer.write(http_request("GET", "/nowhere", X_Forwarded_For=FLOODER, X="x" * 3000))
        await until(lambda: turns.waiting)
        assert (held.of(PROXY), held.of(FLOODER) > 3000) == (0, True)
        turns.waiting[0].set_result(None)
        assert (await connection.answer()).status == 404
        await soon(until(lambda: not len(held)))


def test_all_together_hold_so_much_and_then_those_with_the_most_give_way() -> None:
    held = HeldInput()
    addresses = held_input.MOST // held_input.MOST_PER_ADDRESS + 1
    for number in range(addresses):
        held.add(f"192.0.2.{number}", held_input.MOST_PER_ADDRESS)
    held.add("198.51.100.1", held_input.FAIR_SHARE)
    assert held.is_too_much("192.0.2.0")
    assert not held.is_too_much("198.51.100.1")
    for number in range(addresses):
        held.add(f"192.0.2.{number}", -held_input.MOST_PER_ADDRESS)
    held.add("198.51.100.1", 1)
    assert not held.is_too_much("198.51.100.1")


def test_without_rate_limits_it_is_never_too_much() -> None:
    held = HeldInput(is_on=False)
    held.add("192.0.2.1", 2 * held_input.MOST)
    assert not held.is_too_much("192.0.2.1")
