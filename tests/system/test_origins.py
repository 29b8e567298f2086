"""Origins: pages of others are refused. Headers: no answer names the server."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.client.wire import SOCKET_IO, Answer, Http, Ws, request
from tests.system.server import ServerProcess

pytestmark = pytest.mark.direct("plain HTTP, header by header; nginx says that it is nginx")

PAGE, SECOND_PAGE = "https://chat.example", "http://localhost:5173"
STRANGERS = [
    *("https://other.example", "https://chat.example.other.example", "https://sub.chat.example"),
    *("http://chat.example", "https://chat.example:8443", "http://127.0.0.1", "null", "*", ""),
    f"{PAGE}, https://other.example",
]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ServerProcess(CLIENT_URL=f"{PAGE},{SECOND_PAGE}") as process:
        yield process.port


@pytest.fixture(scope="module")
def open_port() -> Iterator[int]:
    with ServerProcess(CLIENT_URL="*") as process:
        yield process.port


def named(origin: str | None) -> dict[str, Any]:
    return {} if origin is None else {"Origin": origin}


async def session(port: int, origin: str | None = None) -> str:
    """The target of a polling session that is open."""
    answer = await request(port, "GET", f"{SOCKET_IO}polling", **named(origin))
    assert answer.status == 200
    return f"{SOCKET_IO}polling&sid={json.loads(answer.text[1:])['sid']}"


async def is_joined(port: int, target: str) -> bool:
    """Whether the session lives: a CONNECT on it is answered."""
    assert (await request(port, "POST", target, b"40/chat,")).status == 200
    return (await request(port, "GET", target)).text.startswith("44/chat,")


# --- origins that are let in


@pytest.mark.parametrize("origin", [PAGE, SECOND_PAGE, None])
async def test_pages_of_client_url_and_native_clients_are_let_in(port: int, origin: str | None) -> None:
    assert (await Ws.open(port, f"{SOCKET_IO}websocket", **named(origin))).status == 101
    target = await session(port, origin)
    upgrade = target.replace("polling", "websocket")
    for answer in (
        await request(port, "GET", f"{SOCKET_IO}polling", **named(origin)),
        await request(port, "POST", target, b"40/chat,", **named(origin)),
        await request(port, "GET", target, **named(origin)),
        await request(port, "OPTIONS", target, **named(origin)),
    ):
        assert answer.status in (200, 204)
        assert answer.headers.get("access-control-allow-origin") == origin
    assert (await Ws.open(port, upgrade, **named(origin))).status == 101


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost", "localhost"),
        ("https://other.example", "other.example"),  # websocket-client, React Native
        ("wss://other.example:443", "other.example"),  # Starscream
        ("http://chat.example", "chat.example"),  # the host is in CLIENT_URL
    ],
)
async def test_an_app_that_makes_its_origin_of_the_servers_address_is_let_in(
    port: int, origin: str, host: str
) -> None:
    headers: dict[str, Any] = {"Origin": origin, "Host": host}
    assert (await Ws.open(port, f"{SOCKET_IO}websocket", **headers)).status == 101
    opened = await request(port, "GET", f"{SOCKET_IO}polling", **headers)
    assert opened.status == 200
    target = f"{SOCKET_IO}polling&sid={json.loads(opened.text[1:])['sid']}"
    assert (await request(port, "POST", target, b"40/chat,", **headers)).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:3000", "localhost.evil.example"])
async def test_a_page_after_dns_rebinding_opens_no_socket_and_no_account(port: int, host: str) -> None:
    headers: dict[str, Any] = {"Origin": f"http://{host}", "Host": host}
    assert (await Ws.open(port, f"{SOCKET_IO}websocket", **headers)).status == 403
    assert (await request(port, "GET", f"{SOCKET_IO}polling", **headers)).status == 403
    for path in ("/register", "/login"):
        assert (await request(port, "POST", path, b"{}", **headers)).status == 403


async def test_origins_of_apps_are_let_in_where_client_url_has_them() -> None:
    apps = ["file://", "ionic://localhost", "capacitor://localhost", "app://x", "null"]
    with ServerProcess(CLIENT_URL=",".join(["https://chat.example", *apps])) as process:
        for origin in apps:
            assert (await Ws.open(process.port, f"{SOCKET_IO}websocket", Origin=origin)).status == 101
            answer = await request(process.port, "GET", f"{SOCKET_IO}polling", Origin=origin)
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, origin)
            answer = await request(process.port, "GET", "/user", Origin=origin)
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (401, origin)


async def test_client_url_is_read_as_a_browser_writes_it() -> None:
    with ServerProcess(CLIENT_URL="https://пример.рф,http://[0:0:0:0:0:0:0:1]:5173") as process:
        for origin in ("https://xn--e1afmkfd.xn--p1ai", "http://[::1]:5173"):
            answer = await request(process.port, "GET", "/user", Origin=origin)
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (401, origin)
            assert (await Ws.open(process.port, f"{SOCKET_IO}websocket", Origin=origin)).status == 101


async def test_an_image_of_a_foreign_page_opens_no_session(port: int) -> None:
    """Without an Origin; a browser says in Sec-Fetch-Site that another site asks."""
    answer = await request(port, "GET", f"{SOCKET_IO}polling", Sec_Fetch_Site="cross-site")
    assert answer.status == 403
    allowed = await request(port, "GET", f"{SOCKET_IO}polling", Origin=PAGE, Sec_Fetch_Site="cross-site")
    assert allowed.status == 200


async def test_the_log_names_the_origin_that_was_refused() -> None:
    with ServerProcess(CLIENT_URL=PAGE) as process:
        assert (await Ws.open(process.port, f"{SOCKET_IO}websocket", Origin="app://mine")).status == 403
        await request(process.port, "POST", "/login", b"{}", Origin="https://other.example")
    for origin in ("app://mine", "https://other.example"):
        assert any(f"Origin {origin} is not in CLIENT_URL" in line for line in process.lines)


@pytest.mark.parametrize("origin", STRANGERS)
async def test_other_pages_are_refused_at_every_door_of_the_chat(port: int, origin: str) -> None:
    target = await session(port)
    upgrade = target.replace("polling", "websocket")
    for answer in (
        await request(port, "GET", f"{SOCKET_IO}polling", Origin=origin),
        await request(port, "GET", target, Origin=origin),
        await request(port, "POST", target, b"1", Origin=origin),
    ):
        assert (answer.status, json.loads(answer.text)) == (403, {"code": 4, "message": "Forbidden"})
        assert "access-control-allow-origin" not in answer.headers
    for address in (f"{SOCKET_IO}websocket", upgrade):
        assert (await Ws.open(port, address, Origin=origin)).status == 403
    preflight = await request(port, "OPTIONS", target, Origin=origin, Access_Control_Request_Method="POST")
    assert "access-control-allow-origin" not in preflight.headers
    assert await is_joined(port, target)  # whose session it is has noticed nothing


@pytest.mark.parametrize("origin", [PAGE, "https://other.example", "null", None])
async def test_with_a_star_every_page_is_let_in(open_port: int, origin: str | None) -> None:
    assert (await Ws.open(open_port, f"{SOCKET_IO}websocket", **named(origin))).status == 101
    target = await session(open_port, origin)
    assert (await request(open_port, "POST", target, b"40/chat,", **named(origin))).status == 200
    answer = await request(open_port, "GET", "/user", **named(origin))
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (401, "*")


@pytest.mark.parametrize("origin", [PAGE, SECOND_PAGE, "https://other.example"])
async def test_preflight_allows_pages_of_client_url_only(port: int, origin: str) -> None:
    asked: dict[str, Any] = {
        "Access_Control_Request_Method": "DELETE",
        "Access_Control_Request_Headers": "authorization",
    }
    answer = await request(port, "OPTIONS", "/logout", Origin=origin, **asked)
    assert (answer.status, answer.headers["access-control-allow-methods"]) == (204, "POST, OPTIONS")
    assert (answer.headers["access-control-allow-origin"] == origin) is (origin in (PAGE, SECOND_PAGE))


# --- headers of every answer


async def raw(port: int, data: bytes) -> bytes:
    """The answer to `data`, in lower case; b"" if the connection is closed without one."""
    http = await Http.open(port)
    http.writer.write(data)
    answer = await http.closed()
    http.close()
    return answer.lower()


ODD_REQUESTS = {
    "no HTTP": b"GARBAGE\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "no host": b"GET /user HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /user HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "bad header": b"GET /user HTTP/1.1\r\nHost: x\r\n: x\r\n\r\n",
    "bad length": b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    "two lengths": b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "bad coding": b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n\r\n",
    "bad chunk": b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "bad chunk of a poll": b"POST /socket.io/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "expects": b"POST /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "long head": b"GET /user HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
    "old": b"GET /user HTTP/1.0\r\n\r\n",
    "unknown method": b"FOO /socket.io/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "not found": b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("kind", ODD_REQUESTS)
async def test_no_answer_names_the_server_however_odd_the_request(port: int, kind: str) -> None:
    answer = await raw(port, ODD_REQUESTS[kind])
    assert answer.startswith(b"http/1.1 ")
    assert not any(word in answer for word in (b"\nserver:", b"tornado", b"python"))


def assert_guarded(answer: Answer) -> None:
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert not {"server", "etag"} & answer.headers.keys()


@pytest.mark.parametrize("origin", [PAGE, "https://other.example", None])
async def test_no_answer_of_the_chat_is_stored_or_guessed_at(port: int, origin: str | None) -> None:
    target = await session(port)
    for method, where, body in (
        ("GET", f"{SOCKET_IO}polling", None),
        ("POST", target, b"40/chat,"),
        ("OPTIONS", target, None),
        ("PUT", target, None),
        ("GET", f"{SOCKET_IO}carrier-pigeon", None),
        ("GET", f"{SOCKET_IO}polling&sid=unknown", None),
        ("POST", target, b"x" * 20_000),
    ):
        assert_guarded(await request(port, method, where, body, **named(origin)))
