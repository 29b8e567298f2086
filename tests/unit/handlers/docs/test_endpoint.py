"""The API documents: what they must say, and the page that shows them."""

import ast
import html
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import chatio
from chatio.accounts.names import MAX_NAME_CHARS
from chatio.accounts.password_rules import PASSWORD_CHARS
from chatio.errors import RateLimited
from handlers.chat.protocol import FROM_CLIENT, Event
from handlers.docs import asyncapi
from handlers.docs.asyncapi import asyncapi_document
from handlers.docs.endpoint import READING_POLICY, VIEWER, VIEWER_POLICY, make_documents, read_viewer
from handlers.docs.openapi import openapi_document
from handlers.http.auth import authenticated, public
from handlers.http.base import BaseHandler
from handlers.http.operation import Undescribed, operation, operation_of, unlisted
from handlers.http.responses import MessageResponse
from handlers.rest.bodies import Registration
from handlers.rest.user import LogoutHandler
from handlers.routes import endpoints
from tests.documents import Wire, chat_document
from tests.paths import ROOT
from tests.unit.handlers.rest_server import Rest


async def openapi(rest: Rest) -> dict[str, Any]:
    document: dict[str, Any] = (await rest.call("GET", "/openapi.json")).json
    return document


def make_all() -> None:
    """As the start of the server does."""
    make_documents(endpoints(has_presence=True), chat_document())


def test_an_endpoint_without_an_operation_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    @public
    async def undescribed(self: BaseHandler) -> None:
        """Do something."""

    monkeypatch.setattr(LogoutHandler, "post", undescribed)
    with pytest.raises(Undescribed, match="undescribed is neither"):
        make_all()


def test_an_operation_without_a_docstring_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    @public
    @operation(204)
    async def silent(self: BaseHandler) -> None:
        pass

    monkeypatch.setattr(LogoutHandler, "post", silent)
    with pytest.raises(Undescribed, match="silent has no docstring"):
        make_all()


def test_a_body_with_a_field_without_an_example_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wish(msgspec.Struct):
        """What a user wants."""

        text: str

    @public
    @operation(204, takes=Wish)
    async def wish(self: BaseHandler) -> None:
        """Wish something."""

    monkeypatch.setattr(LogoutHandler, "post", wish)
    with pytest.raises(Undescribed, match=r"Wish\.text has no example"):
        make_all()


def test_an_event_with_a_field_without_an_example_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wave(msgspec.Struct):
        """A greeting."""

        text: str

    monkeypatch.setattr(asyncapi, "FROM_CLIENT", [*FROM_CLIENT, Event("emit.wave", "wave", "Wave", [Wave])])
    with pytest.raises(Undescribed, match=r"Wave\.text has no example"):
        chat_document()


def test_a_handler_without_a_tag_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogoutHandler, "tag", "")
    with pytest.raises(Undescribed, match="LogoutHandler has no tag"):
        make_all()


def test_every_example_of_an_event_conforms_to_its_schema() -> None:
    document = chat_document()
    wire = Wire(document)
    examples = [
        (key, each["payload"]) for key, m in document["components"]["messages"].items() for each in m["examples"]
    ]
    assert len(examples) > len(document["components"]["messages"])
    assert [fault for key, payload in examples if (fault := wire.fault(key, payload))] == []


def test_an_unlisted_endpoint_is_in_no_document() -> None:
    class Page(BaseHandler):
        @public
        @unlisted
        async def get(self) -> None:
            pass

    assert openapi_document([("/page", Page)])["paths"] == {}


def test_guard_and_input_add_what_they_raise() -> None:
    @operation(201, MessageResponse, takes=Registration, raises=[RateLimited])
    async def post(self: Any) -> None:
        """Do something."""

    assert {error.__name__ for error in operation_of(public(post)).raises} == {  # type: ignore[union-attr]
        "BodyTooLarge",
        "ShuttingDown",
        "Unforeseen",
        "ForeignPage",
        "BodyNotJson",
        "InvalidInput",
        "RateLimited",
    }
    guarded = {error.__name__ for error in operation_of(authenticated(post)).raises}  # type: ignore[union-attr]
    assert {"MissingToken", "TokenExpired", "TokenRevoked", "RateLimited"} <= guarded


async def test_limits_are_those_of_the_rules(rest: Rest) -> None:
    schemas = (await openapi(rest))["components"]["schemas"]
    name, password = (schemas["Registration"]["properties"][field] for field in ("name", "password"))
    assert (name["minLength"], name["maxLength"]) == (1, MAX_NAME_CHARS)
    assert (password["minLength"], password["maxLength"]) == (PASSWORD_CHARS.start, PASSWORD_CHARS.stop - 1)


async def test_answers_name_their_headers(rest: Rest) -> None:
    responses = (await openapi(rest))["paths"]["/user/password"]["post"]["responses"]
    assert sorted(responses) == ["204", "400", "401", "403", "409", "413", "415", "429", "500", "503"]
    assert "WWW-Authenticate" in responses["401"]["headers"]
    assert "Retry-After" in responses["429"]["headers"]
    assert "Retry-After" in responses["503"]["headers"]
    assert all("Access-Control-Allow-Origin" in response["headers"] for response in responses.values())


