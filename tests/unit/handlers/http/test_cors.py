"""Which origins may read the answers, and on which answers that is said."""

import pytest

from handlers.http.cors import Cors
from handlers.http.origins import OriginPolicy
from tests.unit.handlers.rest_server import ORIGIN, Rest

SEVERAL = Cors(OriginPolicy(("https://a.example", "https://b.example")))
EXPOSED = {"Access-Control-Expose-Headers": "Retry-After, WWW-Authenticate, Allow"}


@pytest.mark.parametrize("origin", ["https://a.example", "https://b.example"])
def test_an_allowed_origin_is_named_back(origin: str) -> None:
    assert SEVERAL.headers(origin) == EXPOSED | {
        "Access-Control-Allow-Origin": origin,
        "Vary": "Origin",
    }


@pytest.mark.parametrize(
    "origin", [None, "", "null", "*", "https://c.example", "https://a.example.evil.test", "http://a.example"]
)
def test_another_origin_is_told_the_allowed_one(origin: str | None) -> None:
    assert SEVERAL.headers(origin) == EXPOSED | {
        "Access-Control-Allow-Origin": "https://a.example",
        "Vary": "Origin",
    }


def test_any_origin_is_a_star_for_every_origin() -> None:
    assert Cors(OriginPolicy(("*",))).headers("https://c.example") == EXPOSED | {
        "Access-Control-Allow-Origin": "*"
    }


def test_a_preflight_names_methods_headers_and_how_long_that_holds() -> None:
    assert SEVERAL.preflight_headers(["GET", "OPTIONS"], "https://a.example", "") == {
        "Access-Control-Allow-Methods": "GET, OPTIONS",
        "Access-Control-Allow-Headers": "content-type, authorization",
        "Access-Control-Max-Age": "7200",
    }


TRACING = "authorization,baggage,content-type,sentry-trace,traceparent,x-requested-with"
TOO_MANY = ",".join(["x" * 99] * 11)


@pytest.mark.parametrize(
    ("origin", "asked", "allowed"),
    [
        ("https://b.example", TRACING, TRACING),
        ("https://b.example", "ngrok-skip-browser-warning, x-a", "ngrok-skip-browser-warning, x-a"),
        ("https://c.example", TRACING, "content-type, authorization"),
        (None, TRACING, "content-type, authorization"),
        *(
            ("https://a.example", odd, "content-type, authorization")
            for odd in ("", "*, a b", "a\x00b", "a,,b", "a:b", "(a)", "\xff", TOO_MANY)
        ),
    ],
)
def test_a_page_of_an_allowed_origin_may_send_the_headers_that_it_asks_for(
    origin: str | None, asked: str, allowed: str
) -> None:
    assert SEVERAL.preflight_headers(["GET"], origin, asked)["Access-Control-Allow-Headers"] == allowed


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/register", "POST, OPTIONS"),
        ("/register/", "POST, OPTIONS"),
        ("/login", "POST, OPTIONS"),
        ("/user", "GET, HEAD, DELETE, OPTIONS"),
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
    assert answer.header("access-control-allow-headers") == "authorization"


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
    assert "Retry-After" in str(answer.header("access-control-expose-headers"))


async def test_with_a_star_any_origin_may_read(rest: Rest) -> None:
    rest.origins = OriginPolicy(("*",))
    rest.start()
    answer = await rest.call("GET", "/user")
    assert answer.header("access-control-allow-origin") == "*"
    assert answer.header("vary") is None
