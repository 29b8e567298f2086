"""Clients in other languages, replayed: what each is known to send, from its handshake to a message's ack."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.client.protocol import text, websocket_request
from tests.client.wire import SOCKET_IO, Answer, Http, Ws
from tests.system.server import ServerProcess

pytestmark = pytest.mark.direct("the headers of each client, as they leave it")

HOST = "chat.example"
SAY = '["send-message",{"id":"%s","content":"Hello!"}]'


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(PRESENCE="off", HISTORY_ON_CONNECT="0") as process:
        yield process


@pytest.fixture(scope="module")
def connect(server: ServerProcess) -> str:
    """The packet that joins the chat."""
    return "40/chat," + json.dumps({"token": server.sign_up("ann")})


def sid(answer: Answer) -> str:
    assert answer.status == 200
    return str(json.loads(answer.text[1:])["sid"])


async def chats(ws: Ws, name: str) -> None:
    """The client is in the chat: its message is acked, and arrives once."""
    ws.send("42/chat,7" + SAY % name)
    answers = sorted([str(await ws.receive()), str(await ws.receive())])
    assert answers[0].startswith('42/chat,["receive-message",{"id":"' + name)
    assert answers[1].startswith('43/chat,7[{"ok":true')


async def test_elephant_io_5_over_one_connection(server: ServerProcess, connect: str) -> None:
    """PHP. Its Origin is the URL as the application wrote it; it joins "/", and upgrades without a probe."""
    url = f"https://{HOST}/"
    headers: dict[str, Any] = {
        "Host": f"{HOST}:443",
        "Accept": "*/*",
        "Origin": url,
        "Referer": url,
        "User_Agent": "Elephant.io/5.0.1",
    }
    http = await Http.open(server.port)
    session = sid(await http.request("GET", f"{SOCKET_IO}polling&t=P1", **headers, Connection="keep-alive"))
    target = f"{SOCKET_IO}polling&t=P2&sid={session}"
    posted = await http.request("POST", target, b"40", **headers, Content_Type="text/plain; charset=UTF-8")
    assert (posted.status, posted.text) == (200, "ok")
    assert (await http.request("GET", target, **headers)).text.startswith("40{")
    ws = await Ws.over(http, target.replace("polling", "websocket"), **headers)
    assert ws.status == 101
    ws.send("5", connect)
    assert str(await ws.receive()).startswith("40/chat,{")
    await chats(ws, "elephant")
    ws.send("1")
    assert await ws.closed() == 1000


async def test_net_socketioclient_3_upgrades_without_a_probe(server: ServerProcess, connect: str) -> None:
    """.NET's HttpClient polls on connections of its own, and its ClientWebSocket sends no Origin."""
    http = await Http.open(server.port)
    session = sid(await http.request("GET", f"{SOCKET_IO}polling"))
    ws = await Ws.open(server.port, f"{SOCKET_IO}websocket&sid={session}")
    ws.send("5", connect)
    assert str(await ws.receive()).startswith("40/chat,{")
    await chats(ws, "net")


async def test_net_socketioclient_3_on_websocket_alone(server: ServerProcess, connect: str) -> None:
    ws = await Ws.open(server.port, f"{SOCKET_IO}websocket")
    assert str(await ws.receive()).startswith("0{")
    ws.send(connect)
    assert str(await ws.receive()).startswith("40/chat,{")
    await chats(ws, "net-websocket")


@pytest.mark.parametrize("noop", ["before the upgrade", "after the upgrade"])
async def test_socket_io_client_swift_16_upgrades(server: ServerProcess, connect: str, noop: str) -> None:
    """Starscream's Origin; a NOOP of the client's ends the poll, and in a race goes out over the WebSocket."""
    headers: dict[str, Any] = {"Host": HOST, "Origin": f"wss://{HOST}"}
    http = await Http.open(server.port)
    target = f"{SOCKET_IO}polling&sid={sid(await http.request('GET', f'{SOCKET_IO}polling'))}"
    assert (await http.request("POST", target, connect.encode())).status == 200
    assert (await http.request("GET", target)).text.startswith("40/chat,{")
    ws = await Ws.open(server.port, target.replace("polling", "websocket"), **headers)
    ws.send("2probe")
    assert await ws.receive() == "3probe"
    if noop == "before the upgrade":
        assert (await http.request("POST", target, b"6")).status == 200
    ws.send("5", *(["6"] if noop == "after the upgrade" else []))
    await chats(ws, f"swift-{noop.split()[0]}")


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("react-native", {"Origin": f"https://{HOST}", "Sec_WebSocket_Extensions": "permessage-deflate"}),
        ("java", {"User_Agent": "okhttp/3.12.12", "Accept_Encoding": "gzip"}),
        ("swift", {"Origin": f"wss://{HOST}", "Sec_WebSocket_Extensions": "permessage-deflate"}),
        ("swiftwebsocket", {"Origin": f"wss://{HOST}{SOCKET_IO}websocket"}),
        ("websocket-client", {"Origin": f"https://{HOST}"}),
        ("subprotocol", {"Origin": f"https://{HOST}", "Sec_WebSocket_Protocol": "chat, superchat"}),
    ],
)
async def test_websocket_alone(server: ServerProcess, connect: str, name: str, headers: dict[str, Any]) -> None:
    ws = await Ws.open(server.port, f"{SOCKET_IO}websocket", Host=HOST, **headers)
    assert ws.status == 101
    assert str(await ws.receive()).startswith("0{")
    ws.send(connect)
    assert str(await ws.receive()).startswith("40/chat,{")
    await chats(ws, name)


async def test_the_cpp_client_joins_the_main_namespace_first(server: ServerProcess, connect: str) -> None:
    ws = await Ws.open(server.port, f"{SOCKET_IO}websocket")
    assert str(await ws.receive()).startswith("0{")
    ws.send("40", connect)
    assert str(await ws.receive()).startswith("40{")
    assert str(await ws.receive()).startswith("40/chat,{")
    await chats(ws, "cpp")


async def test_arduinowebsockets_needs_its_origin_in_client_url() -> None:
    """Its Origin is "file://" on each request. It probes and upgrades at once, on the connection of its GET."""
    with ServerProcess(CLIENT_URL="https://chat.example,file://", PRESENCE="off") as server:
        packet = "40/chat," + json.dumps({"token": server.sign_up("ann")})
        headers: dict[str, Any] = {
            "Host": f"{HOST}:3000",
            "Origin": "file://",
            "User_Agent": "arduino-WebSocket-Client",
        }
        http = await Http.open(server.port)
        opened = await http.request("GET", f"{SOCKET_IO}polling", **headers, Connection="keep-alive")
        target = f"{SOCKET_IO}websocket&sid={sid(opened)}"
        early = text("2probe") + text("5") + text(packet)
        ws = await Ws.over(http, target, early, **headers, Sec_WebSocket_Protocol="arduino")
        assert await ws.receive() == "3probe"
        assert str(await ws.receive()).startswith("40/chat,{")
        await chats(ws, "arduino")
    with ServerProcess() as server:
        assert (await Ws.open(server.port, f"{SOCKET_IO}websocket", **headers)).status == 403


@pytest.mark.parametrize("version", ["8", "7", "14", ""])
async def test_a_client_of_another_websocket_version_is_told_ours(server: ServerProcess, version: str) -> None:
    http = await Http.open(server.port)
    http.writer.write(websocket_request(Sec_WebSocket_Version=version))
    answer = await http.answer()
    assert (answer.status, answer.header("sec-websocket-version")) == (400, "13")
