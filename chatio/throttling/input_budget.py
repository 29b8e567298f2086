"""Input budget: how much work clients may make, for each address, and for all of them in one turn of the loop.

A frame of six bytes costs the server as much as one of two hundred, and a polling request a hundred times that. So
everything that a client sends is counted in *steps* of about 3 µs of the event loop. The connections of an address
(IPv6: a /64) draw on one budget, and all budgets on one pool. Signed-in clients have a pool of their own.

A client whose address has spent its budget is not read until it has some again. Then its connections are read one
after the other, and the address goes first that has used least of late with what it asks for, until the pool is
spent: a flood makes no turn of the loop longer, whatever the number of its connections and addresses. Those that
used little are equal, and so new addresses without end keep no user waiting. While the pool is spent, an address
that used little of late does not wait, unless such addresses together used much.
"""

import asyncio
import heapq
import itertools
import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from chatio.telemetry.error_report import report
from chatio.throttling.client_ip import rate_limit_key
from chatio.throttling.timeouts import TimeoutQueue

# An address has as much at once as in so many seconds. 100 clients behind one NAT that come back at the same
# moment, each with six requests, have 36,000 steps.
BUDGET_SECONDS: Final = 10.0
# An address that used fewer steps of late is served while the pool is spent, as long as such addresses together
# owe at most so many times what it gives at once. A user who writes as fast as allowed uses 100 steps a second.
LIGHT_STEPS: Final = 1000
RESERVE: Final = 5
# Below so many steps of late all are equal. A user who polls, with a TCP connection for each request, in a chat of
# 20 messages a second uses 3,500, and new addresses have used none.
USUAL_STEPS: Final = 5000
# What an address asks for counts so many times, and as a usual request where it is not known: a further request on
# a connection goes before a new connection, and that before a login of 500 steps and more, up to a second or two
# later. A thousand polling clients that come back at once took 1.9 s, not 1.2, when all opened connections first.
ASKED_WEIGHT: Final = 64
USUAL_REQUEST_STEPS: Final = 150
# One read costs the pool no more than so many steps; its address pays the whole price, which is to deter.
POOL_STEPS: Final = 4000
# Clients that are served in one go, since one that has left costs the pool nothing.
MOST_SERVED: Final = 256
# A client is closed that sends so many frames in one read after its address was held to its budget for so long.
FLOOD_SECONDS: Final = 30.0
FLOOD_FRAMES: Final = 32

logger = logging.getLogger("chatio.throttling")

_LOG_LIGHT_STEPS: Final = math.log2(LIGHT_STEPS)


class Allowance(NamedTuple):
    """What the clients of one pool may make the server do."""

    steps: float  # a second, of all of them
    steps_at_once: float  # of all of them
    address_steps: float  # a second, of one address
    client_steps: float  # a second, more for each connection of the address
    light_share: float = 1.0  # of `steps`, for addresses that used little; the rest is for those that wait


@dataclass(slots=True, eq=False)
class Budget:
    """The budget of one address. Event loop only."""

    pool: "BudgetPool"
    key: str
    connections: int = 0  # that draw on it
    is_spent: bool = False
    paid_at: float = 0.0  # the loop's time at which all steps are paid for (GCRA)
    # What it used of late: 2 ** (use - now) steps, which halve in a second. So two uses compare at any time.
    use: float = -math.inf
    excess_since: float = 0.0  # since when clients have waited for it without a break; 0: they do not
    # Each with the steps that it asks for, if that is known.
    waiting: deque[tuple[Callable[[], None], int]] = field(default_factory=deque)
    is_ready: bool = False  # in the pool's heap

    def leave(self) -> None:
        """A connection draws on it no more."""
        self.connections -= 1

    def charge(self, steps: int, frames: int = 0) -> bool:
        """Count `steps`, for `frames` that were read at once. True: this is a flood, and has been for long."""
        pool = self.pool
        if not pool.is_on:
            return False
        now = asyncio.get_running_loop().time()
        rate = pool.allowance.address_steps + pool.allowance.client_steps * self.connections
        self.paid_at = max(self.paid_at, now) + steps / rate
        is_light = self.is_light(now)
        self.use = self.use_after(steps, now)
        if not self.is_spent and self.paid_at > now + BUDGET_SECONDS:
            self._refill_after(self.paid_at - now - BUDGET_SECONDS)
            self.is_spent = True  # not before: an exception there would leave it so for good
            self.excess_since = self.excess_since or now
        pool.charge(steps, now, is_light=is_light)
        return frames > FLOOD_FRAMES and 0 < self.excess_since < now - FLOOD_SECONDS

    def use_after(self, steps: int, now: float) -> float:
        """`use` as it would be with `steps` more."""
        return now + math.log2(2 ** (self.use - now) + steps) if steps else self.use

    def is_light(self, now: float) -> bool:
        """Whether this address used little of late."""
        return self.use < now + _LOG_LIGHT_STEPS

    @property
    def must_wait(self) -> bool:
        """Whether a client is to `wait` before the server does anything for it."""
        return self.is_spent or (self.pool.is_spent and not self.pool.lends_to(self))

    def wait(self, serve: Callable[[], None], steps: int = 0) -> None:
        """Call `serve`, once, in its turn. It must charge what it reads; `steps`, if that is known."""
        self.waiting.append((serve, steps))
        if not self.is_spent:
            self.pool.add(self)

    def turn(self, steps: int) -> "asyncio.Future[None]":
        """Charge `steps` when they may be taken, and end the future; a future that has ended costs nothing."""
        if not self.must_wait:
            self.charge(steps)
            return self.pool.now
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def serve() -> None:
            if not turn.done():
                self.charge(steps)
                turn.set_result(None)

        self.wait(serve, steps)
        return turn

    def _refill_after(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._refill)

    def _refill(self) -> None:
        wait = self.paid_at - asyncio.get_running_loop().time() - BUDGET_SECONDS
        if wait > 0:
            try:
                self._refill_after(wait)
            except Exception as error:
                report(logger, "refilling a budget", error)  # it has some too soon, and not never
            else:
                return
        self.is_spent = False
        if self.waiting:
            self.pool.add(self)
        else:
            self.excess_since = 0.0


