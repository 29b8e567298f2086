"""Nearly right packets and frames, by the hundred thousand, on the decoders and on a live connection.

By hand: python -m tests.integration.realtime.fuzz [COUNT]; half of COUNT goes to the decoders, half to live
connections.
"""

import asyncio
import random
import sys
from collections.abc import Callable

from chatio.realtime.engineio import packets as engine_packets
from chatio.realtime.engineio.packets import ProtocolError
from chatio.realtime.socketio.packets import decode, fill_placeholders
from chatio.realtime.websocket.frames import FrameReader
from tests.client.wire import client_frame, join, leftovers, open_ws, serving, until
from tests.integration.realtime.churn import churn_server, rss_kib

PIECES = [
    *("0", "1", "2", "3", "4", "5", "6", "7", "b", "40", "41", "42", "43", "44", "45", "46", "1-", "2-", "11-"),
    *("/", "/chat", "/chat,", "?", ",", "12", "999999999999999999", "[", "]", "{", "}", '"', "\\", ":"),
    *('"echo"', '"connect"', '"disconnect"', '"*"', "NaN", "1e999", "null", "true", "-0", "1.5", '"\\ud800"'),
    *('{"_placeholder":true,"num":0}', '{"_placeholder":true,"num":9}', "2probe", "\x1e", "\x00", "é", "²", "٣"),
]


def packet(rng: random.Random) -> str:
    """A text that looks like a packet."""
    start = rng.choice(["", "4", "42/chat,", "43/chat,1", '42/chat,["echo",', '451-/chat,["echo",', "40/chat,"])
    return start + "".join(rng.choice(PIECES) for _ in range(rng.randrange(8))) + rng.choice(["", "]", "]]"])


def frames(rng: random.Random) -> bytes:
    """A run of frames, now and then a broken one."""
    run = b""
    for _ in range(rng.randrange(1, 4)):
        opcode = rng.choice([1, 1, 1, 1, 2, 9, 10, 8, 0, rng.randrange(16)])
        payload = packet(rng).encode() if opcode < 8 else rng.randbytes(rng.randrange(6))
        odd = rng.random() < 0.1
        run += client_frame(
            opcode, payload, fin=not odd or rng.random() < 0.5, masked=not odd or rng.random() < 0.5
        )
    if rng.random() < 0.1:
        at = rng.randrange(len(run))
        run = run[:at] + rng.randbytes(rng.randrange(4)) + run[at + 1 :]
    return run


def fuzz_decoders(count: int, seed: int) -> None:
    """Any exception but the decoders' own ends the run."""
    rng = random.Random(seed)
    reader = FrameReader()
    for _ in range(count):
        try:
            _kind, data = engine_packets.decode(packet(rng))
            if isinstance(data, str):
                fill_placeholders(decode(data), [b"attachment"])
        except ProtocolError:
            pass
        reader.feed(frames(rng), 1000)
        if reader.error is not None:
            reader = FrameReader()


async def fuzz_connection(port: int, count: int, seed: int) -> None:
    """`count` runs of frames, on as many connections as it takes."""
    rng = random.Random(seed)
    left = count
    while left > 0:
        ws = await (join(port, "/chat") if rng.random() < 0.7 else open_ws(port))
        closed = asyncio.ensure_future(ws.closed())
        for _ in range(rng.randrange(1, 40)):
            ws.raw(frames(rng))
            left -= 1
            for _turn in range(4):  # of the loop: the server reads, answers, and we see whether it closed
                await asyncio.sleep(0)
            if closed.done() or left <= 0:
                break
        closed.cancel()
        await asyncio.gather(closed, return_exceptions=True)
        ws.cut()


async def fuzz_live(count: int, seed: int, say: Callable[[str], None] = lambda line: None) -> None:
    """Afterwards every table is empty."""
    server, handler = churn_server(connect_timeout=5.0)
    async with serving(handler) as port:
        for part in range(0, count, 10_000):
            share = min(count - part, 10_000) // 4
            await asyncio.gather(*(fuzz_connection(port, share, seed + part + k) for k in range(4)))
            say(f"{part + 4 * share} live inputs, RSS {rss_kib()} KiB")
        await until(lambda: not leftovers(server), 10)
        say(f"left: {leftovers(server)}")


if __name__ == "__main__":
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    fuzz_decoders(total // 2, seed=1)
    asyncio.run(fuzz_live(total // 2, 1, lambda line: print(line, flush=True)))  # noqa: T201 - run by hand
