"""A server with PostgreSQL: it goes on after kill -9 of itself, and after that of its database."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import PostgresServer, postgres
from tests.system.durable import DurableServer
from tests.system.js import JsClients
from tests.system.server import await_until
from tests.system.test_durable import QUICKLY, acked, bearer, contents, main_py, say, users_of


@pytest.fixture
def database() -> PostgresServer:
    return postgres()


@pytest.fixture
def server(database: PostgresServer) -> Iterator[DurableServer]:
    with DurableServer(database.new_database()) as running:
        yield running


def test_accounts_messages_and_ended_tokens_outlive_kill_9(server: DurableServer, js: JsClients) -> None:
    ann, bob = server.process.sign_up("ann"), server.process.sign_up("bob")
    js.join("ann", server.url, ann, **QUICKLY)
    say(js, "ann", "one")
    assert server.process.request("POST", "/logout", headers=bearer(bob)).status == 204
    server.kill_and_start()
    js.expect("ann", "disconnect")
    assert js.expect("ann", "connect")[0][2] is True
    assert server.process.request("GET", "/user", headers=bearer(bob)).status == 401
    say(js, "ann", "two")
    assert contents(js.expect("ann", "receive-message", 2)) == ["one", "two"]


def test_while_the_database_is_gone_clients_stay_and_all_goes_on_when_it_is_back(
    server: DurableServer, database: PostgresServer, js: JsClients
) -> None:
    ann = server.process.sign_up("ann")
    js.join("ann", server.url, ann, transports=["websocket"])
    say(js, "ann", "before")
    database.kill()
    await_until(lambda: server.process.request("GET", "/readyz").status == 503, "the server is not ready")
    assert server.process.request("GET", "/readyz").body["reason"] == "store"
    js.emit("ann", "send-message", {"id": str(uuid.uuid4()), "content": "meanwhile"}, ack="refused")
    refusal = acked(js, "ann", "refused")["error"]
    assert refusal["code"] == "store_unavailable"
    assert refusal["retry_after_seconds"] > 0
    answer = server.process.request("GET", "/user", headers=bearer(ann))
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    js.join("new page", server.url, ann, transports=["websocket"])
    assert contents(js.expect("new page", "receive-message")) == ["before"]
    database.start()
    await_until(lambda: server.process.request("GET", "/readyz").status == 200, "the server is ready")
    say(js, "ann", "after")
    assert contents(js.expect("new page", "receive-message")) == ["after"]
    assert server.process.request("GET", "/user", headers=bearer(ann)).status == 200
    assert js.kept("ann", "disconnect") == []


def test_a_token_whose_end_cannot_be_kept_is_not_ended_and_neither_is_what_it_goes_with(
    server: DurableServer, database: PostgresServer
) -> None:
    ann, bob, eve = (server.process.sign_up(name) for name in ("ann", "bob", "eve"))
    passwords = {"old_password": "bob's password", "new_password": "another password"}
    calls: list[tuple[str, str, dict[str, str], str]] = [
        ("POST", "/logout", {}, ann),
        ("POST", "/user/password", passwords, bob),
        ("DELETE", "/user", {"password": "eve's password"}, eve),
    ]
    database.sql(server.database, "ALTER TABLE chatio.revocations RENAME TO away")
    for method, path, body, token in calls:
        assert server.process.request(method, path, body, bearer(token)).status == 503
        assert server.process.request("GET", "/user", headers=bearer(token)).status == 200
    bobs = {"email": "bob@chat.test", "password": "bob's password"}
    assert server.process.request("POST", "/login", bobs).status == 200
    database.sql(server.database, "ALTER TABLE chatio.away RENAME TO revocations")
    for method, path, body, token in calls:
        assert server.process.request(method, path, body, bearer(token)).status == 204
    server.kill_and_start()
    for _, _, _, token in calls:
        assert server.process.request("GET", "/user", headers=bearer(token)).status == 401
    assert server.process.request("POST", "/login", bobs).status == 404  # the old password is wrong


def test_a_wrong_password_of_the_database_is_a_sentence_without_it(database: PostgresServer) -> None:
    url = database.new_database().replace("chatio@", "stranger:hunter2@")
    server = DurableServer(url)
    with pytest.raises(AssertionError, match="the server ended with 2") as caught:
        server.process.__enter__()
    server.process.__exit__(None, None, None)
    assert "DATABASE_URL: the database refuses: role" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_sqlite_database_moves_to_postgresql_and_clients_go_on_where_they_are(
    database: PostgresServer, js: JsClients, tmp_path: Path
) -> None:
    file, url = tmp_path / "chat.db", database.new_database()
    with DurableServer(f"sqlite:///{file}") as server:
        ann, bob = server.process.sign_up("ann"), server.process.sign_up("bob")
        assert server.process.request("POST", "/logout", headers=bearer(bob)).status == 204
        js.join("ann", server.url, ann, transports=["websocket"], **QUICKLY)
        say(js, "ann", "one", "two")
        js.emit("ann", "send-message", {"id": "mine", "content": "three"}, ack="first")
        first = acked(js, "ann", "first")
        js.expect("ann", "receive-message", 3)
        code, _, err = main_py(file, "migrate-to", url)
        assert (code, "another server uses this database" in err) == (2, True)
        server.kill()
        counts = "3 messages, 0 changes, 2 users, 1 revocations, 0 acts, 0 login_counts, 0 sanctions"
        done = f"Copied {counts}. Now set DATABASE_URL, and start the server\n"
        assert main_py(file, "migrate-to", url) == (0, done, "")
        code, _, err = main_py(file, "migrate-to", url)
        assert (code, "has messages or users already" in err) == (2, True)
        server.start(DATABASE_URL=url)
        js.expect("ann", "disconnect")
        assert js.expect("ann", "connect")[0][2] is True
        js.emit("ann", "send-message", {"id": "mine", "content": "three"}, ack="again")
        assert acked(js, "ann", "again") == first
        say(js, "ann", "four")
        assert contents(js.expect("ann", "receive-message")) == ["four"]
        assert server.process.request("GET", "/user", headers=bearer(bob)).status == 401
        assert server.process.sign_up("eve")
    assert users_of(file) == ["ann", "bob"]


@pytest.mark.parametrize("url", ["sqlite:///other.db", "", "postgresql://chatio:hunter2@127.0.0.1:1/none"])
def test_nothing_moves_to_a_database_that_cannot_be_used(tmp_path: Path, url: str) -> None:
    with DurableServer(f"sqlite:///{tmp_path}/chat.db") as server:
        server.process.sign_up("ann")
    code, _, err = main_py(tmp_path / "chat.db", "migrate-to", url)
    assert (code, err.startswith("DATABASE_URL: "), len(err.splitlines())) == (2, True, 1)
    assert "hunter2" not in err
