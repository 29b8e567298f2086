"""TCP connections of one address and of all, on a real port: which are accepted, and which give way."""

import asyncio
import math
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tornado.web import Application

from chatio.realtime import create_server
from chatio.server.http import accept
from chatio.server.http.accept import ACCEPTED_PER_TURN, Full, LimitedHTTPServer, Listener
from chatio.server.http.connection import ServerConnection
from chatio.throttling.client_ip import parse_networks
from tests.client.protocol import http_request
from tests.client.wire import SOCKET_IO, Http, Ws, cut_all, open_polling, soon, until
from tests.conftest import ExpectedLogs

HERE = "127.0.0.1"


class Serving:
    def __init__(self, **limits: Any) -> None:
        self.refused: list[tuple[str, Full]] = []
        self.realtime, handler = create_server()
        application = Application([("/socket.io/", handler)], log_function=lambda _: None)
        self.server = LimitedHTTPServer(
            application,
            refused=lambda key, reason: self.refused.append((key, reason)),
            endpoint=handler,
            **limits,
        )
        self.server.listen(0, address="127.0.0.1")
        self.port: int = next(iter(self.server._sockets.values())).getsockname()[1]

    @property
    def open(self) -> int:
        return self.server.open_connections(HERE)


@asynccontextmanager
async def serving(most: int | None = None, *proxies: str, files: float = math.inf) -> AsyncIterator[Serving]:
    serving = Serving(most_per_address=most, trusted=parse_networks(proxies), files=files)
    try:
        yield serving
    finally:
        serving.server.stop()
        cut_all()
        await soon(serving.realtime.eio.disconnect())
        await until(lambda: not len(serving.realtime.eio.lingering))
        await serving.server.close_all_connections()


async def status(http: Http) -> int:
    return (await http.request("GET", "/nowhere")).status


async def test_past_the_limit_the_connection_that_has_waited_longest_gives_way() -> None:
    async with serving(2) as here:
        silent, half = await Http.open(here.port), await Http.open(here.port)
        half.writer.write(b"GET / HTTP/1.1\r\n")
        await until(lambda: here.open == 2)
        third = await Http.open(here.port)
        assert await silent.closed() == b""
        assert await status(third) == 404
        assert here.refused == [(HERE, Full.ADDRESS)]
        half.cut()
        await until(lambda: here.open == 1)
        fourth = await Http.open(here.port)
        assert [await status(third), await status(fourth)] == [404, 404]
        for http in (silent, third, fourth):
            http.close()
        await until(lambda: here.open == 0)


async def test_a_connection_with_half_a_body_waits_for_its_client() -> None:
    async with serving(1) as here:
        half = await Http.open(here.port)
        half.writer.write(http_request("POST", "/nowhere", b"{", Content_Length="2"))
        await until(lambda: here.open == 1)
        other = await Http.open(here.port)
        assert await status(other) == 404
        other.close()


@pytest.mark.parametrize("host", ["localhost", "read_by_tornado"])
async def test_a_connection_that_is_being_answered_does_not_give_way(host: str) -> None:
    async with serving(1) as here:
        target = await open_polling(here.port)
        await until(lambda: here.open == 0)
        polling = await Http.open(here.port)
        polling.send("GET", target, Host=host)
        await until(lambda: here.open == 1)
        other = await Http.open(here.port)
        other.send("GET", "/nowhere")
        assert await other.closed() == b""
        assert here.refused == [(HERE, Full.ADDRESS)]
        polling.cut()
        await until(lambda: here.open == 0)


@pytest.mark.parametrize("host", ["localhost", "read_by_tornado"])
async def test_a_kept_connection_gives_way_later_than_one_that_never_asked(host: str) -> None:
    async with serving(2) as here:
        kept = await Http.open(here.port)
        assert (await kept.request("GET", f"{SOCKET_IO}polling", Host=host)).status == 200
        silent = await Http.open(here.port)
        await until(lambda: here.open == 2)
        assert (await kept.request("GET", f"{SOCKET_IO}polling", Host=host)).status == 200
        third = await Http.open(here.port)
        assert await silent.closed() == b""
        assert [await status(kept), await status(third)] == [404, 404]
        kept.close()
        third.close()


