"""Clients that come and go in every way there is, and what they leave behind, which must be nothing.

By hand: python -m tests.integration.realtime.churn [COUNT], which prints the tables' sizes and how RSS grew.
"""

import asyncio
import random
import sys
from typing import Any

from chatio.realtime import RealtimeOptions, TemporarilyUnavailable, create_server
from chatio.realtime.close_reasons import SERVER_FULL
from tests.client.wire import SOCKET_IO, Http, Ws, join, leftovers, open_polling, open_ws, request, serving, until


def churn_server(**options: Any) -> tuple[Any, Any]:
    """A server whose connect handler accepts, refuses, fails or takes its time, as the client's auth says."""
    server, handler = create_server(RealtimeOptions(**options))

    @server.on("connect", namespace="/chat")
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> bool:
        if auth == {"wait": True}:
            await asyncio.sleep(0.01)
        if auth == {"later": True}:
            raise TemporarilyUnavailable(SERVER_FULL)
        return bool(auth != {"refuse": True})

    @server.on("echo", namespace="/chat")
    async def echo(sid: str, value: Any) -> Any:
        await server.enter_room(sid, "some room", namespace="/chat")
        return value

    return server, handler


async def clean(port: int) -> None:
    ws = await join(port, "/chat")
    ws.send('42/chat,1["echo",1]')
    assert await ws.receive() == "43/chat,1[1]"
    ws.close()


async def cut(port: int) -> None:
    (await join(port, "/chat")).cut()


async def disconnect_packet(port: int) -> None:
    ws = await join(port, "/chat")
    ws.send("41/chat,", "1")
    await ws.closed()
    ws.http.close()


async def refused(port: int) -> None:
    ws = await open_ws(port)
    ws.send('40/chat,{"refuse":true}')
    assert str(await ws.receive()).startswith("44/chat,")
    ws.close()


async def sent_away(port: int) -> None:
    """Told nothing, to come back later; and gone before it is told."""
    ws = await open_ws(port)
    ws.send('40/chat,{"later":true}')
    ws.cut()


async def half_open(port: int) -> None:
    """TCP, a piece of a request, and gone."""
    http = await Http.open(port)
    http.writer.write(b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost:")
    http.cut()


async def during_connect(port: int) -> None:
    ws = await open_ws(port)
    ws.send('40/chat,{"wait":true}')
    ws.cut()


async def half_event(port: int) -> None:
    """Cut in the middle of a binary event, and of a frame."""
    ws = await join(port, "/chat")
    ws.send('452-/chat,["echo",{"_placeholder":true,"num":0}]', b"one")
    ws.raw(b"\x82\xfe\x10")
    ws.cut()


async def polling(port: int) -> None:
    target = await open_polling(port)
    await request(port, "POST", target, b"40/chat,")
    await request(port, "GET", target)
    await request(port, "POST", target, b"1")


async def polling_cut(port: int) -> None:
    """A GET that waits, and then does not."""
    target = await open_polling(port)
    http = await Http.open(port)
    http.send("GET", target)
    await http.writer.drain()
    http.cut()


async def polling_left(port: int) -> None:
    """Said nothing more; the connect timeout must find it."""
    await open_polling(port)


async def malformed(port: int) -> None:
    ws = await join(port, "/chat")
    ws.send("4abc")
    await ws.closed()
    ws.http.close()


async def upgrade(port: int) -> None:
    target = await open_polling(port)
    ws = await Ws.open(port, target.replace("polling", "websocket"))
    ws.send("2probe", "5", "40/chat,")
    while not str(await ws.receive()).startswith("40/chat,"):
        pass
    ws.close()


async def mid_upgrade(port: int) -> None:
    target = await open_polling(port)
    ws = await Ws.open(port, target.replace("polling", "websocket"))
    ws.send("2probe")
    assert await ws.receive() == "3probe"
    ws.cut()
    await request(port, "POST", target, b"1")


async def bad_request(port: int) -> None:
    ws = await Ws.open(port, f"{SOCKET_IO}websocket&sid=unknown")
    assert ws.status == 400
    ws.http.close()


KINDS = (
    clean,
    cut,
    disconnect_packet,
    refused,
    sent_away,
    half_open,
    during_connect,
    half_event,
    polling,
    polling_cut,
    polling_left,
    malformed,
    upgrade,
    mid_upgrade,
    bad_request,
)


async def churn(port: int, count: int, seed: int, at_once: int = 20) -> None:
    """`count` clients of all kinds, in a random order, `at_once` at a time."""
    rng = random.Random(seed)
    jobs = iter([rng.choice(KINDS) for _ in range(count)])

    async def worker() -> None:
        for kind in jobs:
            await kind(port)

    await asyncio.gather(*(worker() for _ in range(at_once)))


def rss_kib() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4


async def main(count: int) -> None:
    server, handler = churn_server(connect_timeout=2.0)
    async with serving(handler) as port:
        await churn(port, 2000, seed=1)
        await until(lambda: not leftovers(server), 20)
        before = rss_kib()
        for part in range(2, count // 2000 + 1):
            await churn(port, 2000, seed=part)
            print(part * 2000, "clients, RSS", rss_kib(), "KiB", flush=True)  # noqa: T201
        await until(lambda: not leftovers(server), 20)
        print("left:", leftovers(server), "RSS grew by", rss_kib() - before, "KiB")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
