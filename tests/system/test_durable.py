"""A server with SQLite: what it acknowledged is there after kill -9, and clients go on where they were."""

import contextlib
import os
import resource
import sqlite3
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.protocol import token
from tests.system.durable import DurableServer
from tests.system.fork_server import ForkedProcess
from tests.system.js import JsClients
from tests.system.proxy import CuttingProxy
from tests.system.server import BARE_ENVIRON, SECRET, await_until
from tests.system.test_chat import transports

QUICKLY: dict[str, Any] = {"reconnectionDelay": 50, "reconnectionDelayMax": 200}


def contents(received: list[list[Any]]) -> list[str]:
    return [args[0]["content"] for args in received]


def say(js: JsClients, name: str, *texts: str) -> None:
    """Send messages, and wait for their acks."""
    for text in texts:
        js.emit(name, "send-message", {"id": str(uuid.uuid4()), "content": text}, ack=text)
    for text in texts:
        assert acked(js, name, text)["ok"]


def acked(js: JsClients, name: str, ack: str) -> dict[str, Any]:
    """The ack of this name."""
    ((answer,),) = js.expect(name, f"ack:{ack}")
    return dict(answer)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "chat.db"


@pytest.fixture
def server(database: Path) -> Iterator[DurableServer]:
    with DurableServer(f"sqlite:///{database}") as running:
        yield running


def test_accounts_passwords_and_logins_outlive_kill_9(server: DurableServer) -> None:
    ann = server.process.sign_up("ann")
    server.kill_and_start()
    assert server.process.request("GET", "/user", headers=bearer(ann)).body["name"] == "ann"
    credentials = {"email": "ann@chat.test", "password": "ann's password"}
    assert server.process.request("POST", "/register", {"name": "ann", **credentials}).status == 409
    assert server.process.request("POST", "/login", credentials).status == 200


def test_a_token_that_was_ended_stays_ended_after_kill_9(server: DurableServer) -> None:
    ann, bob, eve = (server.process.sign_up(name) for name in ("ann", "bob", "eve"))
    assert server.process.request("POST", "/logout", headers=bearer(ann)).status == 204
    passwords = {"old_password": "bob's password", "new_password": "another password"}
    assert server.process.request("POST", "/user/password", passwords, bearer(bob)).status == 204
    gone = server.process.request("DELETE", "/user", {"password": "eve's password"}, bearer(eve))
    assert gone.status == 204
    server.kill_and_start()
    for ended in (ann, bob, eve):
        assert server.process.request("GET", "/user", headers=bearer(ended)).status == 401
    for name, password, status in [("ann", "ann's password", 200), ("bob", "another password", 200)]:
        credentials = {"email": f"{name}@chat.test", "password": password}
        assert server.process.request("POST", "/login", credentials).status == status


def test_a_token_of_an_account_that_does_not_exist_is_refused_at_the_socket(
    server: DurableServer, js: JsClients
) -> None:
    js.open("stranger", server.url, token(SECRET, "stranger"))
    (refusal,) = js.expect("stranger", "connect_error")
    assert refusal[:2] == ["jwt revoked", {"code": "token_revoked"}]
    js.join("ann", server.url, server.process.sign_up("ann"))


def test_a_restart_is_no_reset_button_for_guessing(database: Path) -> None:
    limits = {"RATE_LIMITS": "on", "LOGIN_FAILURES_PER_ACCOUNT": "2"}
    with DurableServer(f"sqlite:///{database}", **limits) as server:
        server.process.sign_up("ann")
        guess = {"email": "eve@chat.test", "password": "a wrong password"}
        statuses = [server.process.request("POST", "/login", guess).status for _ in range(2)]
        server.restart()
        statuses.append(server.process.request("POST", "/login", guess).status)
        assert statuses == [404, 404, 429]
        for _ in range(2):  # the address is known to the account, which has a count of its own for it
            server.process.request("POST", "/login", guess | {"email": "ann@chat.test"})
        assert server.process.request("POST", "/login", guess | {"email": "ann@chat.test"}).status == 429
        credentials = {"email": "ann@chat.test", "password": "ann's password"}
        with contextlib.closing(sqlite3.connect(database)) as connection:
            query = "SELECT count(*) FROM login_counts WHERE value LIKE '[2,%'"  # two failures at two accounts
            await_until(lambda: connection.execute(query).fetchone() == (2,), "the counts are saved")
        server.kill_and_start()
        assert server.process.request("POST", "/login", credentials).status == 429


