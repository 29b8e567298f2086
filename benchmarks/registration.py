"""How long other requests wait while a hundred users register at once.

    python -m benchmarks.registration [ROUNDS]

100 clients register, and meanwhile one client sends GET /user again and again. Each round measures the hashing
threads at niceness 10, as the server has them, and at 0. Each run prints the median and the slowest answer and the
longest stall of the event loop.
"""

import asyncio
import json
import statistics
import sys
import time

from benchmarks.launch import RESULTS, Server, running

NAME = "registration"
REGISTRATIONS = 100
NICENESSES = (10, 0)


async def call(server: Server, method: str, path: str, body: object = None, token: str = "") -> tuple[int, bytes]:
    """Status and body of a request on a connection of its own, however long it takes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    data = json.dumps(body).encode() if body is not None else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n"
    head += f"Content-Type: application/json\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(head.encode() + data)
    answer = await reader.read()
    writer.close()
    return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]


def account(number: int) -> dict[str, str]:
    return {"name": f"P{number}", "email": f"p{number}@chat.test", "password": "correct horse"}


async def register_and_ask(server: Server) -> str:
    """Register all users at once; how long that took, and how long GET /user took meanwhile."""
    await call(server, "POST", "/register", account(0))
    token = json.loads((await call(server, "POST", "/login", account(0)))[1])["token"]
    started = time.monotonic()
    registrations = asyncio.gather(
        *(call(server, "POST", "/register", account(number)) for number in range(1, REGISTRATIONS + 1))
    )
    seconds = []
    while not registrations.done():
        begun = time.monotonic()
        status, _ = await call(server, "GET", "/user", token=token)
        assert status == 200
        seconds.append(time.monotonic() - begun)
    assert [status for status, _ in await registrations] == [201] * REGISTRATIONS
    return (
        f"{time.monotonic() - started:.1f} s; {len(seconds)} GET /user, "
        f"median {statistics.median(seconds) * 1000:.1f} ms, slowest {max(seconds) * 1000:.1f} ms"
    )


def measure(niceness: int) -> str:
    with running(NAME, [sys.executable, "-m", "benchmarks.probed_server", str(niceness)]) as server:
        answers = asyncio.run(register_and_ask(server))
    stall = (RESULTS / f"{NAME}.log").read_text().splitlines()[-1]
    return f"niceness {niceness:2}: {answers}; {stall}"


def main(rounds: int) -> None:
    for _ in range(rounds):
        for niceness in NICENESSES:
            print(measure(niceness), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
