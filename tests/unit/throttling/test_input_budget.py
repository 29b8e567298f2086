"""Input budgets: which address is next, how much one go has, and when it is a flood."""

import asyncio
import itertools
from collections.abc import Callable
from functools import partial

import pytest

from chatio.throttling.input_budget import (
    BUDGET_SECONDS,
    FLOOD_FRAMES,
    FLOOD_SECONDS,
    LIGHT_STEPS,
    MOST_SERVED,
    USUAL_STEPS,
    Allowance,
    Budget,
    BudgetPool,
)
from tests.client.wire import PATIENCE_SECONDS, soon, until
from tests.conftest import ExpectedLogs

ANN, BOB = "192.0.2.1", "192.0.2.2"
SAME_64 = ["2001:db8::1", "2001:db8::ffff"]
# One address has 1,000 steps at once, and 100 more for each of its connections.
ALLOWANCE = Allowance(steps=10_000, steps_at_once=100, address_steps=100, client_steps=10)
AT_ONCE = int(BUDGET_SECONDS * ALLOWANCE.address_steps)


def pool(allowance: Allowance = ALLOWANCE) -> BudgetPool:
    return BudgetPool(allowance, is_on=True)


async def test_connections_of_one_address_draw_on_one_budget() -> None:
    budgets = pool()
    assert budgets.join(ANN) is budgets.join(ANN)
    assert budgets.join(ANN) is not budgets.join(BOB)
    assert budgets.join(SAME_64[0]) is budgets.join(SAME_64[1])
    assert len(budgets) == 3


async def test_budget_is_spent_by_more_than_it_has_at_once() -> None:
    budget = pool().of(ANN)
    spent = []
    for steps in (AT_ONCE, 1):
        budget.charge(steps)
        spent.append(budget.is_spent)
    assert spent == [False, True]
    await until(lambda: not budget.is_spent)


async def test_each_connection_adds_to_its_addresses_budget() -> None:
    budget = pool().join(ANN)
    budget.charge(AT_ONCE + int(BUDGET_SECONDS * ALLOWANCE.client_steps))
    assert not budget.is_spent


async def test_budget_is_remembered_when_its_last_connection_leaves() -> None:
    budgets = pool()
    budget = budgets.join(ANN)
    budget.leave()
    assert len(budgets) == 0
    assert budgets.join(ANN) is budget


async def test_pools_that_are_off_never_keep_a_client_waiting() -> None:
    budget = BudgetPool(ALLOWANCE, is_on=False).join(ANN)
    assert not budget.charge(10**9, 10**6)
    assert not budget.is_spent
    assert not budget.pool.is_spent
    await soon(budget.turn(10**9))


async def serve_all(budgets: list[tuple[Budget, str]], order: list[str], steps: int = 60) -> None:
    """Have each of `budgets` wait, and note in which order they are served."""

    def serving(budget: Budget, name: str) -> Callable[[], None]:
        def serve() -> None:
            order.append(name)
            budget.charge(steps)

        return serve

    for budget, name in budgets:
        budget.wait(serving(budget, name))
    await until(lambda: len(order) == len(budgets))


UNSPENT = Allowance(steps=1e6, steps_at_once=100, address_steps=1e9, client_steps=0)


async def test_address_that_used_least_is_served_first() -> None:
    budgets = pool(UNSPENT)
    ann, bob = budgets.of(ANN), budgets.of(BOB)
    ann.charge(20_000)  # which spends the pool
    assert budgets.is_spent
    order: list[str] = []
    await serve_all([(ann, "ann")] * 5 + [(bob, "bob")], order)
    assert order == ["bob", *["ann"] * 5]


async def test_no_more_than_the_pool_has_is_served_in_one_go() -> None:
    budgets = pool(Allowance(steps=300, steps_at_once=100, address_steps=1e9, client_steps=0))
    budget = budgets.of(ANN)
    served_in_turn: list[int] = []
    turn = 0

    def serve() -> None:
        served_in_turn.append(turn)
        budget.charge(60)

    for _ in range(4):
        budget.wait(serve)
    while len(served_in_turn) < 4:
        turn += 1
        await asyncio.sleep(0)
    assert max(map(served_in_turn.count, served_in_turn)) == 2  # 120 steps


async def test_address_that_used_more_while_it_waited_goes_behind_the_others() -> None:
    budgets = pool(UNSPENT)
    ann, bob = budgets.of(ANN), budgets.of(BOB)
    bob.charge(20_000)  # which spends the pool
    order: list[str] = []
    ann.wait(lambda: order.append("ann"))
    bob.wait(lambda: order.append("bob"))
    ann.charge(30_000)
    await until(lambda: len(order) == 2)
    assert order == ["bob", "ann"]