@transports
def test_a_client_recovers_over_kill_9_and_nothing_is_missing_or_twice(
    server: DurableServer, js: JsClients, transports: list[str]
) -> None:
    ann, bob = server.process.sign_up("ann"), server.process.sign_up("bob")
    for name, auth in (("ann", ann), ("bob", bob)):
        js.join(name, server.url, auth, transports=transports, **QUICKLY)
    say(js, "bob", "one", "two")
    assert contents(js.expect("ann", "receive-message", 2)) == ["one", "two"]
    server.kill_and_start()
    for name in ("ann", "bob"):
        js.expect(name, "disconnect")
        assert js.expect(name, "connect")[0][2] is True  # recovered
    say(js, "bob", "three")
    assert contents(js.expect("ann", "receive-message")) == ["three"]


def test_a_client_that_was_away_recovers_what_was_said_before_and_after_kill_9(
    server: DurableServer, js: JsClients
) -> None:
    ann, bob = server.process.sign_up("ann"), server.process.sign_up("bob")
    with CuttingProxy(server.process.port) as proxy:
        js.join("ann", proxy.url, ann, transports=["websocket"], **QUICKLY)
        js.join("bob", server.url, bob, transports=["websocket"], **QUICKLY)
        say(js, "bob", "one")
        js.expect("ann", "receive-message")
        proxy.cut()
        js.expect("ann", "disconnect")
        say(js, "bob", "two")
        server.kill_and_start()
        js.expect("bob", "disconnect")
        js.expect("bob", "connect")
        say(js, "bob", "three")
        proxy.mend()
        assert js.expect("ann", "connect")[0][2] is True
        assert contents(js.expect("ann", "receive-message", 2)) == ["two", "three"]


def test_a_message_that_is_sent_again_after_kill_9_arrives_once(server: DurableServer, js: JsClients) -> None:
    ann = server.process.sign_up("ann")
    js.join("ann", server.url, ann, **QUICKLY)
    js.emit("ann", "send-message", {"id": "mine", "content": "once"}, ack="first")
    first = acked(js, "ann", "first")
    server.kill_and_start()
    js.expect("ann", "disconnect")
    js.expect("ann", "connect")
    js.emit("ann", "send-message", {"id": "mine", "content": "once"}, ack="again")
    assert acked(js, "ann", "again") == first
    js.emit("ann", "send-message", {"id": "mine", "content": "another text"}, ack="other")
    assert acked(js, "ann", "other")["error"]["code"] == "id_reused"
    page = server.process.request("GET", "/messages", headers=bearer(ann)).body
    assert [message["content"] for message in page["messages"]] == ["once"]


def test_fifty_messages_of_one_client_at_once_all_arrive_in_order(server: DurableServer, js: JsClients) -> None:
    js.join("ann", server.url, server.process.sign_up("ann"), transports=["websocket"])
    texts = [f"message {number}" for number in range(50)]
    say(js, "ann", *texts)
    assert contents(js.expect("ann", "receive-message", 50)) == texts


def test_history_goes_on_behind_the_window_in_memory(database: Path, js: JsClients) -> None:
    with DurableServer(f"sqlite:///{database}", LOG_MAX_MESSAGES="10") as server:
        ann = server.process.sign_up("ann")
        js.join("ann", server.url, ann, transports=["websocket"])
        say(js, "ann", *(f"message {number}" for number in range(1, 31)))
        server.restart()
        read: list[str] = []
        query = "?limit=7"
        while query:
            page = server.process.request("GET", f"/messages{query}", headers=bearer(ann)).body
            read[:0] = [message["content"] for message in page["messages"]]
            query = f"?limit=7&before={page['before']}" if page["before"] else ""
        assert read == [f"message {number}" for number in range(1, 31)]


def test_messages_that_an_operator_deletes_change_no_others_number(
    server: DurableServer, database: Path, js: JsClients
) -> None:
    ann = server.process.sign_up("ann")
    js.join("ann", server.url, ann, transports=["websocket"], **QUICKLY)
    say(js, "ann", *(f"message {number}" for number in range(1, 13)))
    js.expect("ann", "receive-message", 12)
    server.kill()
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM messages WHERE number IN (3, 5, 6, 7, 10, 12)")
    server.start()
    js.expect("ann", "disconnect")
    assert js.expect("ann", "connect")[0][2] is True
    say(js, "ann", "new", "newer")
    assert contents(js.expect("ann", "receive-message", 2)) == ["new", "newer"]
    kept = [f"message {number}" for number in (1, 2, 4, 8, 9, 11)]
    for limit in (1, 2, 3, 5, 50):
        read: list[str] = []
        query = f"?limit={limit}"
        while query:
            page = server.process.request("GET", f"/messages{query}", headers=bearer(ann)).body
            read[:0] = [message["content"] for message in page["messages"]]
            query = f"?limit={limit}&before={page['before']}" if page["before"] else ""
        assert read == [*kept, "new", "newer"], limit


