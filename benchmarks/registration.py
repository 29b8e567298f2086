"""A hundred registrations at once: how long does anybody else wait meanwhile?

    python -m benchmarks.registration [ROUNDS]

Asks GET /user one after the other while 100 people register, with the hashing threads stepping back (niceness, as
they do) and without, A B A B. Prints the slowest answer and the event loop's longest stall for each run.
"""

import asyncio
import json
import os
import sys
import time

REGISTRATIONS = 100
SERVER = (
    "import chatio.passwords as p, sys; p.HASHING_NICENESS = int(sys.argv[1]); "
    "import runpy; runpy.run_module('benchmarks.probed_server', run_name='__main__')"
)


async def call(port: int, method: str, path: str, body: object = None, token: str = "") -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = json.dumps(body).encode() if body is not None else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n"
    writer.write(head.encode() + f"Authorization: Bearer {token}\r\n\r\n".encode() + data)
    answer = await reader.read()
    writer.close()
    return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]


def person(number: int) -> dict[str, str]:
    return {"name": f"P{number}", "email": f"p{number}@chat.test", "password": "correct horse"}


async def measure(niceness: int) -> str:
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVER,
        str(niceness),
        env={
            **os.environ,
            "SERVER_PORT": "0",
            "SERVER_HOST": "127.0.0.1",
            "JWT_SECRET_KEY": "k" * 32,
            "OVERLOAD_LAG_SECONDS": "0",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert server.stderr is not None
    line = await server.stderr.readline()
    port = int(line.rsplit(b":", 1)[1])
    await call(port, "POST", "/register", person(0))
    token = json.loads((await call(port, "POST", "/login", person(0)))[1])["token"]
    started = time.monotonic()
    waves = asyncio.gather(*(call(port, "POST", "/register", person(n)) for n in range(1, REGISTRATIONS + 1)))
    answers = []
    while not waves.done():
        begun = time.monotonic()
        status, _ = await call(port, "GET", "/user", token=token)
        assert status == 200
        answers.append(time.monotonic() - begun)
    assert [status for status, _ in await waves] == [201] * REGISTRATIONS
    took = time.monotonic() - started
    server.terminate()
    stdout, _ = await server.communicate()
    answers.sort()
    return (
        f"niceness {niceness:2}: {took:.1f} s; {len(answers)} GET /user, "
        f"median {answers[len(answers) // 2] * 1000:.1f} ms, slowest {answers[-1] * 1000:.1f} ms; "
        f"{stdout.decode().strip()}"
    )


async def main(rounds: int) -> None:
    for _ in range(rounds):
        for niceness in (10, 0):
            print(await measure(niceness), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2))