async def test_where_files_run_out_the_address_with_the_most_gives_way() -> None:
    async with serving(files=3) as here:
        crowd = [await Http.open(here.port) for _ in range(3)]
        await until(lambda: here.open == 3)
        late = await Http.open(here.port)
        assert await crowd[0].closed() == b""
        assert await status(late) == 404
        assert here.refused == [(HERE, Full.SERVER)]
        for http in (*crowd, late):
            http.close()


async def test_a_few_busy_connections_are_looked_at_and_the_next_accept_goes_on_behind_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accept, "MOST_LOOKED_AT", 4)
    async with serving(6) as here:
        busy = []
        for _ in range(5):
            target = await open_polling(here.port)
            busy.append(await Http.open(here.port))
            busy[-1].send("GET", target)
        idle = await Http.open(here.port)
        await until(lambda: here.open == 6)
        looks = 0
        may_give_way = ServerConnection.may_give_way

        def count_looks(connection: ServerConnection) -> bool:
            nonlocal looks
            looks += 1
            return may_give_way(connection)

        monkeypatch.setattr(ServerConnection, "may_give_way", count_looks)
        refused = await Http.open(here.port)
        assert await refused.closed() == b""
        assert looks == 4
        admitted = await Http.open(here.port)
        assert await idle.closed() == b""
        assert await status(admitted) == 404
        for http in (*busy, admitted):
            http.cut()


async def test_a_connection_that_cannot_be_served_is_closed_and_forgotten(
    monkeypatch: pytest.MonkeyPatch, logs: ExpectedLogs
) -> None:
    logs.expect("^accepting a connection failed: MemoryError ")

    def fail(*_: object) -> None:
        raise MemoryError

    async with serving() as here:
        with monkeypatch.context() as patched:
            patched.setattr(asyncio.get_running_loop(), "call_later", fail)
            reader, writer = await asyncio.open_connection(HERE, here.port)
            assert await reader.read() == b""
        writer.close()
        assert here.open == 0
        other = await Http.open(here.port)
        assert await status(other) == 404
        other.close()


async def test_without_room_and_idle_connections_a_new_one_is_closed() -> None:
    async with serving(files=0) as here:
        assert await (await Http.open(here.port)).closed() == b""
        assert here.refused == [(HERE, Full.SERVER)]


async def test_websockets_do_not_count() -> None:
    async with serving(1) as here:
        for _ in range(3):
            ws = await Ws.open(here.port, f"{SOCKET_IO}websocket")
            assert ws.status == 101
            await until(lambda: here.open == 0)
            ws.cut()


async def test_trusted_proxy_may_open_as_many_as_it_likes() -> None:
    async with serving(1, "127.0.0.0/8") as here:
        opened = [await Http.open(here.port) for _ in range(5)]
        assert [await status(http) for http in opened] == [404] * 5
        for http in opened:
            http.close()
        await until(lambda: here.open == 0)


async def test_a_few_connections_are_accepted_in_one_turn_and_all_in_the_end() -> None:
    with Listener() as listener:
        listener.setblocking(False)
        listener.bind((HERE, 0))
        listener.listen(100)
        clients = [socket.create_connection(listener.getsockname()) for _ in range(2 * ACCEPTED_PER_TURN + 1)]
        accepted: list[socket.socket] = []
        while True:
            begun = len(accepted)
            try:
                while True:
                    accepted.append(listener.accept()[0])
            except BlockingIOError:
                if len(accepted) == begun:
                    break
            assert len(accepted) - begun <= ACCEPTED_PER_TURN
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert len(accepted) == len(clients)
        for each in (*accepted, *clients):
            each.close()
