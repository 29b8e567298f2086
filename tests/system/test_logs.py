"""The log of a whole server under hostile input: it has events, and no user's data."""

import json
import re
import socket
from collections.abc import Mapping
from datetime import datetime

import pytest

from tests.system.js import JsClients
from tests.system.server import SECRET, ServerProcess

HARM = "evil\u202e\x1b[2J\x9b\u2028\x7fname"
TEXT_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [a-z_.]+: \S.*")


def send_raw(server: ServerProcess, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(4096)


def play(server: ServerProcess, js: JsClients) -> list[str]:
    """Play the day of a server. Returns all texts of it that must not be in the log."""
    token = server.sign_up("ann")
    credentials = {"email": "evil@chat.test", "password": "evil's own password"}
    assert server.request("POST", "/register", {"name": HARM, **credentials}).status in (201, 400)
    server.request("POST", "/login", credentials | {"password": "mistyped pass"})
    server.request("POST", "/login", credentials)
    server.request("POST", "/login", {"email": HARM, "password": ["odd password"]})
    for authorization in (f"Bearer {token[:-4]}", f"Basic {token}", "Bearer not.a.token"):
        assert server.request("GET", "/user", headers={"Authorization": authorization}).status == 401
    js.open("ann", server.url, token)
    ((sid, *_),) = js.expect("ann", "connect")
    js.emit("ann", "send-message", {"content": f"between us {HARM}", "id": "private-id"})
    js.expect("ann", "receive-message")
    js.emit("ann", "send-message", {"content": ["odd message"]}, nonsense=True)
    js.emit("ann", "no-such-event", "odd event", nonsense=True)
    js.open("bob", server.url, token + "odd token")
    js.expect("bob", "connect_error")
    send_raw(server, f"GET /user HTTP/1.1\r\nAuthorization: Bearer {token}\x01\r\n\r\n".encode())
    send_raw(server, b"odd request \x1b[2J\xff\r\n\r\n")
    for forwarded in (
        "1.2.3.4\r\n\tforged: odd line",
        "1.2.3.4\n5.6.7.8",
        "\x1b[31m",
        "odd address\u202e\x9b, 9.9.9.9",
        "odd address",
    ):
        send_raw(server, forwarded_to_a_session_that_is_none(forwarded))
    return [
        *(token, token.split(".")[2], token[:-4], "not.a.token", SECRET, str(sid)),
        *("'s password", "'s own password", "mistyped pass", "odd password", "between us", "private-id"),
        *("odd message", "odd event", "odd token", "odd request", "odd line", "odd address", "odd session"),
        *("Traceback", "/home/", "site-packages", "main.py", "evil"),
    ]


def forwarded_to_a_session_that_is_none(forwarded: str) -> bytes:
    """The header in UTF-8, which Tornado reads as Latin-1."""
    return (
        "GET /socket.io/?EIO=4&transport=polling&sid=odd%20session HTTP/1.1\r\nHost: x\r\n"
        f"X-Forwarded-For: {forwarded}\r\n\r\n"
    ).encode()


@pytest.mark.direct("malformed heads; nginx passes none on")
@pytest.mark.parametrize("form", ["text", "json"])
def test_log_holds_no_data_of_users_and_each_line_has_its_form(js: JsClients, form: str) -> None:
    with ServerProcess(LOG_FORMAT=form, LOG_LEVEL="DEBUG", TRUSTED_PROXIES="127.0.0.1") as server:
        private = play(server, js)
        assert server.stop() == 0
    written = "\n".join(server.lines)
    assert [text for text in private if text in written] == []
    assert "connection from 9.9.9.9 refused or closed: Session ID unknown" in written
    for line in server.lines:
        assert line.isprintable(), ascii(line)
        if form == "json":
            check(json.loads(line))
        else:
            assert TEXT_LINE.fullmatch(line), line


def check(line: Mapping[str, object]) -> None:
    time = str(line["time"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    assert datetime.fromisoformat(time)
    assert line["level"] in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    assert {"logger", "message"} <= line.keys()
    assert "event" in line or line["level"] == "DEBUG"
    assert all(str(value).isprintable() for value in line.values())


@pytest.mark.direct("reads which settings and which address the process tells of")
def test_the_life_of_a_server_is_five_events() -> None:
    # Whether npm was there is another event, and so are limits that are off.
    with ServerProcess(
        LOG_FORMAT="json", SERVE_PAGE="off", RATE_LIMITS="on", OVERLOAD_LAG_SECONDS="0.25"
    ) as server:
        url = server.url
        assert server.stop() == 0
    lines = [json.loads(line) for line in server.lines]
    assert [line["event"] for line in lines] == ["starting", "store_opened", "started", "stopping", "stopped"]
    assert lines[0]["settings"] == ["SERVER_PORT", "SERVER_HOST", "JWT_SECRET_KEY", "SERVE_PAGE", "LOG_FORMAT"]
    assert lines[2]["url"] == url


@pytest.mark.direct("two hundred connections of bare HTTP")
def test_a_storm_of_refusals_is_ten_lines_and_a_count() -> None:
    """The count is told though nothing comes after it: when the server ends, or by itself, whichever is first."""
    with ServerProcess(LOG_FORMAT="json") as server:
        for _ in range(200):
            send_raw(server, forwarded_to_a_session_that_is_none("1.2.3.4"))
        assert server.stop() == 0
    events = [json.loads(line) for line in server.lines]
    refused = [line for line in events if line["event"] == "connection_refused"]
    held_back = [line for line in events if line["event"] == "held_back"]
    assert len(refused) + sum(line["count"] for line in held_back) == 200
    assert len(refused) <= 20  # a window may end meanwhile
    assert held_back[0]["reasons"].keys() == {"Session ID unknown"}