def test_a_client_that_joins_after_a_restart_receives_the_history(server: DurableServer, js: JsClients) -> None:
    ann = server.process.sign_up("ann")
    js.join("ann", server.url, ann, transports=["websocket"], **QUICKLY)
    say(js, "ann", "one", "two")
    server.restart()
    js.join("new", server.url, server.process.sign_up("bob"), transports=["websocket"])
    assert contents(js.expect("new", "receive-message", 2)) == ["one", "two"]


# The database's file


def refusal_of(**settings: str) -> tuple[int, list[str]]:
    """The exit code of a server that does not start, and its lines."""
    code, _, err = _run({"JWT_SECRET_KEY": SECRET, "SERVER_PORT": "0", **settings})
    return code, err.splitlines()


def test_a_second_server_on_the_same_file_says_so_and_exits_2(server: DurableServer, database: Path) -> None:
    code, lines = refusal_of(DATABASE_URL=f"sqlite:///{database}")
    assert code == 2
    assert lines[-1].endswith("CRITICAL chatio: DATABASE_URL: chat.db: another server uses this database")
    assert server.process.request("GET", "/readyz").status == 200


def test_a_second_server_that_comes_by_a_link_is_refused_too(server: DurableServer, database: Path) -> None:
    link = database.with_name("link.db")
    link.symlink_to(database)
    code, lines = refusal_of(DATABASE_URL=f"sqlite:///{link}")
    assert (code, "another server uses this database" in lines[-1]) == (2, True)


def test_a_database_of_a_newer_release_is_refused(server: DurableServer, database: Path) -> None:
    server.process.stop()
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    code, lines = refusal_of(DATABASE_URL=f"sqlite:///{database}")
    assert code == 2
    assert "DATABASE_URL: the database has schema 999, and this release knows schemas up to" in lines[-1]


def main_py(database: Path, *arguments: str | Path) -> tuple[int, str, str]:
    """Run a command of main.py: its exit code, and what it prints."""
    return _run({"DATABASE_URL": f"sqlite:///{database}"}, *map(str, arguments))


def _run(environ: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = ForkedProcess(BARE_ENVIRON | environ, out.fileno(), errors=err.fileno(), arguments=arguments)
        code = process.wait(60)
        for file in (out, err):
            file.seek(0)
        return code, out.read().decode(), err.read().decode()


def test_a_backup_is_made_beside_a_running_server_and_restoring_it_begins_a_new_epoch(
    server: DurableServer, js: JsClients, database: Path
) -> None:
    ann = server.process.sign_up("ann")
    js.join("ann", server.url, ann, transports=["websocket"], **QUICKLY)
    say(js, "ann", "in the backup")
    copy = database.with_name("backup.db")
    code, out, err = main_py(database, "backup", copy)
    assert (code, err) == (0, "")
    assert out == f"Wrote {copy}: {copy.stat().st_size:,} bytes\n"
    assert copy.stat().st_mode & 0o777 == 0o600
    say(js, "ann", "after it")
    code, _, err = main_py(database, "restore", copy)
    assert (code, err) == (2, "DATABASE_URL: chat.db: another server uses this database\n")
    server.kill()
    code, out, _ = main_py(database, "restore", copy)
    assert (code, out) == (0, "Restored chat.db; the database from before is chat.db.before-restore\n")
    server.start()
    js.expect("ann", "disconnect")
    assert js.expect("ann", "connect")[0][2] is False  # its next offset would be one that it has seen
    js.expect("ann", "receive-message", 3)  # all of the new epoch, behind the two from before
    say(js, "ann", "new")
    page = server.process.request("GET", "/messages", headers=bearer(ann)).body
    assert [message["content"] for message in page["messages"]] == ["in the backup", "new"]


@pytest.mark.parametrize("suffix", ["", "-wal", ".lock"])
def test_a_backup_never_takes_the_place_of_the_database(
    server: DurableServer, database: Path, suffix: str
) -> None:
    target = database.with_name(database.name + suffix)
    code, _, err = main_py(database, "backup", target)
    assert (code, "this is the database itself" in err) == (2, True)
    server.process.sign_up("ann")


def test_a_backup_never_takes_the_place_of_a_device(server: DurableServer, database: Path) -> None:
    os.mkfifo(pipe := database.with_name("pipe"))
    code, _, err = main_py(database, "backup", pipe)
    assert (code, err) == (2, "DATABASE_URL: pipe: it is no file, and a backup needs one\n")
    assert pipe.is_fifo()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for other users")
@pytest.mark.parametrize("command", ["backup", "check"])
def test_a_database_that_another_program_has_locked_is_not_waited_for(database: Path, command: str) -> None:
    assert main_py(database, "user", "add", "ann@chat.test", "Ann")[0] == 0
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        arguments = [database.with_name("copy.db")] if command == "backup" else []
        code, _, err = main_py(database, command, *arguments)
    assert code == 2
    assert "locked" in err


def test_what_root_restores_belongs_to_the_owner_of_the_folder(server: DurableServer, database: Path) -> None:
    copy, theirs = database.with_name("backup.db"), database.parent / "theirs"
    assert main_py(database, "backup", copy)[0] == 0
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    assert main_py(theirs / "chat.db", "restore", copy)[0] == 0
    owners = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in theirs.iterdir()}
    assert owners == dict.fromkeys(("chat.db", "chat.db.lock"), (65534, 65534))


