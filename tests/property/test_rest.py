"""Any input of a client to a REST endpoint gets an answer in JSON, and never a 5xx."""

import string

from hypothesis import given
from hypothesis import strategies as st
from tornado.ioloop import IOLoop

from chatio.accounts import names
from chatio.text import well_formed
from tests.property.inputs import addresses, any_json, any_text, awkward_text, bounded, encoded
from tests.unit.handlers.rest_server import ORIGIN, Answer, Rest

paths = st.sampled_from(["/register", "/login"])
texts = any_text | awkward_text
likely_names = st.text("aB \u05d0\U0001f600", min_size=1, max_size=20).filter(str.strip)
likely_addresses = st.from_regex(r"[a-zA-Z0-9]{1,9}@(chat\.test|printer\.local|example\.com)", fullmatch=True)
any_bytes = st.binary(max_size=400) | st.builds(
    bytes.__mul__, st.binary(min_size=2, max_size=9), st.integers(1500, 9000)
)


def check(answer: Answer, expected: set[int]) -> None:
    assert answer.status in expected
    assert isinstance(answer.json, dict)
    assert answer.header("access-control-allow-origin") == ORIGIN
    if answer.status == 400:
        assert answer.json["errors"]
        assert all(error["field"] and error["message"] for error in answer.json["errors"])


@bounded
@given(paths, any_bytes)
def test_any_bytes_are_an_invalid_body(io_loop: IOLoop, rest: Rest, path: str, body: bytes) -> None:
    check(io_loop.run_sync(lambda: rest.call("POST", path, body)), {400, 413})


@bounded
@given(paths, any_json)
def test_any_json_is_answered(io_loop: IOLoop, rest: Rest, path: str, body: object) -> None:
    check(io_loop.run_sync(lambda: rest.call("POST", path, encoded(body))), {400, 413})


@bounded
@given(st.fixed_dictionaries({}, optional={"name": any_json, "email": any_json | addresses, "password": any_json}))
def test_any_values_of_the_right_names_are_answered(io_loop: IOLoop, rest: Rest, body: dict[str, object]) -> None:
    check(io_loop.run_sync(lambda: rest.call("POST", "/register", encoded(body))), {201, 400, 409, 413})
    check(io_loop.run_sync(lambda: rest.call("POST", "/login", encoded(body))), {200, 400, 404, 413})


@bounded
@given(st.fixed_dictionaries({"email": addresses, "password": texts}))
def test_any_texts_are_no_credentials(io_loop: IOLoop, rest: Rest, body: dict[str, str]) -> None:
    check(io_loop.run_sync(lambda: rest.call("POST", "/login", encoded(body))), {400, 404})


@bounded
@given(
    st.fixed_dictionaries(
        {
            "name": likely_names | texts,
            "email": likely_addresses | addresses,
            "password": st.text(min_size=8, max_size=128),
        }
    )
)
def test_registered_user_logs_in_and_has_the_name_sent(io_loop: IOLoop, rest: Rest, body: dict[str, str]) -> None:
    registered = io_loop.run_sync(lambda: rest.call("POST", "/register", encoded(body)))
    check(registered, {201, 400, 409, 413})
    if registered.status != 201:
        return
    signed_in = io_loop.run_sync(lambda: rest.call("POST", "/login", encoded(body)))
    check(signed_in, {200})
    header = f"Bearer {signed_in.json['token']}"
    user = io_loop.run_sync(lambda: rest.call("GET", "/user", Authorization=header))
    check(user, {200})
    assert user.json["name"] == names.cleaned(well_formed(body["name"]))


# No line ends: after one follows another header, or another request.
header_values = st.binary(max_size=200).map(
    lambda data: data.replace(b"\r", b"").replace(b"\n", b"").decode("latin-1")
)
token_like = st.lists(st.text(string.ascii_letters + string.digits + "-_=+/", max_size=80), max_size=5).map(
    ".".join
)


@bounded
@given(
    header_values
    | token_like
    | st.builds("{} {}".format, st.sampled_from(["Bearer", "bEARER", "Basic"]), token_like)
)
def test_any_authorization_is_401_or_no_header_at_all(io_loop: IOLoop, rest: Rest, header: str) -> None:
    answer = io_loop.run_sync(lambda: rest.call("GET", "/user", Authorization=header))
    check(answer, {400, 401})
    if answer.status == 400:  # control characters, which Tornado rejects before any handler (RFC 9110, 5.5)
        assert any(char < " " or char == "\x7f" for char in header)


@bounded
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"]),
    st.text(string.printable[:94].replace(" ", ""), max_size=60),
)
def test_any_path_is_answered(io_loop: IOLoop, rest: Rest, method: str, path: str) -> None:
    answer = io_loop.run_sync(lambda: rest.call(method, f"/{path}"))
    assert answer.status < 500
    assert answer.header("access-control-allow-origin") == ORIGIN
