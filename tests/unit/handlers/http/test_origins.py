"""Foreign pages: which requests they can make, that those are refused before they count, and that apps get in."""

import json

import pytest

from chatio.accounts.login_throttle import LoginThrottle
from chatio.throttling.rate_limiter import AddressRateLimiter, RateLimiter
from handlers.http.origins import OriginPolicy
from tests.unit.handlers.rest_server import ORIGIN, PASSWORD, Rest, request

POLICY = OriginPolicy(("https://page.example", "http://lan.example:3000", "capacitor://localhost", "file://"))
ADA = {"name": "Ada", "email": "ada@chat.test", "password": PASSWORD}


@pytest.mark.parametrize(
    "origin",
    [
        "https://page.example",
        "HTTPS://Page.Example:443",
        "https://page.example.",
        "https://page.example/",  # Go's x/net/websocket: a URL
        "https://page.example/chat?x=1",
        "capacitor://localhost",
        "file://",
    ],
)
@pytest.mark.parametrize("fetch_site", [None, "cross-site", "same-site", "same-origin", "none"])
def test_an_origin_of_client_url_is_admitted_wherever_it_asks(origin: str, fetch_site: str | None) -> None:
    assert POLICY.admits(origin, "chat.example", fetch_site)


OWN = [
    ("https://chat.example", "chat.example"),
    ("https://chat.example", "chat.example:443"),
    ("https://chat.example:443", "chat.example"),
    ("https://CHAT.example", "chat.EXAMPLE"),
    ("https://chat.example.", "chat.example"),
    ("https://chat.example", "chat.example."),
    ("https://chat.example:8443", "chat.example:8443"),
    ("https://xn--bcher-kva.example", "xn--bcher-kva.example"),
    ("wss://chat.example", "chat.example"),
    ("wss://chat.example:443", "chat.example"),
    ("ws://chat.example:3000", "chat.example:3000"),
    ("ws://chat.example", "chat.example:80"),
    ("http://localhost:3000", "localhost:3000"),
    ("http://localhost:3000", "LOCALHOST:3000"),
    ("ws://localhost:3000", "localhost:3000"),
    ("http://chat.localhost:3000", "chat.localhost:3000"),
    ("http://127.0.0.1", "127.0.0.1"),
    ("http://127.0.0.1:80", "127.0.0.1"),
    ("https://192.0.2.7", "192.0.2.7"),
    ("http://[::1]:3000", "[::1]:3000"),
    ("http://[0:0:0:0:0:0:0:1]:3000", "[::1]:3000"),
    ("http://[2001:db8::1]", "[2001:db8::1]"),
    ("http://page.example", "page.example"),  # the host is in CLIENT_URL
    ("http://lan.example", "lan.example"),
    # The whole URL: elephant.io writes it as it was given, SwiftWebSocket with its query.
    ("https://chat.example/", "chat.example"),
    ("http://chat.example:3000/", "chat.example:3000"),
    ("http://chat.example/chat?x=//evil.example", "chat.example"),
    ("wss://chat.example/socket.io/?EIO=4&transport=websocket", "chat.example"),
    ("ws://chat.example:3000?EIO=4", "chat.example:3000"),
    # The Host alone: Tyrus (Java) and older releases of Node's ws.
    ("chat.example", "chat.example"),
    ("chat.example:3000", "chat.example:3000"),
    ("LOCALHOST:3000", "localhost:3000"),
    ("[::1]:3000", "[0:0::1]:3000"),
]