async def test_the_document_says_which_operations_need_a_token(rest: Rest) -> None:
    paths = (await openapi(rest))["paths"]
    open_to_all = {path for path, item in paths.items() if "post" in item and item["post"]["security"] == []}
    assert open_to_all == {"/register", "/login", "/user/reset"}


async def test_the_version_is_that_of_the_project(rest: Rest) -> None:
    assert (await openapi(rest))["info"]["version"] == chat_document()["info"]["version"] == chatio.__version__


def test_the_chat_without_presence_has_no_such_events() -> None:
    document = asyncapi_document(namespace="/chat", message_max_chars=7, has_presence=False)
    assert not [key for key in document["operations"] if "typing" in key or "presence" in key]
    assert document["components"]["schemas"]["Draft"]["properties"]["content"]["maxLength"] == 7


def test_every_event_that_the_chat_emits_or_handles_is_in_the_document() -> None:
    """Read from the code, so that one that no test happens to cause is missed here."""
    emitted: set[str] = set()
    for path in (ROOT / "handlers").rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Attribute) and call.func.attr in ("emit", "send_volatile", "dismiss"):
                texts = [part.value for part in call.args if isinstance(part, ast.Constant)]
                emitted.update(f"on.{text}" for text in texts if isinstance(text, str))
    assert len(emitted) >= 5
    of_the_log = {"on.receive-message", "on.message-edited", "on.message-deleted"}
    assert {*of_the_log, *emitted, *(event.key for event in FROM_CLIENT)} == set(chat_document()["operations"])


@pytest.mark.parametrize(
    ("key", "arguments"),
    [
        ("on.receive-message", [{"content": "without the rest"}, "0" * 14 + "-" + "0" * 10]),
        ("on.typing", [{"id": "7", "name": "Ann", "email": "told@nobody.test"}]),
        ("on.session-ended", [{"reason": "no such reason"}]),
        ("on.session-ended", [{"reason": "expired"}, "an argument too many"]),
        ("on.session-ended", []),
        ("on.message-rejected", [{"ok": False, "error": {"code": "token_expired", "message": "-"}, "id": None}]),
        ("on.news", []),
        ("emit.send-message", [{"content": " "}]),
    ],
)
def test_the_document_leaves_no_room_for(key: str, arguments: list[Any]) -> None:
    assert Wire(chat_document()).fault(key, arguments) is not None


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/openapi.json", "application/json; charset=utf-8"),
        ("/asyncapi.json", "application/json; charset=utf-8"),
        ("/docs/chat", "text/html; charset=utf-8"),
        ("/docs/chat/", "text/html; charset=utf-8"),
    ],
)
async def test_documents_are_served_as_what_they_are(rest: Rest, path: str, content_type: str) -> None:
    answer = await rest.call("GET", path)
    assert (answer.status, answer.header("content-type")) == (200, content_type)
    assert answer.header("content-security-policy") == READING_POLICY
    head = await rest.call("HEAD", path)
    assert (head.status, head.header("content-length")) == (200, str(len(answer.body)))


@pytest.fixture
def swagger(tmp_path: Path) -> Path:
    """Where npm puts Swagger UI for a page in `tmp_path`."""
    folder = tmp_path / VIEWER
    folder.mkdir(parents=True)
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        (folder / name).write_text(name)
    return folder


def test_the_viewer_has_all_that_it_names_and_a_strict_policy(swagger: Path, tmp_path: Path) -> None:
    files = read_viewer(tmp_path)
    named = set(re.findall(r'(?:href|src)="(/docs/[^"]+)"', files["/docs"].plain.decode()))
    assert named - {"/docs/chat"} == files.keys() - {"/docs"}
    assert all(file.policy == VIEWER_POLICY and file.status == 200 for file in files.values())
    assert "unsafe" not in VIEWER_POLICY
    assert not re.search(r"<style| style=| on[a-z]+=|<script(?! src)", files["/docs"].plain.decode())


def test_without_swagger_ui_docs_says_what_is_missing(swagger: Path, tmp_path: Path) -> None:
    (swagger / "swagger-ui-bundle.js").unlink()
    index = read_viewer(tmp_path)["/docs"]
    assert (index.status, index.plain.decode()[:39]) == (503, "The page is missing swagger-ui-dist. In")


async def test_the_page_of_the_chat_shows_every_event_and_shape(rest: Rest) -> None:
    page = html.unescape((await rest.call("GET", "/docs/chat")).body.decode())
    document = chat_document()
    for message in document["components"]["messages"].values():
        assert message["name"] in page
        assert all(msgspec.json.format(json.dumps(part)) in page for part in message["examples"][0]["payload"])
    assert set(re.findall(r'<article id="([A-Z]\w+)"', page)) == set(document["components"]["schemas"])


async def test_every_link_of_the_page_leads_somewhere_and_nothing_in_it_runs(rest: Rest) -> None:
    page = (await rest.call("GET", "/docs/chat")).body.decode()
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(re.findall(r' id="([^"]*)"', page))
    assert not re.search(r"<script|<style| style=| on[a-z]+=", page)


def test_text_of_a_document_is_no_markup_in_the_page() -> None:
    chat = chat_document()
    chat["info"]["description"] = "<b>&"
    page = make_documents([], chat)["/docs/chat"].plain
    assert b"&lt;b&gt;&amp;" in page
