"""The URL table, and the guards without which the server does not start."""

import pytest
from tornado.web import Application

from handlers.http.auth import public
from handlers.http.base import BaseHandler, NotFoundHandler
from handlers.rest.account import LoginHandler, RegisterHandler
from handlers.rest.user import LogoutHandler, PasswordHandler, UserHandler
from handlers.routes import UnguardedMethod, check_guards
from tests.unit.handlers.rest_server import Rest


async def unguarded(self: BaseHandler) -> None:
    self.answer(200, {})


def put_together() -> Application:
    parts = Rest()
    try:
        return parts.application()
    finally:
        parts.hasher.close()


def test_every_endpoint_of_the_product_has_a_guard() -> None:
    put_together()


@pytest.mark.parametrize(
    "handler", [RegisterHandler, LoginHandler, LogoutHandler, PasswordHandler, UserHandler, NotFoundHandler]
)
@pytest.mark.parametrize("method", ["get", "head", "post", "put", "patch", "delete"])
def test_unguarded_method_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, handler: type[BaseHandler], method: str
) -> None:
    monkeypatch.setattr(handler, method, unguarded)
    with pytest.raises(UnguardedMethod, match=f"{handler.__name__}.{method} "):
        put_together()


def test_an_inherited_method_without_a_guard_stops_the_start() -> None:
    class Parent(BaseHandler):
        get = unguarded

    class Child(Parent):
        @public
        async def post(self) -> None:
            pass

    with pytest.raises(UnguardedMethod, match=r"Child\.get "):
        check_guards([Child])


def test_a_marked_method_overridden_without_a_mark_stops_the_start() -> None:
    class Register(RegisterHandler):
        async def post(self) -> None:
            pass

    with pytest.raises(UnguardedMethod, match=r"Register\.post "):
        check_guards([Register])


@pytest.mark.parametrize("path", ["/register", "/register/", "/login", "/login/"])
async def test_a_slash_at_the_end_makes_no_difference(rest: Rest, path: str) -> None:
    assert (await rest.call("POST", path, {})).status == 400


@pytest.mark.parametrize(
    "path",
    ["/", "//", "/users/7", "/user//", "/user/7", "/User", "/register/x", "/.env", "/%2e%2e/", "/%ff", "/socket"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_any_other_path_is_unknown_to_every_method(rest: Rest, method: str, path: str) -> None:
    answer = await rest.call(method, path)
    assert (answer.status, answer.json) == (
        404,
        {"message": "There is nothing at this address.", "code": "not_found"},
    )


async def test_an_unknown_path_answers_head_without_a_body(rest: Rest) -> None:
    async with await rest.connect() as connection:
        await connection.send(b"HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await connection.receive(to_head=True)).status == 404
        assert (await connection.receive()).status == 404


async def test_a_query_makes_no_difference(rest: Rest) -> None:
    assert (await rest.call("GET", "/user?x=%ff&y=/")).status == 401


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/register", "POST, OPTIONS"),
        ("PUT", "/register", "POST, OPTIONS"),
        ("GET", "/login", "POST, OPTIONS"),
        ("POST", "/user", "GET, HEAD, DELETE, OPTIONS"),
        ("GET", "/logout", "POST, OPTIONS"),
        ("DELETE", "/user/password", "POST, OPTIONS"),
        ("PATCH", "/user", "GET, HEAD, DELETE, OPTIONS"),
        ("TRACE", "/user", "GET, HEAD, DELETE, OPTIONS"),
        ("FOO", "/user", "GET, HEAD, DELETE, OPTIONS"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(rest: Rest, method: str, path: str, allowed: str) -> None:
    answer = await rest.call(method, path)
    assert (answer.status, answer.json) == (
        405,
        {"message": "This address does not take that method.", "code": "method_not_allowed"},
    )
    assert answer.header("allow") == allowed


@pytest.mark.parametrize(
    "path", ["/user", "/messages", "/users/online", "/healthz", "/readyz", "/docs/chat", "/openapi.json"]
)
async def test_head_is_answered_wherever_get_is(rest: Rest, path: str) -> None:
    token = await rest.sign_up()
    get, head = [await rest.call(method, path, Authorization=f"Bearer {token}") for method in ("GET", "HEAD")]
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == str(len(get.body))
