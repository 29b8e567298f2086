"""TCP connections of one address, on a real port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tornado.web import Application

from chatio.realtime import create_server
from chatio.server.accept import LimitedHTTPServer
from chatio.throttling.client_ip import parse_networks
from tests.client.wire import SOCKET_IO, Http, Ws, soon, until


@asynccontextmanager
async def serving(most: int, *proxies: str) -> AsyncIterator[tuple[LimitedHTTPServer, int]]:
    realtime, handler = create_server()
    refused: list[str] = []
    application = Application([("/socket.io/", handler)], log_function=lambda _: None)
    server = LimitedHTTPServer(
        application, most_per_address=most, refused=refused.append, trusted=parse_networks(proxies)
    )
    server.listen(0, address="127.0.0.1")
    try:
        yield server, next(iter(server._sockets.values())).getsockname()[1]
    finally:
        server.stop()
        await soon(realtime.eio.disconnect())
        await until(lambda: not len(realtime.eio.lingering))
        await server.close_all_connections()


async def status(http: Http) -> int:
    return (await http.request("GET", "/nowhere")).status


async def test_one_connection_more_is_closed_unread_until_another_ends() -> None:
    async with serving(2) as (server, port):
        silent, half = await Http.open(port), await Http.open(port)
        half.writer.write(b"GET / HTTP/1.1\r\n")
        await until(lambda: not server.connections.has_capacity("127.0.0.1"))
        third = await Http.open(port)
        assert await third.closed() == b""
        half.cut()
        await until(lambda: server.connections.has_capacity("127.0.0.1"))
        fourth = await Http.open(port)
        assert await status(fourth) == 404
        for http in (silent, third, fourth):
            http.close()
        await until(lambda: len(server.connections) == 0)


async def test_websockets_do_not_count() -> None:
    async with serving(1) as (server, port):
        for _ in range(3):
            ws = await Ws.open(port, f"{SOCKET_IO}websocket")
            assert ws.status == 101
            await until(lambda: len(server.connections) == 0)
            ws.cut()


async def test_trusted_proxy_may_open_as_many_as_it_likes() -> None:
    async with serving(1, "127.0.0.0/8") as (server, port):
        opened = [await Http.open(port) for _ in range(5)]
        assert [await status(http) for http in opened] == [404] * 5
        for http in opened:
            http.close()
        await until(lambda: len(server.connections) == 0)