@pytest.mark.parametrize(("origin", "host"), OWN)
def test_the_servers_own_origin_is_no_foreign_one(origin: str, host: str) -> None:
    assert POLICY.admits(origin, host, None)
    assert POLICY.admits(origin, host, "same-origin")
    assert POLICY(origin, {"HTTP_HOST": host})
    assert not POLICY.admits(origin, host, "cross-site")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example:3000", "evil.example:3000"),  # a name that was made to lead here
        ("http://evil.example", "evil.example"),
        ("http://localhost.evil.example", "localhost.evil.example"),
        ("http://127.0.0.1.evil.example", "127.0.0.1.evil.example"),
        ("http://127.0.0.1.nip.example", "127.0.0.1.nip.example"),
        ("https://evil.example", "chat.example"),
        ("https://evil.example", "localhost:3000"),
        ("https://chat.example", "localhost:3000"),
        ("https://chat.example", "chat.example:8443"),
        ("https://chat.example:8443", "chat.example"),
        ("https://chat.example:80", "chat.example"),
        ("https://chat.example.evil.example", "chat.example"),
        ("https://sub.chat.example", "chat.example"),
        ("http://localhost:3000", "localhost:3001"),
        ("http://localhost", "127.0.0.1"),
        ("http://127.1", "127.1"),
        ("null", "localhost:3000"),
        ("app://x", "x"),
        ("ionic://localhost", "localhost"),
        ("ftp://127.0.0.1", "127.0.0.1"),
        ("http://127.0.0.1@evil.example", "127.0.0.1@evil.example"),
        ("https://chat.example, https://evil.example", "chat.example"),
        ("https://evil.example/", "chat.example"),
        ("https://chat.example#", "chat.example"),
        ("file:///index.html", "chat.example"),
        ("https://b\u00fccher.example", "b\u00fccher.example"),
        *(("evil.example", "chat.example"), ("chat.example", "chat.example:3000"), ("null", "null")),
        *(("chat.example/", "chat.example"), ("a@chat.example", "chat.example")),
        *(("", ""), ("http://", ""), ("https://", ""), ("*", "*"), ("FILE://", "x"), ("NULL", "x")),
    ],
)
def test_another_origin_is_foreign(origin: str, host: str) -> None:
    assert not POLICY.admits(origin, host, None)
    forwarded = {"HTTP_X_FORWARDED_HOST": "evil.example", "HTTP_X_FORWARDED_PROTO": "http"}
    assert not POLICY(origin, {"HTTP_HOST": host, **forwarded})


def test_a_program_names_no_origin_and_is_admitted() -> None:
    assert POLICY.admits(None, "anything", None)
    assert POLICY.admits(None, "anything", "none")  # an address that a user typed
    assert not POLICY.admits(None, "anything", "cross-site")


def test_a_star_admits_every_page() -> None:
    for origin in ("https://evil.example", "null", "", None):
        assert OriginPolicy(("*",)).admits(origin, "chat.example", "cross-site")


def test_null_is_admitted_where_client_url_has_it_only() -> None:
    assert OriginPolicy(("null",)).admits("null", "chat.example", "cross-site")
    assert not OriginPolicy(("https://null",)).admits("null", "chat.example", None)


# --- over REST

FOREIGN = [
    {"Origin": "https://other.example"},
    {"Origin": "null"},
    {"Origin": "http://evil.example", "Host": "evil.example"},
    {"Origin": "http://localhost", "Sec_Fetch_Site": "cross-site"},
]
CALLS = [
    *(("POST", "/register"), ("POST", "/login"), ("POST", "/logout"), ("POST", "/user/password")),
    *(("DELETE", "/user"), ("PUT", "/user"), ("PATCH", "/nothing"), ("POST", "/")),
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_a_foreign_page_is_refused_whatever_it_would_change(
    rest: Rest, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = await rest.call(method, path, ADA, **headers)
    assert (answer.status, answer.json) == (
        403,
        {"message": "Pages of this origin may not use this server.", "code": "foreign_page"},
    )
    assert answer.header("access-control-allow-origin") == ORIGIN


async def test_a_request_without_an_origin_that_a_browser_calls_cross_site_is_refused(rest: Rest) -> None:
    """A form of a page that hides where it comes from."""
    lines = "POST /login HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n\r\n"
    async with await rest.connect() as connection:
        await connection.send(lines.encode())
        assert (await connection.receive()).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ORIGIN, "Sec_Fetch_Site": "cross-site"},
        {"Origin": "https://localhost"},
        {"Origin": "wss://localhost"},
        {"Origin": "http://localhost", "Sec_Fetch_Site": "same-origin"},
    ],
)
async def test_an_allowed_page_and_an_app_act(rest: Rest, headers: dict[str, str]) -> None:
    assert (await rest.call("POST", "/register", ADA, **headers)).status == 201