class BudgetPool:
    """The budgets of all addresses, and what they share. Event loop only."""

    def __init__(self, allowance: Allowance, *, is_on: bool) -> None:
        """Not `is_on`: all clients draw on one budget, which is never spent."""
        self.allowance = allowance
        self.is_on = is_on
        self.is_spent = False
        self._paid_at = 0.0
        self._light_paid_at = 0.0  # as `_paid_at`, of the addresses that used little
        # In seconds, of the most that it takes to pay. Those that wait are served at half of it, not at its end:
        # a timer is late by a millisecond, in which the pool would have stood still.
        self._half_debt = allowance.steps_at_once / allowance.steps / 2
        self._budgets: dict[str, Budget] = {}
        self._unbounded = Budget(self, "")
        # A heap of budgets that are not spent, and for which clients wait: by their use when they came, with what
        # the first of them asks for.
        self._ready: list[tuple[float, int, Budget]] = []
        self._arrivals = itertools.count()
        self.is_contended = False  # clients wait for the pool, so that each is to pay at once for what it sends
        self._is_scheduled = False
        # A budget without connections is forgotten when it has surely been paid for.
        self._idle: TimeoutQueue[Budget] = TimeoutQueue(2 * BUDGET_SECONDS, self._forget)

    @cached_property
    def now(self) -> "asyncio.Future[None]":
        """The turn of all clients that need not wait, which has ended."""
        now: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        now.set_result(None)
        return now

    def __len__(self) -> int:
        """How many addresses have connections."""
        return sum(budget.connections > 0 for budget in self._budgets.values())

    def join(self, address: str) -> Budget:
        """The budget that one connection more of `address` draws on, until it leaves."""
        budget = self.of(address)
        budget.connections += 1
        return budget

    def turn(self, address: str, steps: int) -> "asyncio.Future[None]":
        """Charge the budget of `address` with `steps` when they may be taken, and end the future."""
        return self.of(address).turn(steps)

    def of(self, address: str) -> Budget:
        """The budget of `address`."""
        if not self.is_on:
            return self._unbounded
        key = rate_limit_key(address)
        budget = self._budgets.get(key)
        if budget is None:
            budget = self._budgets[key] = Budget(self, key)
            self._idle.add(budget)
        return budget

    def _forget(self, budget: Budget) -> None:
        if budget.connections or budget.waiting or budget.is_spent:
            self._idle.add(budget)
        else:
            del self._budgets[budget.key]

    def charge(self, steps: int, now: float, *, is_light: bool) -> None:
        allowance = self.allowance
        if is_light:
            light_steps = min(steps, LIGHT_STEPS)
            paid_after = light_steps / (allowance.light_share * allowance.steps)
            self._light_paid_at = max(self._light_paid_at, now) + paid_after
        self._paid_at = max(self._paid_at, now) + min(steps, POOL_STEPS) / allowance.steps
        if not self.is_spent and self._paid_at > now + allowance.steps_at_once / allowance.steps:
            self.is_spent = True
            self._serve_after(self._paid_at - now - self._half_debt)

    def lends_to(self, budget: Budget) -> bool:
        """Whether the pool, which is spent, has something left for an address that used little."""
        now, allowance = asyncio.get_running_loop().time(), self.allowance
        has_some = self._light_paid_at < now + RESERVE * allowance.steps_at_once / allowance.steps
        return has_some and budget.is_light(now)

    def add(self, budget: Budget) -> None:
        """`budget` is not spent, and clients wait for it."""
        if not budget.is_ready:
            now, (_, steps) = asyncio.get_running_loop().time(), budget.waiting[0]
            least = USUAL_STEPS + ASKED_WEIGHT * (steps or USUAL_REQUEST_STEPS)
            use = max(budget.use_after(steps, now), now + math.log2(least))
            heapq.heappush(self._ready, (use, next(self._arrivals), budget))
            budget.is_ready = self.is_contended = True
        self._serve_after(0)

    def _serve_after(self, seconds: float) -> None:
        """Serve then, unless that is due before: `_serve` itself waits for as long as the pool is in debt."""
        if not self._is_scheduled:
            asyncio.get_running_loop().call_later(seconds, self._serve)
            self._is_scheduled = True  # not before: an exception there would end it for good

    def _serve(self) -> None:
        self._is_scheduled = False
        wait = self._paid_at - asyncio.get_running_loop().time() - self._half_debt
        if self.is_spent and wait > 0:
            self._serve_after(wait)
            return
        self.is_spent = False
        for _ in range(MOST_SERVED):
            if self.is_spent or not self._ready:
                break
            use, _, budget = heapq.heappop(self._ready)
            budget.is_ready = False
            if use >= budget.use and not budget.is_spent:
                try:
                    budget.waiting.popleft()[0]()
                except Exception as error:
                    report(logger, "reading a client", error)
            if budget.waiting and not budget.is_spent:
                self.add(budget)
        if self._ready:
            self._serve_after(0)
        else:
            self.is_contended = False