def test_what_was_there_before_a_restore_is_kept_with_its_own_wal_and_no_earlier_one(
    server: DurableServer, database: Path
) -> None:
    copy, before = database.with_name("backup.db"), database.with_name("chat.db.before-restore")
    assert main_py(database, "backup", copy)[0] == 0
    server.process.sign_up("ann")
    server.kill()
    assert main_py(database, "restore", copy)[0] == 0
    assert users_of(before) == ["ann"]
    wal = database.with_name("chat.db.before-restore-wal")
    wal.write_bytes(b"of the one before")
    assert main_py(database, "restore", copy)[0] == 0
    assert not wal.exists()
    assert users_of(before) == []
    server.start()


def test_a_database_is_checked_beside_the_server_and_damage_is_named(
    server: DurableServer, js: JsClients, database: Path
) -> None:
    js.join("ann", server.url, server.process.sign_up("ann"), transports=["websocket"])
    say(js, "ann", *(f"{number} {'x' * 500}" for number in range(40)))
    assert main_py(database, "check") == (0, "chat.db is sound: 40 messages, 1 users\n", "")
    server.process.stop()
    with contextlib.closing(sqlite3.connect(database)) as connection:
        ((page,),) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_messages_1'"
        )
        ((size,),) = connection.execute("PRAGMA page_size")
    sound = database.read_bytes()
    with database.open("r+b") as file:
        file.seek((page - 1) * size + size // 2)
        file.write(b"\xff" * (size // 4))
    code, out, err = main_py(database, "check")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("DATABASE_URL: chat.db")
    database.write_bytes(sound)
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE log SET head = 39")
    problem = "the log says 0 to 39, and the messages are 1 to 40; restore a backup"
    assert main_py(database, "check") == (2, "", f"DATABASE_URL: chat.db is damaged: {problem}\n")
    assert main_py(database.with_name("none.db"), "check")[0] == 2


def users_of(database: Path) -> list[str]:
    """The names of the users in a database and its WAL."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM users")]


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_file_that_is_no_database_of_ours_is_neither_copied_nor_restored(tmp_path: Path, command: str) -> None:
    database, file = tmp_path / "chat.db", tmp_path / "file"
    (database if command == "backup" else file).write_text("a diary")
    code, _, err = main_py(database, command, file)
    name = "chat.db" if command == "backup" else "file"
    assert (code, err) == (2, f"DATABASE_URL: {name}: this is no database of this server\n")
    assert (database.exists(), file.exists()) == (command == "backup", command == "restore")


def test_check_finds_a_database_of_another_program_and_makes_none(tmp_path: Path) -> None:
    database = tmp_path / "chat.db"
    assert main_py(database, "--check")[0] == 0
    assert not database.exists()
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    code, _, err = main_py(database, "--check")
    assert (code, err) == (2, "DATABASE_URL: chat.db: this is no database of this server\n")
    code, lines = refusal_of(DATABASE_URL=f"sqlite:///{database}")
    assert (code, lines[-1].endswith("the file of this database belongs to another program")) == (2, True)


def test_files_of_the_database_are_its_owners_alone(server: DurableServer, database: Path) -> None:
    server.process.sign_up("ann")
    modes = {path.name: path.stat().st_mode & 0o777 for path in database.parent.iterdir()}
    files = ("chat.db", "chat.db-shm", "chat.db-wal", "chat.db.lock", "chat.db.sock")
    assert modes == dict.fromkeys(files, 0o600)


def test_nothing_is_acknowledged_while_the_file_is_removed_and_all_goes_on_when_it_is_back(
    server: DurableServer, js: JsClients, database: Path
) -> None:
    ann = server.process.sign_up("ann")
    js.join("ann", server.url, ann, transports=["websocket"])
    away = database.with_name("away.db")
    database.rename(away)
    js.emit("ann", "send-message", {"id": "lost?", "content": "into nothing"}, ack="refused")
    assert acked(js, "ann", "refused")["error"]["code"] == "store_unavailable"
    ready = server.process.request("GET", "/readyz")
    assert (ready.status, ready.body["reason"]) == (503, "store")
    assert server.process.request("GET", "/user", headers=bearer(ann)).status == 503
    away.rename(database)
    await_until(lambda: server.process.request("GET", "/readyz").status == 200, "the server is ready again")
    say(js, "ann", "saved")
    assert contents(js.expect("ann", "receive-message")) == ["saved"]


def test_after_its_wal_is_removed_the_process_ends_with_1_and_all_that_was_acknowledged_is_there(
    server: DurableServer, js: JsClients, database: Path
) -> None:
    js.join("ann", server.url, ann := server.process.sign_up("ann"), transports=["websocket"], **QUICKLY)
    say(js, "ann", "saved")
    database.with_name("chat.db-wal").unlink()
    js.emit("ann", "send-message", {"id": "unknown", "content": "into nothing?"}, ack="unknown")
    assert server.process.process.wait(20) == 1
    assert not any(answer["ok"] for (answer,) in js.kept("ann", "ack:unknown"))
    server.process.__exit__(None, None, None)
    server.start()
    js.expect("ann", "disconnect")
    assert js.expect("ann", "connect")[0][2] is True
    say(js, "ann", "goes on")
    page = server.process.request("GET", "/messages", headers=bearer(ann)).body
    assert [message["content"] for message in page["messages"]] == ["saved", "goes on"]


def test_after_an_io_error_the_process_ends_with_1_and_the_next_one_has_all_that_was_acknowledged(
    server: DurableServer, js: JsClients, database: Path
) -> None:
    ann = server.process.sign_up("ann")
    js.join("ann", server.url, ann, transports=["websocket"], **QUICKLY)
    say(js, "ann", "saved")
    pid, size = server.process.process.pid, database.with_name("chat.db-wal").stat().st_size
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))
    js.emit("ann", "send-message", {"id": "unknown", "content": "x" * 9000}, ack="unknown")
    assert server.process.process.wait(20) == 1
    assert js.kept("ann", "ack:unknown") == []
    server.process.__exit__(None, None, None)
    server.start()
    js.expect("ann", "disconnect")
    assert js.expect("ann", "connect")[0][2] is True
    say(js, "ann", "goes on")
    page = server.process.request("GET", "/messages", headers=bearer(ann)).body
    texts = [message["content"] for message in page["messages"] if message["id"] != "unknown"]
    assert texts == ["saved", "goes on"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_is_a_refusal_and_all_goes_on_when_there_is_room(tmp_path: Path, js: JsClients) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:
        with DurableServer(f"sqlite:///{disk}/chat.db") as server:
            js.join("ann", server.url, server.process.sign_up("ann"), transports=["websocket"])
            (disk / "ballast").write_bytes(bytes(400_000))
            texts = [f"{number} {'x' * 9000}" for number in range(200)]
            acks = []
            for number, text in enumerate(texts):
                js.emit("ann", "send-message", {"id": f"m{number}", "content": text}, ack=f"m{number}")
                acks.append(acked(js, "ann", f"m{number}"))
                if not acks[-1]["ok"]:
                    break
            assert acks[-1]["error"]["code"] == "store_full"
            assert server.process.request("GET", "/readyz").body["reason"] == "store_full"
            (disk / "ballast").unlink()
            await_until(lambda: server.process.request("GET", "/readyz").status == 200, "there is room")
            say(js, "ann", "room again")
            received = contents(js.expect("ann", "receive-message", len(acks)))
            assert received == [*texts[: len(acks) - 1], "room again"]
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