@pytest.mark.parametrize("path", ["/user", "/nothing", "/healthz"])
async def test_a_foreign_page_may_ask_and_cannot_read(rest: Rest, path: str) -> None:
    answer = await rest.call("GET", path, Origin="https://other.example", Sec_Fetch_Site="cross-site")
    assert answer.status in (200, 401, 404)
    assert answer.header("access-control-allow-origin") == ORIGIN


async def test_what_a_foreign_page_sends_counts_for_no_limit(rest: Rest) -> None:
    rest.logins = LoginThrottle(failures_per_account=2)
    rest.registrations = AddressRateLimiter(lambda times: RateLimiter(1, 3600))
    rest.start()
    for _ in range(5):
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            for path in ("/register", "/login"):
                answer = await rest.call("POST", path, ADA, Origin="https://other.example", Content_Type=kind)
                assert answer.status == 403
    assert (await rest.register()).status == 201
    assert await rest.token()


async def test_the_line_of_a_refusal_names_the_origin(rest: Rest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "chatio.http")
    await rest.call("POST", "/login", ADA, Origin="https://other.example")
    (record,) = caplog.records
    assert (
        record.getMessage()
        == "Origin https://other.example is not in CLIENT_URL: request from 127.0.0.1 was refused"
    )
    assert vars(record).items() >= {"event": "origin_refused", "origin": "https://other.example"}.items()


# --- bodies


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json ; Charset=UTF8",
        "application/json; charset=us-ascii",
        "application/json; profile=x",
    ],
)
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
async def test_json_in_utf_8_is_taken_with_a_bom_too(rest: Rest, kind: str, bom: bytes) -> None:
    assert (await rest.call("POST", "/register", bom + json.dumps(ADA).encode(), Content_Type=kind)).status == 201


NOT_TAKEN = [
    *(
        {"Content_Type": kind}
        for kind in ("", "text/plain", "application/x-www-form-urlencoded", "text/json", "json")
    ),
    {"Content_Type": "multipart/form-data; boundary=x"},
    {"Content_Type": "application/json, text/plain"},
    {"Content_Type": "application/jsonp"},
    {"Content_Type": "application/json; charset=utf-16"},
    {"Content_Type": "application/json; charset=iso-8859-1"},
    {"Content_Type": 'application/json; charset="utf-16le"'},
    {"Content_Encoding": "gzip"},
    {"Content_Encoding": "br"},
    {"Content_Encoding": "gzip, identity"},
]


@pytest.mark.parametrize("headers", NOT_TAKEN)
@pytest.mark.parametrize("path", ["/register", "/login"])
async def test_another_body_is_told_what_is_taken(rest: Rest, path: str, headers: dict[str, str]) -> None:
    answer = await rest.call("POST", path, ADA, **headers)
    assert answer.status == 415
    assert "application/json" in answer.json["message"]
    assert "UTF-8" in answer.json["message"]
    assert (answer.header("accept"), answer.header("accept-encoding")) == ("application/json", "identity")


async def test_a_body_of_no_type_at_all_is_told_so_too(rest: Rest) -> None:
    body = json.dumps(ADA)
    head = f"POST /register HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    async with await rest.connect() as connection:
        await connection.send((head + body).encode())
        assert (await connection.receive()).status == 415
        await connection.send(request("GET", "/user"))
        assert (await connection.receive()).status == 401


async def test_a_request_without_a_body_needs_no_type(rest: Rest) -> None:
    token = await rest.sign_up()
    async with await rest.connect() as connection:
        await connection.send(request("POST", "/logout", Authorization=f"Bearer {token}"))
        assert (await connection.receive()).status == 204