async def test_of_those_that_used_little_the_one_that_asks_for_little_goes_first() -> None:
    budgets, order = pool(UNSPENT), list[str]()
    budgets.of("192.0.2.99").charge(10_000)  # which spends the pool
    asked = ("login", 1000), ("request", 150), ("login", 1000), ("poll", 15)
    for number, (name, steps) in enumerate(asked):
        budgets.of(f"192.0.2.{number}").wait(partial(order.append, name), steps)
    await until(lambda: len(order) == 4)
    assert order == ["poll", "request", "login", "login"]


async def test_new_addresses_without_end_keep_no_user_waiting() -> None:
    """The user polls, and has used more than each of them; the one that asks for most goes last."""
    budgets, order = pool(UNSPENT), list[str]()
    user = budgets.of(ANN)
    user.charge(USUAL_STEPS - 100)
    assert budgets.is_spent
    budgets.of("192.0.2.99").wait(lambda: order.append("asks for much"), 10 * USUAL_STEPS)
    user.wait(lambda: order.append("user"), 10)
    for number in range(100, 120):
        budgets.of(f"192.0.2.{number}").wait(lambda: order.append("new"), 10)
    await until(lambda: len(order) == 22)
    assert order == ["user", *["new"] * 20, "asks for much"]


async def test_what_is_lent_to_new_addresses_without_end_leaves_a_share_to_those_that_wait() -> None:
    budgets, served = pool(ALLOWANCE._replace(light_share=0.5)), list[str]()
    user = budgets.of(ANN)
    user.charge(LIGHT_STEPS)  # which spends the pool
    user.wait(lambda: served.append("user"))
    others = (budgets.of(f"2001:db8:0:{number:x}::") for number in itertools.count())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not served:
            while not (other := next(others)).must_wait:
                other.charge(LIGHT_STEPS // 10)
            await asyncio.sleep(0)


async def test_clients_that_have_left_are_passed_over_in_more_than_one_go() -> None:
    budgets = pool()
    gone: list[int] = []
    turn = 0
    for number in range(2 * MOST_SERVED):
        budgets.of(f"2001:db8:0:{number:x}::").wait(lambda: gone.append(turn))
    while len(gone) < 2 * MOST_SERVED:
        turn += 1
        await asyncio.sleep(0)
    assert max(map(gone.count, set(gone))) == MOST_SERVED


async def test_no_exception_in_a_timer_keeps_clients_waiting_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, budgets = asyncio.get_running_loop(), pool(ALLOWANCE._replace(steps=1e9, steps_at_once=1e9))
    ann, bob = budgets.of(ANN), budgets.of(BOB)

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(loop, "call_later", fail)
        for failing in (lambda: ann.wait(lambda: None), lambda: bob.charge(AT_ONCE + 1)):
            with pytest.raises(MemoryError):
                failing()
    turns: list[str] = []
    ann.wait(lambda: turns.append("ann"))
    bob.wait(lambda: turns.append("bob"))
    await until(lambda: sorted(turns) == ["ann", "bob"])


async def test_client_of_a_spent_address_waits_and_others_do_not() -> None:
    budgets = pool(ALLOWANCE._replace(steps=1e9, steps_at_once=1e9))
    budgets.of(ANN).charge(AT_ONCE + 20)
    waiting = budgets.of(ANN).turn(1)
    await soon(budgets.of(BOB).turn(1))
    assert not waiting.done()
    await soon(waiting)


async def test_turn_that_has_ended_costs_nothing() -> None:
    budgets = pool(ALLOWANCE._replace(steps=1e9, steps_at_once=1e9))
    budget = budgets.of(ANN)
    budget.charge(AT_ONCE + 5)
    budget.turn(10**9).set_result(None)
    await soon(budget.turn(1))
    assert budget.paid_at < asyncio.get_running_loop().time() + BUDGET_SECONDS + 1


async def test_failing_client_ends_no_other_ones_turn(logs: ExpectedLogs) -> None:
    logs.expect("^reading a client failed: MemoryError ")
    budgets = pool()
    budget = budgets.of(ANN)

    def fail() -> None:
        raise MemoryError

    turns: list[int] = []
    budget.wait(fail)
    budget.wait(lambda: turns.append(1))
    await until(lambda: turns)


@pytest.mark.parametrize(
    ("seconds", "frames", "is_flood"),
    [
        (FLOOD_SECONDS + 1, FLOOD_FRAMES + 1, True),
        (FLOOD_SECONDS + 1, FLOOD_FRAMES, False),
        (FLOOD_SECONDS - 1, FLOOD_FRAMES + 1, False),
    ],
)
async def test_many_frames_of_an_address_that_has_long_been_over_its_budget_are_a_flood(
    monkeypatch: pytest.MonkeyPatch, seconds: float, frames: int, is_flood: bool
) -> None:
    loop = asyncio.get_running_loop()
    now = [loop.time()]
    budget = pool().of(ANN)
    monkeypatch.setattr(loop, "time", lambda: now[0])
    budget.charge(AT_ONCE * 20)  # 200 s of its rate
    assert not budget.charge(1, FLOOD_FRAMES + 1)
    now[0] += seconds
    assert budget.charge(frames, frames) is is_flood
