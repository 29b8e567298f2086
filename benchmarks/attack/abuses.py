"""The abuses. Each runs for a time, from addresses and accounts of its own, and returns its outcomes, counted.

An abuse does as much as one process can in a loop that waits for nothing but the server, and no more than its
bound of steps.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

from tests.client.wire import SOCKET_IO, Closed, Http, Ws, request

STEPS = 20_000
STEP_SECONDS = 5.0
PAUSE_SECONDS = 0.01  # between two batches of a flood, else the flood is over before any user has sent a message
STRANGER = "198.51.100.7"

Outcome = Counter[str]


class Scene(NamedTuple):
    """`tokens` belong to 60 accounts of the abusers; `victim` is a user's email address."""

    port: int
    tokens: list[str]
    victim: str
    seconds: float


Abuse = Callable[[Scene], Coroutine[Any, Any, Outcome]]


async def quiet(scene: Scene) -> Outcome:
    await asyncio.sleep(scene.seconds)
    return Counter()


async def guess_passwords(scene: Scene, at_once: int = 8) -> Outcome:
    """One account, from ever new addresses."""

    async def guess(n: int) -> str:
        body = {"email": scene.victim, "password": f"guess {n}"}
        return await _post(scene, "/login", body, _address(n))

    return await _repeat(scene, at_once, guess)


async def guess_passwords_together(scene: Scene) -> Outcome:
    return await guess_passwords(scene, at_once=100)


async def guess_many_accounts(scene: Scene) -> Outcome:
    """One password, ever new accounts, from one address."""
    return await _repeat(
        scene, 8, lambda n: _post(scene, "/login", {"email": f"u{n}@chat.test", "password": "password"}, STRANGER)
    )


async def register_many(scene: Scene) -> Outcome:
    def account(n: int) -> dict[str, str]:
        return {"name": f"stranger {n}", "email": f"guest{n}@chat.test", "password": "one of many"}

    return await _repeat(scene, 8, lambda n: _post(scene, "/register", account(n), STRANGER))


async def connect_and_leave(scene: Scene) -> Outcome:
    """Handshakes from one address, each cut at once."""

    async def step(_: int) -> str:
        ws = await _handshake(scene, STRANGER)
        ws.cut()
        return str(ws.status)

    return await _repeat(scene, 8, step)


async def hoard_connections(scene: Scene) -> Outcome:
    """Handshakes from one address, all kept."""
    kept: list[Ws] = []

    async def step(_: int) -> str:
        ws = await _handshake(scene, "198.51.100.8")
        kept.append(ws)
        return str(ws.status)

    try:
        return await _repeat(scene, 8, step, most=2000)
    finally:
        for ws in kept:
            ws.cut()


async def connect_with_bad_tokens(scene: Scene) -> Outcome:
    async def step(_: int) -> str:
        answer = await _answer_to(scene, "198.51.100.9", '40/chat,{"token":"not one"}')
        return answer.partition(",")[0]

    return await _repeat(scene, 8, step)


async def flood_messages(scene: Scene) -> Outcome:
    """One account, four connections, as fast as they go."""
    return await _flood(
        scene, [scene.tokens[0]] * 4, lambda n: _event(["send-message", {"content": f"flood {n}"}])
    )


async def flood_long_messages(scene: Scene) -> Outcome:
    """One account, one connection, 900 kB in each message, which no message may have."""
    packet = _event(["send-message", {"content": "x" * 900_000}])
    return await _flood(scene, [scene.tokens[1]], lambda _: packet, batch=1)


async def flood_empty_lists(scene: Scene) -> Outcome:
    """Half a million empty lists in each message."""
    packet = '42/chat,["send-message",[' + ",".join(["[]"] * 300_000) + "]]"
    return await _flood(scene, [scene.tokens[2]], lambda _: packet, batch=1)


async def flood_typing_and_nonsense(scene: Scene) -> Outcome:
    events: list[list[object]] = [["typing"], ["no-such-event", 1], ["renew", {"token": "x"}]]
    return await _flood(scene, [scene.tokens[3]] * 2, lambda n: _event(events[n % 3]))


async def storm_at_the_limit(scene: Scene) -> Outcome:
    """Fifty accounts that send five messages a second each, which they may."""
    sockets = [await _join(scene, token, _address(n)) for n, token in enumerate(scene.tokens[-50:])]
    ends = time.monotonic() + scene.seconds
    number = 0
    while time.monotonic() < ends:
        for ws in sockets:
            number += 1
            ws.send(_event(["send-message", {"content": f"storm {number}"}]))
            await asyncio.sleep(0.2 / len(sockets))
    for ws in sockets:
        ws.cut()
    return Counter(sent=number)


async def read_nothing(scene: Scene) -> Outcome:
    """Twenty connections that join and never read, while one account fills the log."""
    idle = [await _join(scene, token, _address(n)) for n, token in enumerate(scene.tokens[10:30])]
    try:
        return await flood_messages(scene)
    finally:
        for ws in idle:
            ws.cut()


