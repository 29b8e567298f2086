"""A room that stays civil: moderators, members who mean harm, and the operator, on every store.

Official clients against `python main.py`. A page of the original, client 4.7, is there all the time.
"""

import itertools
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chatio.server import admin_socket
from chatio.server.admin_socket import ServerSilent
from tests.postgres import postgres
from tests.system.js import JsClients
from tests.system.operator import operate, promote
from tests.system.server import REAL_COMMAND, Reply, ServerProcess, await_until
from tests.system.test_chat import page_message, transports
from tests.system.test_sessions import assert_ended, bearer

NUMBERS = itertools.count()


class Person(NamedTuple):
    name: str
    id: str
    token: str

    @property
    def email(self) -> str:
        return f"{self.name}@chat.test"

    @property
    def password(self) -> str:
        return f"{self.name}'s password"


class Room(NamedTuple):
    server: ServerProcess
    settings: dict[str, str]

    def person(self, role: str = "member") -> Person:
        """A new user, to whom the operator gives the role after the login."""
        name = f"person{next(NUMBERS)}x"
        token = self.server.sign_up(name)
        if role != "member":
            promote(self.settings, name, role)
        return Person(name, self.get(token, "/user").body["id"], token)

    def get(self, token: str, path: str) -> Reply:
        return self.server.request("GET", path, headers=bearer(token))

    def act(self, actor: Person, act: str, target: Person, **fields: Any) -> Reply:
        body = {"user_id": target.id, "reason": "spam", **fields}
        return self.server.request("POST", f"/moderation/{act}", body, bearer(actor.token))

    def log_in(self, person: Person, password: str = "") -> Reply:
        body = {"email": person.email, "password": password or person.password}
        return self.server.request("POST", "/login", body)


def settings_of(store: str, folder: Path) -> dict[str, str]:
    store_settings = {
        "memory": lambda: {"ADMIN_SOCKET": f"{folder}/admin"},
        "sqlite": lambda: {"DATABASE_URL": f"sqlite:///{folder}/chat.db"},
        "postgres": lambda: {"DATABASE_URL": postgres().new_database()},
    }[store]()
    return {"HISTORY_ON_CONNECT": "0", **store_settings}


def serving(settings: dict[str, str]) -> ServerProcess:
    return ServerProcess(command=(), listener=None, output=None, **settings)


