"""A server that cannot keep up: newcomers wait, and open chats go on."""

from chatio.realtime import RealtimeOptions, create_server, load_shedding
from tests.client.wire import SOCKET_IO, Ws, join, open_polling, request, serving
from tests.system.server import ServerProcess, await_until
from tests.unit.load import Load

ORIGIN = {"Origin": "http://localhost:5173"}
HANDSHAKE = "/socket.io/?EIO=4&transport=polling"
ADA = {"name": "Ada", "email": "ada@chat.test", "password": "hunting foxes"}


def test_overloaded_server_lets_new_clients_wait_and_serves_the_others() -> None:
    """Any loop is late by more than a microsecond."""
    with ServerProcess(OVERLOAD_LAG_SECONDS="0.000001") as server:
        await_until(lambda: server.request("POST", "/login", ADA).status == 503, "it is overloaded")
        for method, path, body in (("POST", "/login", ADA), ("POST", "/register", ADA), ("GET", HANDSHAKE, None)):
            answer = server.request(method, path, body, ORIGIN)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2"), path
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN["Origin"]
        assert server.request("GET", "/user").status == 401
        assert server.request("OPTIONS", "/login", headers=ORIGIN).status == 204
        assert server.stop() == 0
    assert len([line for line in server.lines if "Overloaded: the event loop is" in line]) == 1


async def test_joined_clients_go_on_while_new_ones_wait_and_join_later() -> None:
    load = Load(0)
    server, handler = create_server(RealtimeOptions(admission_checks=(load_shedding(load),)))

    async def echo(sid: str, text: str) -> str:
        return text

    server.on("echo", echo, "/chat")
    async with serving(handler) as port:
        ws, polling = await join(port, "/chat"), await open_polling(port)
        load.retry_after_seconds = 7
        answer = await request(port, "GET", f"{SOCKET_IO}polling")
        assert (answer.status, answer.headers["retry-after"]) == (503, "7")
        assert (await Ws.open(port, f"{SOCKET_IO}websocket")).status == 503
        ws.send('42/chat,1["echo","still here"]')
        assert await ws.receive() == '43/chat,1["still here"]'
        assert (await request(port, "POST", polling, b"40/chat,")).status == 200
        upgrade = await Ws.open(port, polling.replace("transport=polling", "transport=websocket"))
        assert upgrade.status == 101
        load.retry_after_seconds = 0
        (await join(port, "/chat")).close()
        ws.close()
        upgrade.cut()
