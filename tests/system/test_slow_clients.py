"""Forty clients that never read: no other client notices, and the server keeps no copy of their messages."""

import asyncio
import json
import re

import pytest

from tests.client.protocol import token
from tests.client.wire import Ws, join, until
from tests.system.server import SECRET, ServerProcess

SLOW, QUICK, MESSAGES, CHARS = 40, 5, 1250, 9600  # more than the kernel keeps for a client that does not read
MOST_GROWTH_BYTES = 16 * 2**20


async def connect(server: ServerProcess, number: int) -> Ws:
    return await join(server.port, "/chat", {"token": token(SECRET, str(number))})


async def read_contents(ws: Ws, count: int) -> list[str]:
    contents: list[str] = []
    while len(contents) < count:
        packet = str(await ws.receive())
        if packet == "2":
            ws.send("3")
        elif packet.startswith('42/chat,["receive-message"'):
            contents.append(json.loads(packet[len("42/chat,") :])[1]["content"])
    return contents


@pytest.mark.direct("WebSockets of its own making, whose reading it stops")
async def test_clients_that_never_read_are_dropped_and_the_others_go_on() -> None:
    with ServerProcess(SLOW_CLIENT_SECONDS="2") as server:
        slow = [await connect(server, number) for number in range(SLOW)]
        for ws in slow:
            ws.http.writer.transport.pause_reading()  # type: ignore[attr-defined]
        quick = [await connect(server, SLOW + number) for number in range(QUICK)]
        before, files = server.resident_bytes(), server.open_files()

        async def speak() -> None:
            for number in range(MESSAGES):
                text = f"{number:05}".ljust(CHARS, ".")
                quick[0].send("42/chat," + json.dumps(["send-message", {"content": text}]))
                await quick[0].http.writer.drain()
                await asyncio.sleep(0)  # else the reading clients get no turn, and are slow themselves

        speaking = asyncio.create_task(speak())
        read = await asyncio.gather(*(read_contents(ws, MESSAGES) for ws in quick))
        await speaking
        for contents in read:
            assert [int(content[:5]) for content in contents] == list(range(MESSAGES))
        # 14 MiB of it are the log, which keeps all of them.
        assert server.resident_bytes() - before < MOST_GROWTH_BYTES
        await until(lambda: server.open_files() == files - SLOW, 20)
        for ws in slow:
            ws.cut()
        for ws in quick:
            ws.close()
        assert server.stop() == 0
    dropped = [line for line in server.lines if "slow client at 127.0.0.1 dropped" in line]
    more = re.findall(r" (\d+) more lines of slow_client ", "\n".join(server.lines))
    assert len(dropped) + sum(map(int, more)) == SLOW