@pytest.fixture(scope="module", params=["memory", "sqlite", "postgres"])
def room(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """One server for all tests, which have users of their own."""
    settings = settings_of(request.param, tmp_path_factory.mktemp("civil"))
    with serving(settings) as server:
        yield Room(server, settings)


@pytest.fixture
def page(room: Room, js: JsClients) -> Iterator[Person]:
    """A page of the original, which hears all that is said, and nothing that it does not know."""
    reader = room.person()
    js.join("page", room.server.url, reader.token, version="4.7")
    yield reader
    assert js.kept("page", "disconnect") == []
    assert js.kept("page", "session-ended") == []


def say(js: JsClients, client: str, text: str) -> Any:
    return js.ask(client, "send-message", page_message(text))


@transports
def test_a_ban_ends_every_socket_at_once_and_says_until_when(
    room: Room, js: JsClients, page: Person, transports: list[str]
) -> None:
    moderator, eve = room.person("moderator"), room.person()
    for name in ("eve", "second"):
        js.join(name, room.server.url, eve.token, transports=transports)
    answer = room.act(moderator, "ban", eve, seconds=3600)
    assert answer.status == 200
    until = answer.body["banned_until"]
    for name in ("eve", "second"):
        story = [(told.event, told.args) for told in js.story(name, "disconnect")]
        assert ("session-ended", [{"reason": "banned", "until": until}]) in story
        assert story[-1] == ("disconnect", ["io server disconnect"])
    assert room.log_in(eve).body == {"message": "This account is banned.", "code": "banned", "until": until}
    assert room.get(eve.token, "/user").status == 401
    js.open("again", room.server.url, eve.token, transports=transports)
    assert js.expect("again", "connect_error") == [["jwt revoked", {"code": "token_revoked"}]]
    assert room.act(moderator, "lift", eve, sanction="ban").status == 200
    js.join("back", room.server.url, room.log_in(eve).body["token"], transports=transports)
    assert say(js, "back", "back")["ok"] is True
    assert js.expect("page", "receive-message")[0][0]["content"] == "back"


def test_a_muted_member_reads_and_is_told_until_when_by_every_way_of_writing(
    room: Room, js: JsClients, page: Person
) -> None:
    moderator, eve = room.person("moderator"), room.person()
    js.join("eve", room.server.url, eve.token)
    js.join("polling", room.server.url, eve.token, transports=["polling"])
    js.join("moderator", room.server.url, moderator.token)
    first = page_message("before")
    accepted = js.ask("eve", "send-message", first)
    assert accepted["ok"] is True
    until = room.act(moderator, "mute", eve, seconds=3600).body["muted_until"]
    for name in ("eve", "polling"):
        refused = say(js, name, "muted")
        assert refused["error"]["code"] == "muted"
        assert refused["error"]["until"] == until
    js.join("third", room.server.url, room.log_in(eve).body["token"])  # a later login changes nothing
    assert say(js, "third", "muted")["error"]["code"] == "muted"
    js.emit("eve", "send-message", page_message("without an ack"))
    assert js.expect("eve", "message-rejected")[0][0]["error"]["until"] == until
    assert js.ask("eve", "send-message", first) == accepted  # the same message as before: it is in the log
    js.emit("eve", "typing")
    assert say(js, "moderator", "still here")["ok"] is True
    for name, count in (("eve", 2), ("polling", 2), ("third", 1), ("page", 2)):
        *_, last = js.expect(name, "receive-message", count)
        assert last[0]["content"] == "still here"
    assert room.act(moderator, "lift", eve, sanction="mute").status == 200
    assert say(js, "eve", "after")["ok"] is True
    said = [message["content"] for message, _ in js.expect("page", "receive-message")]
    assert said == ["after"]
    assert js.kept("page", "typing") == []


def test_a_mute_ends_by_itself(room: Room, js: JsClients, page: Person) -> None:
    moderator, eve = room.person("moderator"), room.person()
    js.join("eve", room.server.url, eve.token)
    assert room.act(moderator, "mute", eve, seconds=1).status == 200
    await_until(lambda: say(js, "eve", "again")["ok"], "the mute has ended")
    assert js.expect("page", "receive-message")[0][0]["content"] == "again"


def test_a_kick_ends_the_sockets_and_the_user_may_come_back(room: Room, js: JsClients, page: Person) -> None:
    moderator, eve = room.person("moderator"), room.person()
    js.join("eve", room.server.url, eve.token)
    assert room.act(moderator, "kick", eve).status == 200
    assert_ended(js, "eve", "kicked")
    js.join("back", room.server.url, room.log_in(eve).body["token"])
    assert say(js, "back", "back")["ok"] is True


def test_no_message_of_a_banned_user_follows_the_answer_to_the_ban(
    room: Room, js: JsClients, page: Person
) -> None:
    """A member sends on five sockets, and opens new ones, while the ban is under way."""
    moderator, eve = room.person("moderator"), room.person()
    names = [f"eve{number}" for number in range(5)]
    for name in names:
        js.join(name, room.server.url, eve.token)
    done = threading.Event()

    def ban() -> None:
        assert room.act(moderator, "ban", eve, seconds=None).status == 200
        done.set()

    thread = threading.Thread(target=ban)
    for number in range(100):
        for name in names:
            js.emit(name, "send-message", page_message(f"{name} {number}"), ack=name)
        js.open(f"late{number}", room.server.url, eve.token)
        if number == 5:
            thread.start()
        if number > 5 and done.is_set():
            break
    thread.join()
    marker = say_until_heard(room, js, moderator)
    for late in range(number + 1):
        joined = js.kept(f"late{late}", "connect")
        assert joined == [] or js.expect(f"late{late}", "session-ended")
    for name in names:
        js.expect(name, "session-ended")
    heard = [message["content"] for message, _ in js.kept("page", "receive-message")]
    after = heard[heard.index(marker) + 1 :]
    assert after == []
    js.open("again", room.server.url, eve.token)
    assert js.expect("again", "connect_error")[0][1] == {"code": "token_revoked"}


def say_until_heard(room: Room, js: JsClients, moderator: Person) -> str:
    """A message said after the ban, which the page has heard: all messages before it are there too."""
    js.join("marker", room.server.url, moderator.token)
    text = f"after the ban {next(NUMBERS)}"
    assert say(js, "marker", text)["ok"] is True
    await_until(
        lambda: text in [message["content"] for message, _ in js.kept("page", "receive-message")], "the marker"
    )
    return text


def test_the_operator_bans_beside_the_server(room: Room, js: JsClients, page: Person) -> None:
    eve = room.person()
    js.join("eve", room.server.url, eve.token)
    outcome = operate(room.settings, "ban", eve.email, reason="by the operator")
    assert outcome.rows[0]["banned_until"] == "never"
    story = [(told.event, told.args) for told in js.story("eve", "disconnect")]
    assert ("session-ended", [{"reason": "banned", "until": None}]) in story
    assert room.log_in(eve).status == 403
    assert operate(room.settings, "unban", eve.email).code == 0
    assert room.log_in(eve).status == 200


def test_the_operator_mutes_beside_the_server(room: Room, js: JsClients, page: Person) -> None:
    eve = room.person()
    js.join("eve", room.server.url, eve.token)
    outcome = operate(room.settings, "mute", eve.email, seconds=3600, reason="by the operator")
    await_until(lambda: not say(js, "eve", "again")["ok"], "the mute has begun")  # PostgreSQL: within a second
    refused = say(js, "eve", "muted")["error"]
    assert (refused["code"], outcome.code) == ("muted", 0)
    assert refused["until"] == outcome.rows[0]["muted_until"]
    assert operate(room.settings, "unmute", eve.email).rows[0]["muted_until"] is None
    await_until(lambda: say(js, "eve", "again")["ok"], "the mute has ended")
    assert operate(room.settings, "mute", eve.email, reason="without an end").code == 4


def test_the_operator_is_not_kept_by_a_server_that_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP: the kernel still takes the connection. A command that was not sent is not run later either."""
    settings = settings_of("sqlite", tmp_path)
    with serving(settings) as server:
        server.sign_up("ann")
        server.process.send_signal(signal.SIGSTOP)
        try:
            with monkeypatch.context() as impatient:
                impatient.setattr(admin_socket, "SILENT_SECONDS", 0.5)
                with pytest.raises(ServerSilent) as silent:
                    operate(settings, "delete", "ann@chat.test")
            for command in (["check"], ["backup", str(tmp_path / "copy.db")]):
                done = subprocess.run(
                    [*REAL_COMMAND, *command], env=settings, capture_output=True, timeout=60, check=False
                )
                assert (done.returncode, done.stderr) == (0, b"")
        finally:
            server.process.send_signal(signal.SIGCONT)
        assert not silent.value.was_asked
        assert operate(settings, "show", "ann@chat.test").code == 0


def test_the_operator_deletes_an_account_beside_the_server(room: Room, js: JsClients, page: Person) -> None:
    eve = room.person()
    js.join("eve", room.server.url, eve.token)
    assert operate(room.settings, "delete", eve.email).code == 0
    assert_ended(js, "eve", "account_deleted")
    assert room.log_in(eve).status == 404
    assert operate(room.settings, "show", eve.email).code == 3


def test_a_code_of_the_operator_sets_a_new_password_once_and_ends_every_session(
    room: Room, js: JsClients, page: Person
) -> None:
    ann = room.person()
    js.join("ann", room.server.url, ann.token)
    code = operate(room.settings, "reset-password", ann.email).rows[0]["code"]
    body = {"email": ann.email, "code": code, "new_password": "another password"}
    wrong = room.server.request("POST", "/user/reset", body | {"code": f"{code[:-1]}*"})
    assert (wrong.status, wrong.body) == (
        403,
        {"message": "This code is wrong, used or over.", "code": "reset_code_invalid"},
    )
    assert room.log_in(ann).status == 200
    assert room.server.request("POST", "/user/reset", body).status == 204
    assert_ended(js, "ann", "password_changed")
    assert room.server.request("POST", "/user/reset", body).body == wrong.body
    assert room.log_in(ann).status == 404
    assert room.log_in(ann, "another password").status == 200


def test_a_user_downloads_all_that_is_kept_of_them_and_nothing_of_others(
    room: Room, js: JsClients, page: Person
) -> None:
    moderator, ann = room.person("moderator"), room.person()
    js.join("ann", room.server.url, ann.token)
    js.join("moderator", room.server.url, moderator.token)
    for number in range(3):
        assert say(js, "ann", f"mine {number} 😀")["ok"] is True
        assert say(js, "moderator", f"not mine {number}")["ok"] is True
    room.act(moderator, "mute", ann, seconds=60)
    data = room.get(ann.token, "/user/export").body
    assert data["user"] == {
        "id": ann.id,
        "name": ann.name,
        "email": ann.email,
        "role": "member",
        "banned_until": None,
        "muted_until": data["audit"][0]["until"],
    }
    assert data["addresses"] == []  # without rate limits no address is remembered
    assert [message["content"] for message in data["messages"]] == [f"mine {n} 😀" for n in range(3)]
    assert {message["author_id"] for message in data["messages"]} == {ann.id}
    assert [(act["action"], act["actor_name"]) for act in data["audit"]] == [("mute", moderator.name)]
    assert room.get(moderator.token, "/user/export").body["audit"][-1] == data["audit"][0]
    outcome = operate(room.settings, "export", ann.email)
    assert outcome.code == 0
    assert '"mine 2' in outcome.text


def test_a_moderator_deletes_any_message_for_good(room: Room, js: JsClients, page: Person) -> None:
    owner, moderator, eve = room.person("owner"), room.person("moderator"), room.person()
    for person in (owner, eve):
        js.join(person.name, room.server.url, person.token)
    ids = [say(js, person.name, "to be deleted")["id"] for person in (owner, eve)]
    js.expect("page", "receive-message", 2)
    body = {"message_id": ids[1], "reason": "spam"}
    for actor, status in ((eve, 403), (moderator, 204), (moderator, 410)):
        answer = room.server.request("POST", "/moderation/delete", body, bearer(actor.token))
        assert answer.status == status
    body["message_id"] = ids[0]
    assert room.server.request("POST", "/moderation/delete", body, bearer(moderator.token)).status == 204
    deleted = [event["id"] for event, _ in js.expect("page", "message-deleted", 2)]
    assert deleted == ids[::-1]
    listed = room.get(eve.token, "/messages?limit=100").body["messages"]
    assert not {message["id"] for message in listed} & set(ids)
    acts = room.get(owner.token, "/audit?limit=2").body["acts"]
    assert [(act["action"], act["user_id"], act["detail"]) for act in acts] == [
        ("delete_message", owner.id, ids[0]),
        ("delete_message", eve.id, ids[1]),
    ]


@pytest.mark.parametrize(("query", "body"), [("?messages=delete", {}), ("", {"messages": "delete"})])
def test_a_user_leaves_and_takes_the_messages_along(
    room: Room, js: JsClients, page: Person, query: str, body: dict[str, str]
) -> None:
    eve, tom = room.person(), room.person()
    for person in (eve, tom):
        js.join(person.name, room.server.url, person.token)
    ids = [say(js, eve.name, f"mine {number}")["id"] for number in range(3)]
    kept = say(js, tom.name, "not hers")["id"]
    confirmation = {"password": eve.password, **body}
    assert room.server.request("DELETE", f"/user{query}", confirmation, bearer(eve.token)).status == 204
    assert_ended(js, eve.name, "account_deleted")
    assert {event["id"] for event, _ in js.expect("page", "message-deleted", 3)} == set(ids)
    listed = {message["id"] for message in room.get(tom.token, "/messages?limit=100").body["messages"]}
    assert listed & {kept, *ids} == {kept}
    assert room.log_in(eve).status == 404


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_what_was_done_outlives_a_restart(store: str, tmp_path: Path, js: JsClients) -> None:
    settings = settings_of(store, tmp_path)
    with serving(settings) as server:
        room = Room(server, settings)
        owner, moderator = room.person("owner"), room.person("moderator")
        banned, muted = room.person(), room.person()
        room.act(moderator, "ban", banned, seconds=3600)
        room.act(moderator, "mute", muted, seconds=3600)
        before = room.get(owner.token, "/audit").body
    with serving(settings) as server:
        room = Room(server, settings)
        assert room.log_in(banned).status == 403
        js.open("banned", server.url, banned.token)
        assert js.expect("banned", "connect_error") == [["jwt revoked", {"code": "token_revoked"}]]
        js.join("muted", server.url, muted.token)
        assert say(js, "muted", "hello")["error"]["code"] == "muted"
        assert room.get(owner.token, "/audit").body == before
        assert room.get(moderator.token, "/audit").status == 403


def test_of_two_servers_on_one_database_the_other_ends_sockets_within_a_second(js: JsClients) -> None:
    settings = settings_of("postgres", Path())
    with (
        serving(settings) as one,
        serving(settings) as other,
    ):
        here, there = Room(one, settings), Room(other, settings)
        moderator, eve, tom = here.person("moderator"), here.person(), here.person()
        js.join("eve", there.server.url, eve.token)
        js.join("tom", there.server.url, tom.token)
        began = time.monotonic()
        until = here.act(moderator, "ban", eve, seconds=3600).body["banned_until"]
        here.act(moderator, "mute", tom, seconds=3600)
        story = [(told.event, told.args) for told in js.story("eve", "disconnect")]
        assert ("session-ended", [{"reason": "banned", "until": until}]) in story
        assert time.monotonic() - began < 10
        assert there.log_in(eve).status == 403
        await_until(lambda: not say(js, "tom", "muted?")["ok"], "the other server knows of the mute")


def test_where_registration_is_closed_the_operator_makes_the_accounts(tmp_path: Path) -> None:
    settings = {"ADMIN_SOCKET": str(tmp_path / "admin"), "REGISTRATION": "closed"}
    with serving(settings) as server:
        body = {"name": "Eve", "email": "eve@chat.test", "password": "eve's password"}
        refused = server.request("POST", "/register", body)
        assert refused.status == 403
        outcome = operate(settings, "add", "eve@chat.test", display_name="Eve", password="eve's password")
        assert (outcome.code, outcome.rows[0]["name"]) == (0, "Eve")
        assert server.request("POST", "/login", {"email": "eve@chat.test", "password": "eve's password"}).body
        assert operate(settings, "add", "eve@chat.test", display_name="Eve2").code == 4
