"""Clients that send the cheapest input there is, as fast as they can, and read what comes back only to drop it.

Run by benchmarks.flood in a process of its own: python -m benchmarks.flood.flooder KIND COUNT ADDRESSES PORT KEY,
and the file of a certificate where nginx with TLS is at PORT. A client that the server closes comes back.
"""

import asyncio
import itertools
import json
import os
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

from tests.client.protocol import (
    SOCKET_IO,
    client_frame,
    connect_packet,
    http_request,
    plain_frame,
    token,
    websocket_request,
)

CHUNK_BYTES = 64 * 1024
CLIENTS_PER_PERSON = 20
COME_BACK_SECONDS = 0.1


class Client(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    key: str
    tls: ssl.SSLContext | None


async def open_websocket(client: Client, sid: str = "") -> None:
    client.writer.write(websocket_request(f"{SOCKET_IO}websocket{sid}"))
    head = await client.reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in head:
        raise ConnectionError


async def open_session(client: Client) -> str:
    """The sid of a new polling session, as a query argument."""
    client.writer.write(http_request("GET", f"{SOCKET_IO}polling"))
    head = await client.reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise ConnectionError
    opened = await client.reader.readuntil(b"}")
    return f"&sid={json.loads(opened[1:])['sid']}"


async def send_for_ever(client: Client, unit: bytes) -> None:
    chunk = unit * max(1, CHUNK_BYTES // len(unit))
    dropping = asyncio.create_task(_drop(client.reader))
    try:
        while not dropping.done():
            client.writer.write(chunk)
            await client.writer.drain()
            await asyncio.sleep(0)  # drain() does not wait where a connection with TLS was lost
    finally:
        dropping.cancel()


async def _drop(reader: asyncio.StreamReader) -> None:
    while await reader.read(CHUNK_BYTES):
        pass


def frames(unit: bytes, *, signed_in: bool = False) -> Callable[[Client], Awaitable[None]]:
    """A flood of `unit` on a WebSocket."""

    async def flood(client: Client) -> None:
        await open_websocket(client)
        if signed_in:
            person = token(client.key, f"flooder {client.number // CLIENTS_PER_PERSON}")
            client.writer.write(plain_frame(connect_packet(person)))
        await send_for_ever(client, unit)

    return flood


async def posts(client: Client) -> None:
    sid = await open_session(client)
    await send_for_ever(client, http_request("POST", f"{SOCKET_IO}polling{sid}", b"3"))


async def gets(client: Client) -> None:
    await send_for_ever(client, http_request("GET", f"{SOCKET_IO}polling&sid=unknown"))


async def polling_closes(client: Client) -> None:
    """Sessions that are opened and closed at once, on one connection."""
    reader, writer = client.reader, client.writer
    while True:
        sid = await open_session(client)
        writer.write(http_request("POST", f"{SOCKET_IO}polling{sid}", b"1"))
        await reader.readuntil(b"ok")


async def polling_refusals(client: Client) -> None:
    """Sessions that are opened and break the protocol at once."""
    while True:
        sid = await open_session(client)
        client.writer.write(http_request("POST", f"{SOCKET_IO}polling{sid}", b"x"))
        await client.reader.readuntil(b"}")


async def polling_cuts(client: Client) -> None:
    """A session whose client cuts its connection while a GET waits."""
    sid = await open_session(client)
    client.writer.write(http_request("GET", f"{SOCKET_IO}polling{sid}"))
    await client.writer.drain()
    await asyncio.sleep(0)
    client.writer.transport.abort()
    raise ConnectionError


async def websocket_closes(client: Client) -> None:
    """A WebSocket that is opened and closed at once."""
    client.writer.write(websocket_request() + client_frame(8, b"\x03\xe8"))
    await client.reader.read(-1)


async def upgrades(client: Client) -> None:
    """A session whose client opens WebSockets for it again and again, and completes none."""
    sid = await open_session(client)
    port = client.writer.get_extra_info("peername")[1]
    address = client.writer.get_extra_info("sockname")[0]
    while True:
        again = Client(*await connect(port, address, client.tls), client.number, client.key, client.tls)
        try:
            await open_websocket(again, sid)
        finally:
            again.writer.close()


KINDS: dict[str, Callable[[Client], Awaitable[None]]] = {
    "pings": frames(client_frame(9, b"")),
    "pongs": frames(client_frame(10, b"")),
    "heartbeat answers": frames(plain_frame(b"3")),
    "heartbeat pings": frames(plain_frame(b"2")),  # which only a server may send
    "empty texts": frames(plain_frame(b"")),
    "fragments": frames(client_frame(1, b"4", fin=False) + client_frame(0, b"x", fin=False) * 10_000),
    "events before CONNECT": frames(plain_frame(b'42/chat,["x"]')),
    "member's pings": frames(client_frame(9, b""), signed_in=True),
    "member's unknown events": frames(plain_frame(b'42/chat,1["x"]'), signed_in=True),
    "polling POSTs": posts,
    "polling GETs": gets,
    "upgrades": upgrades,
    "polling closes": polling_closes,
    "polling refusals": polling_refusals,
    "polling cuts": polling_cuts,
    "websocket closes": websocket_closes,
}


async def connect(
    port: int, address: str, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0), ssl=tls)


async def stay(kind: str, number: int, address: str, port: int, key: str, tls: ssl.SSLContext | None) -> None:
    while True:
        try:
            client = Client(*await connect(port, address, tls), number, key, tls)
        except OSError:
            await asyncio.sleep(COME_BACK_SECONDS)
            continue
        try:
            await KINDS[kind](client)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            client.writer.close()
        await asyncio.sleep(COME_BACK_SECONDS)


def addresses(count: int) -> Iterator[str]:
    return itertools.cycle([f"127.0.0.{2 + number}" for number in range(count)])


async def main(kind: str, count: int, address_count: int, port: int, key: str, certificate: str = "") -> None:
    tls = ssl.create_default_context(cafile=certificate) if certificate else None
    own = zip(range(count), addresses(address_count), strict=False)
    await asyncio.gather(*(stay(kind, number, address, port, key, tls) for number, address in own))


if __name__ == "__main__":
    # The flood is to take the server's time and not its core: behind nginx four processes share the cores with it.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:]))