async def trickle(scene: Scene) -> Outcome:
    """Requests that never end, one byte at a time, in head and body."""
    opened = [await Http.open(scene.port) for _ in range(200)]
    for number, http in enumerate(opened):
        head = b"POST /login HTTP/1.1\r\nHost: a\r\n"
        http.writer.write(head + (b"Content-Length: 1000\r\n\r\n{" if number % 2 else b"X-"))
    ends = time.monotonic() + scene.seconds
    while time.monotonic() < ends:
        for http in opened:
            if not http.writer.is_closing():
                http.writer.write(b"a")
        await asyncio.sleep(0.2)
    still_open = sum(not http.reader.at_eof() for http in opened)
    for http in opened:
        http.cut()
    return Counter({"still open": still_open})


async def break_the_protocol(scene: Scene) -> Outcome:
    broken = ["9", "4", "42/chat", "40/chat,{", "451-/chat,[]", "42[]", "\0", "43/chat,1[]", "4" * 70_000]

    async def step(n: int) -> str:
        return await _answer_to(scene, _address(n), broken[n % len(broken)], short=True)

    return await _repeat(scene, 8, step)


ABUSES: tuple[Abuse, ...] = (
    guess_passwords,
    guess_passwords_together,
    guess_many_accounts,
    register_many,
    connect_and_leave,
    hoard_connections,
    connect_with_bad_tokens,
    flood_messages,
    flood_long_messages,
    flood_empty_lists,
    flood_typing_and_nonsense,
    storm_at_the_limit,
    read_nothing,
    trickle,
    break_the_protocol,
)


# --- helpers


def _address(number: int) -> str:
    """One of 60,000 addresses."""
    return f"10.{number // 62_500 % 250}.{number // 250 % 250}.{number % 250}"


def _event(arguments: list[object]) -> str:
    return f"42/chat,{json.dumps(arguments)}"


async def _repeat(
    scene: Scene, at_once: int, step: Callable[[int], Awaitable[str]], *, most: int = STEPS
) -> Outcome:
    """`step` with ever new numbers, `at_once` of them under way, until the time or `most` steps are over."""
    outcome: Outcome = Counter()
    ends = time.monotonic() + scene.seconds
    numbers = iter(range(most))

    async def work() -> None:
        while time.monotonic() < ends and (number := next(numbers, None)) is not None:
            try:
                outcome[await asyncio.wait_for(step(number), STEP_SECONDS)] += 1
            except (OSError, asyncio.IncompleteReadError, Closed, TimeoutError) as error:
                outcome[type(error).__name__] += 1

    await asyncio.gather(*(work() for _ in range(at_once)))
    return outcome


async def _post(scene: Scene, path: str, body: dict[str, str], address: str) -> str:
    data = json.dumps(body).encode()
    headers = {"Content_Type": "application/json", "X_Forwarded_For": address}
    return str((await request(scene.port, "POST", path, data, **headers)).status)


async def _handshake(scene: Scene, address: str) -> Ws:
    return await Ws.open(scene.port, f"{SOCKET_IO}websocket", X_Forwarded_For=address)


async def _answer_to(scene: Scene, address: str, packet: str, *, short: bool = False) -> str:
    """The answer to the first packet of a new connection, or the status of a handshake that is refused."""
    ws = await _handshake(scene, address)
    try:
        if ws.status != 101:
            return str(ws.status)
        await ws.receive_or_end()
        ws.send(packet)
        return await ws.receive_or_end(short=short)
    finally:
        ws.cut()


async def _join(scene: Scene, token: str, address: str) -> Ws:
    ws = await _handshake(scene, address)
    assert ws.status == 101, ws.status
    ws.send(f"40/chat,{json.dumps({'token': token})}")
    while not str(await ws.receive()).startswith("40/chat"):
        pass
    return ws


async def _flood(scene: Scene, tokens: list[str], packet: Callable[[int], str], *, batch: int = 50) -> Outcome:
    """A connection per token, each of another address, sends on and on, reads, and comes back when it is closed.

    Counts what happened, until the scene is over or a connection has sent `STEPS` packets.
    """
    outcome: Outcome = Counter()
    ends = time.monotonic() + scene.seconds

    async def read(ws: Ws) -> None:
        try:
            while True:
                outcome["rejected"] += "message-rejected" in str(await ws.receive())
        except Closed as end:
            outcome[f"closed {end.code}"] += 1
        except TimeoutError:
            return

    async def work(token: str, address: str) -> None:
        number = 0
        while time.monotonic() < ends:
            try:
                ws = await _join(scene, token, address)
            except (AssertionError, OSError, Closed, asyncio.IncompleteReadError, TimeoutError):
                outcome["not let in"] += 1
                await asyncio.sleep(0.1)
                continue
            reading = asyncio.create_task(read(ws))
            while time.monotonic() < ends and not reading.done() and number < STEPS:
                ws.send(*(packet(number + more) for more in range(batch)))
                number += batch
                await asyncio.sleep(PAUSE_SECONDS)
                try:
                    await asyncio.wait_for(ws.http.writer.drain(), 0.5)
                except (TimeoutError, ConnectionError):
                    outcome["held back"] += 1
            ws.cut()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            if number >= STEPS:
                break
        outcome["sent"] += number

    await asyncio.gather(*(work(token, f"198.51.100.{20 + n}") for n, token in enumerate(tokens)))
    return outcome
