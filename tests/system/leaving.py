"""The effect of a restart on clients that chat.

    python -m tests.system.leaving restart [CLIENTS] [MESSAGES A SECOND]
    python -m tests.system.leaving storm [CLIENTS]

`restart`: a server under traffic gets SIGTERM. Meanwhile another server with a log of its own starts, and clients
that reconnect find it. `storm`: the server is killed, and all clients reconnect to the next one at once.
"""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from typing import Any, NamedTuple

from tests.client.protocol import token
from tests.system.people import Person
from tests.system.server import SECRET, ServerProcess

SETTLE_SECONDS = 30.0
SECONDS = 5.0


class Port:
    """The port at which clients find the server, in place of a load balancer."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_open = asyncio.Event()
        self.is_open.set()

    def __call__(self) -> int:
        return self.number


class ProbedServer(ServerProcess):
    """A server that prints the longest stall of its event loop when it ends."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(command=(sys.executable, "-m", "benchmarks.probed_server"), **settings)

    @property
    def longest_stall_ms(self) -> float:
        (line,) = [line for line in self.lines if line.startswith("longest stall ")]
        return float(line.split()[2])


@asynccontextmanager
async def crowd(size: int, port: Port) -> AsyncIterator[list[Person]]:
    """`size` clients that are all in the chat."""
    people = [Person(token(SECRET, str(number)), port, port.is_open) for number in range(size)]
    living = []
    for person in people:
        living.append(asyncio.create_task(person.live()))
        if len(living) % 50 == 0:
            await asyncio.sleep(0.05)
    try:
        await all_joined(people)
        yield people
    finally:
        for task in living:
            task.cancel()
        await asyncio.gather(*living, return_exceptions=True)
        for person in people:
            person.leave()
        await asyncio.sleep(0)


async def all_joined(people: list[Person]) -> None:
    async with asyncio.timeout(SETTLE_SECONDS):
        for person in people:
            await person.joined.wait()


async def until(condition: Callable[[], bool]) -> bool:
    """Return whether `condition` came to hold in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_SECONDS):
            while not condition():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.05)
    return condition()


class Restart(NamedTuple):
    clients: int
    sent: int
    acked_by_old: int
    acked_by_new: int
    never_acked: int
    missing_of_old: int  # deliveries of what the old server acked, over all clients that were connected
    missing_of_new: int  # deliveries of what the new server acked, over all clients
    in_both_logs: int  # accepted by the old server, without an ack that arrived: sent and accepted again
    received_twice_of_one_log: int
    refused_with_503: int
    exit_code: int
    leaving_seconds: float
    all_back_seconds: float  # from the signal

    @property
    def is_as_promised(self) -> bool:
        lost = self.never_acked + self.missing_of_old + self.missing_of_new + self.received_twice_of_one_log
        return lost == 0 and self.exit_code == 0


async def restart(clients: int, rate: float, seconds: float) -> Restart:
    """Play a restart: clients send for `seconds` before the signal, and for `seconds` after all are back.

    The old server's log ends with it: a client that was away at the signal misses the messages of that time.
    """
    async with AsyncExitStack() as stack:
        old = stack.enter_context(ServerProcess())
        new = ServerProcess()
        port = Port(old.port)
        people = await stack.enter_async_context(crowd(clients, port))
        talking = asyncio.create_task(talk(people, rate))
        await asyncio.sleep(seconds)
        began = time.monotonic()
        stopping = asyncio.create_task(asyncio.to_thread(old.stop))
        await asyncio.to_thread(stack.enter_context, new)
        port.number = new.port
        exit_code = await stopping
        leaving_seconds = time.monotonic() - began
        await all_joined(people)
        back_seconds = time.monotonic() - began
        await asyncio.sleep(seconds)
        talking.cancel()
        sent = sum(person.unacked + len(person.acked) for person in people)
        await until(lambda: not any(person.unacked for person in people))
        acked = [pair for person in people for pair in person.acked.items()]
        epoch = people[0].received[0][1].partition("-")[0]
        of_old = {pair for pair in acked if pair[1].startswith(epoch)}
        of_new = set(acked) - of_old
        await until(lambda: all(of_new <= set(person.received) for person in people))
        received = [set(person.received) for person in people]
        everything = set().union(*received)
        return Restart(
            clients=clients,
            sent=sent,
            acked_by_old=len(of_old),
            acked_by_new=len(of_new),
            never_acked=sum(person.unacked for person in people),
            missing_of_old=sum(len(of_old - mine) for mine in received),
            missing_of_new=sum(len(of_new - mine) for mine in received),
            in_both_logs=len(everything) - len({message_id for message_id, _ in everything}),
            received_twice_of_one_log=sum(
                len(person.received) - len(mine) for person, mine in zip(people, received, strict=True)
            ),
            refused_with_503=sum(person.refused for person in people),
            exit_code=exit_code,
            leaving_seconds=round(leaving_seconds, 2),
            all_back_seconds=round(back_seconds, 2),
        )


async def talk(people: list[Person], rate: float) -> None:
    began = time.monotonic()
    for number in count():
        random.choice(people).say(f"message {number}", f"what {number} says")
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))


class Storm(NamedTuple):
    clients: int
    all_chat_seconds: float  # from the moment the new server listens
    attempts: int
    unreachable: int  # no server listened yet
    refused_with_503: int
    errors: int
    longest_stall_ms: float

    @property
    def is_as_promised(self) -> bool:
        return self.errors == 0


async def storm(clients: int, **settings: str) -> Storm:
    """Kill the server, start the next one, and wait until all clients have joined and received a message."""
    async with AsyncExitStack() as stack:
        old = stack.enter_context(ServerProcess())
        port = Port(old.port)
        people = await stack.enter_async_context(crowd(clients, port))
        port.is_open.clear()
        old.process.kill()
        await asyncio.to_thread(old.process.wait)
        new = ProbedServer(HISTORY_ON_CONNECT="0", **settings)
        await asyncio.to_thread(stack.enter_context, new)
        await until(lambda: all(person.is_waiting for person in people))
        for person in people:
            person.attempts = person.unreachable = person.refused = 0
            person.received.clear()
        began = time.monotonic()
        port.number = new.port
        port.is_open.set()
        await all_joined(people)
        people[0].say("the first", "is everybody there?")
        heard = await until(lambda: all(person.received for person in people))
        all_chat_seconds = time.monotonic() - began
        attempts, unreachable, refused, failures = (
            sum(getattr(person, name) for person in people)
            for name in ("attempts", "unreachable", "refused", "failures")
        )
        exit_code = await asyncio.to_thread(new.stop)
        return Storm(
            clients=clients,
            all_chat_seconds=round(all_chat_seconds, 2),
            attempts=attempts,
            unreachable=unreachable,
            refused_with_503=refused,
            errors=failures + (not heard) + abs(exit_code),
            longest_stall_ms=new.longest_stall_ms,
        )


def report(outcome: Restart | Storm) -> None:
    for name, value in outcome._asdict().items():
        sys.stdout.write(f"{name.replace('_', ' '):>28} {value}\n")


if __name__ == "__main__":
    what, *numbers = sys.argv[1:]
    if what == "restart":
        clients, rate = [*map(int, numbers), *(500, 50)[len(numbers) :]]
        report(asyncio.run(restart(clients, rate, SECONDS)))
    else:
        report(asyncio.run(storm(int(numbers[0]) if numbers else 1000, OVERLOAD_LAG_SECONDS="0.25")))
