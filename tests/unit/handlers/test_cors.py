"""Which origins may read the answers, and on which answers that is said."""

import pytest
from tornado.ioloop import IOLoop

from handlers.cors import Cors, OwnOrigins, socket_origins
from tests.unit.handlers.rest_server import ORIGIN, Rest

SEVERAL = Cors(("https://a.example", "https://b.example"))


@pytest.mark.parametrize("origin", ["https://a.example", "https://b.example"])
def test_an_allowed_origin_is_named_back(origin: str) -> None:
    assert SEVERAL.headers(origin) == {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


@pytest.mark.parametrize(
    "origin", [None, "", "null", "*", "https://c.example", "https://a.example.evil.test", "http://a.example"]
)
def test_another_origin_is_told_the_allowed_one(origin: str | None) -> None:
    assert SEVERAL.headers(origin) == {"Access-Control-Allow-Origin": "https://a.example", "Vary": "Origin"}


def test_any_origin_is_a_star_for_every_origin() -> None:
    assert Cors(("*",)).headers("https://c.example") == {"Access-Control-Allow-Origin": "*"}


def test_a_preflight_names_methods_headers_and_how_long_that_holds() -> None:
    assert SEVERAL.preflight_headers(["GET", "OPTIONS"]) == {
        "Access-Control-Allow-Methods": "GET, OPTIONS",
        "Access-Control-Allow-Headers": "content-type, authorization",
        "Access-Control-Max-Age": "7200",
    }


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/register", "POST, OPTIONS"),
        ("/register/", "POST, OPTIONS"),
        ("/login", "POST, OPTIONS"),
        ("/user", "GET, DELETE, OPTIONS"),
        ("/user/password", "POST, OPTIONS"),
        ("/logout", "POST, OPTIONS"),
        ("/no/such/path", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    ],
)
async def test_options_answers_204_with_the_methods_on_every_path(rest: Rest, path: str, methods: str) -> None:
    answer = await rest.call(
        "OPTIONS", path, Access_Control_Request_Method="POST", Access_Control_Request_Headers="authorization"
    )
    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("access-control-allow-origin") == ORIGIN
    assert answer.header("access-control-allow-methods") == methods
    assert answer.header("access-control-allow-headers") == "content-type, authorization"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/register", {"name": "Ada", "email": "ada@chat.test", "password": "hunting foxes"}, 201),
        ("POST", "/register", {}, 400),
        ("POST", "/register", b"x" * 20_000, 413),
        ("POST", "/login", {"email": "ada@chat.test", "password": "hunting foxes"}, 404),
        ("GET", "/user", None, 401),
        ("DELETE", "/user", {"password": "hunting foxes"}, 401),
        ("POST", "/user/password", {}, 401),
        ("POST", "/logout", None, 401),
        ("PUT", "/user", None, 405),
        ("FOO", "/user", None, 405),
        ("GET", "/no/such/path", None, 404),
        ("OPTIONS", "/user", None, 204),
    ],
)
async def test_answer_names_its_origin(rest: Rest, method: str, path: str, body: object, status: int) -> None:
    answer = await rest.call(method, path, body)
    assert answer.status == status
    assert answer.header("access-control-allow-origin") == ORIGIN
    assert answer.header("vary") == "Origin"


def test_with_a_star_any_origin_may_read(io_loop: IOLoop) -> None:
    async def ask() -> None:
        rest = Rest(origins=("*",))
        rest.start()
        try:
            answer = await rest.call("GET", "/user")
            assert answer.header("access-control-allow-origin") == "*"
            assert answer.header("vary") is None
        finally:
            await rest.close()

    io_loop.run_sync(ask)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://a.example", "whatever.test"),
        ("http://localhost:3000", "localhost:3000"),
        ("http://LOCALHOST:3000".lower(), "LOCALHOST:3000"),
        ("http://127.0.0.1", "127.0.0.1"),
        ("https://192.0.2.7", "192.0.2.7"),
        ("http://[::1]:3000", "[::1]:3000"),
        ("http://[2001:db8::1]", "[2001:db8::1]"),
    ],
)
def test_a_page_of_this_server_at_an_address_opens_a_socket(origin: str, host: str) -> None:
    allows = OwnOrigins(SEVERAL.origins)
    assert allows(origin, {"HTTP_HOST": host})


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example:3000", "evil.example:3000"),  # a name that was made to lead here
        ("http://localhost.evil.example", "localhost.evil.example"),
        ("http://127.0.0.1.evil.example", "127.0.0.1.evil.example"),
        ("http://localhost:3000", "localhost:3001"),
        ("http://localhost", "127.0.0.1"),
        ("http://evil.example", "localhost:3000"),
        ("null", "localhost:3000"),
        ("", ""),
        ("http://", ""),
        (None, "localhost:3000"),
        ("ftp://127.0.0.1", "127.0.0.1"),
        ("http://127.0.0.1@evil.example", "127.0.0.1@evil.example"),
    ],
)
def test_another_origin_opens_no_socket(origin: str | None, host: str) -> None:
    forwarded = {"HTTP_X_FORWARDED_HOST": "evil.example", "HTTP_X_FORWARDED_PROTO": "http"}
    allows = OwnOrigins(SEVERAL.origins)
    assert not allows(origin, {"HTTP_HOST": host, **forwarded})


def test_only_a_server_with_a_page_has_an_origin_of_its_own() -> None:
    assert isinstance(socket_origins(SEVERAL.origins, serves_page=True), OwnOrigins)
    assert socket_origins(SEVERAL.origins, serves_page=False) == list(SEVERAL.origins)
    assert socket_origins(("*",), serves_page=True) == "*"
