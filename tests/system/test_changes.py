"""Edits and deletions: clients that are cut, or away during a restart, end with the view of those that stayed."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import postgres
from tests.system.durable import DurableServer
from tests.system.js import JsClients, Told
from tests.system.test_durable import QUICKLY, bearer, main_py

READERS: dict[str, Any] = {
    "eve": {"version": "4.8", "transports": ["websocket"]},
    "joe": {"version": "4.7", "transports": ["polling"]},
    "may": {"version": "4.8", "transports": ["polling", "websocket"]},
}
KINDS = ["post"] * 4 + ["edit"] * 4 + ["cut"] * 2 + ["delete"]
SETTINGS = {
    "HISTORY_ON_CONNECT": "1000",
    "RATE_LIMITS": "off",
    "PING_INTERVAL_SECONDS": "0.5",
    "PING_TIMEOUT_SECONDS": "0.5",  # a client whose poll was cut finds out
}


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return ""
    return f"sqlite:///{tmp_path}/chat.db" if request.param == "sqlite" else postgres().new_database()


@pytest.fixture
def server(url: str) -> Iterator[DurableServer]:
    with DurableServer(url, **SETTINGS) as running:
        yield running


class View:
    """The messages that a client shows, by their ids."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def take(self, told: Told) -> None:
        if told.event == "message-deleted":
            self.texts.pop(told.args[0]["id"], None)
        elif told.event == "receive-message" or (
            told.event == "message-edited" and told.args[0]["id"] in self.texts
        ):
            self.texts[told.args[0]["id"]] = told.args[0]["content"]


def view_of(js: JsClients, client: str) -> list[tuple[str, str]]:
    """What `client` shows after all that it was sent: an ack goes behind it."""
    js.emit(client, "typing", ack="last")
    view = View()
    for told in js.story(client, "ack:last"):
        view.take(told)
    return list(view.texts.items())


def history(server: DurableServer, token: str) -> list[tuple[str, str]]:
    found: list[dict[str, Any]] = []
    before: str | None = ""
    while before is not None:
        path = "/messages?limit=7" + (f"&before={before}" if before else "")
        page = server.process.request("GET", path, headers=bearer(token)).body
        found[:0] = page["messages"]
        before = page["before"]
    return [(message["id"], message["content"]) for message in found]


def test_every_client_has_the_same_view(server: DurableServer, js: JsClients, url: str) -> None:
    chance = random.Random(20261126)
    tokens = {name: server.process.sign_up(name) for name in ("ann", *READERS)}
    js.join("ann", server.url, tokens["ann"], transports=["websocket"], **QUICKLY)
    for name, options in READERS.items():
        js.join(name, server.url, tokens[name], **options, **QUICKLY)
    truth: dict[str, str] = {}
    for step in range(60):
        kind = chance.choice(KINDS) if step > 5 else "post"
        if kind == "cut":
            js.cut(chance.choice(list(READERS)))
        elif kind == "post":
            truth[f"m{step}"] = f"text {step}"
            assert js.ask("ann", "send-message", {"id": f"m{step}", "content": f"text {step}"})["ok"]
        elif truth:
            id_ = chance.choice(list(truth))
            if kind == "edit":
                truth[id_] = f"text {step}"
                assert js.ask("ann", "edit-message", {"id": id_, "content": f"text {step}"})["ok"]
            else:
                del truth[id_]
                assert js.ask("ann", "delete-message", {"id": id_})["ok"]
        if step in (20, 40) and url:
            server.kill_and_start()
            js.expect("ann", "disconnect")
            js.expect("ann", "connect")
    expected = list(truth.items())
    assert len(expected) > 5
    assert {name: view_of(js, name) for name in ("ann", *READERS)} == dict.fromkeys(("ann", *READERS), expected)
    js.join("late", server.url, tokens["eve"], transports=["websocket"])
    js.emit("late", "typing", ack="last")
    told = js.story("late", "ack:last")
    page_that_knows_no_change = [
        (each.args[0]["id"], each.args[0]["content"]) for each in told if each.event == "receive-message"
    ]
    assert page_that_knows_no_change == expected
    assert history(server, tokens["ann"]) == expected


def test_a_text_that_was_deleted_is_nowhere(
    server: DurableServer, js: JsClients, url: str, tmp_path: Path
) -> None:
    ann = server.process.sign_up("ann")
    js.join("ann", server.url, ann, transports=["websocket"])
    for id_ in "abc":
        assert js.ask("ann", "send-message", {"id": id_, "content": f"SECRET {id_}"})["ok"]
    assert js.ask("ann", "edit-message", {"id": "a", "content": "SECRET edit"})["ok"]
    for id_ in "ab":
        assert js.ask("ann", "delete-message", {"id": id_})["ok"]
    if url.startswith("sqlite"):
        file = tmp_path / "chat.db"
        kept = file.read_bytes() + Path(f"{file}-wal").read_bytes()
        assert [text for text in (b"SECRET a", b"SECRET b", b"SECRET edit") if text in kept] == []
        assert b"SECRET c" in kept
    elif url:
        tables = "SELECT content FROM chatio.messages UNION ALL SELECT coalesce(content, '') FROM chatio.changes"
        assert sorted(postgres().sql(server.database, tables).split()) == ["SECRET", "c"]
    with_text = [content for _, content in history(server, ann) if "SECRET" in content]
    assert with_text == ["SECRET c"]
    if url.startswith("sqlite"):
        target = postgres().new_database()
        server.kill()
        code, out, _ = main_py(tmp_path / "chat.db", "migrate-to", target)
        assert (code, "3 messages, 3 changes, 1 users" in out) == (0, True)
        server.start(DATABASE_URL=target)
        assert history(server, ann) == [("c", "SECRET c")]
        js.expect("ann", "connect")
        assert js.ask("ann", "delete-message", {"id": "a"})["error"]["code"] == "message_deleted"
