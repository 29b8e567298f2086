"""Two servers on one PostgreSQL: one order, one ack, one recovery, one presence."""

import signal
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.postgres import PostgresServer
from tests.system.js import JsClients
from tests.system.server import ServerProcess, await_until
from tests.system.test_durable import acked, bearer, contents, say

QUICKLY: dict[str, Any] = {"reconnectionDelay": 20, "reconnectionDelayMax": 50, "randomizationFactor": 0}
# Ten are promised; more of them only on a machine that does nothing at times.
GONE_SECONDS = 20.0
END_LISTENING = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%LISTEN%' AND pid <> pg_backend_pid()"""
WEBSOCKET: dict[str, Any] = {"transports": ["websocket"], **QUICKLY}


class Pair(NamedTuple):
    database: PostgresServer
    url: str
    one: ServerProcess
    two: ServerProcess


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    server = PostgresServer("-c", "fsync=off")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def pair(database: PostgresServer) -> Iterator[Pair]:
    url = database.new_database()
    settings: dict[str, Any] = {"DATABASE_URL": url, "SHUTDOWN_GRACE_SECONDS": "2", "HISTORY_ON_CONNECT": "0"}
    with ServerProcess(SERVER_NAME="1", **settings) as one, ServerProcess(SERVER_NAME="2", **settings) as two:
        await_until(lambda: others(one) == ["2"] and others(two) == ["1"], "the servers know each other")
        yield Pair(database, url, one, two)


def online(server: ServerProcess, token: str) -> list[str]:
    reply = server.request("GET", "/users/online", headers=bearer(token))
    return sorted(user["name"] for user in reply.body["users"])


def others(server: ServerProcess) -> list[str]:
    body = server.request("GET", "/readyz").body
    return list(body["others"])


def test_both_servers_deliver_every_message_in_one_order_and_a_message_sent_to_both_is_one(
    pair: Pair, js: JsClients
) -> None:
    ann, bob = pair.one.sign_up("ann"), pair.two.sign_up("bob")
    js.join("ann", pair.one.url, ann, **WEBSOCKET)
    js.join("bob", pair.two.url, bob, transports=["polling"], **QUICKLY)
    for number in range(20):
        js.emit("ann", "send-message", {"content": f"a{number}"})
        js.emit("bob", "send-message", {"content": f"b{number}"})
    heard = [contents(js.expect(name, "receive-message", 40)) for name in ("ann", "bob")]
    assert heard[0] == heard[1]
    js.join("ann at 2", pair.two.url, ann, **WEBSOCKET)
    message = {"id": "once", "content": "once"}
    for name, ack in (("ann", "first"), ("ann at 2", "again")):
        js.emit(name, "send-message", message, ack=ack)
    assert acked(js, "ann", "first") == acked(js, "ann at 2", "again")
    say(js, "bob", "last")
    for name in ("ann", "ann at 2"):
        assert contents(js.expect(name, "receive-message", 2)) == ["once", "last"]


def test_a_client_recovers_at_the_other_server_also_if_it_is_ahead_of_it(pair: Pair, js: JsClients) -> None:
    token = pair.one.sign_up("cleo")
    js.join("cleo", pair.one.url, token, **WEBSOCKET)
    pair.two.process.send_signal(signal.SIGSTOP)
    say(js, "cleo", "one", "two")
    ((_, _), (_, offset)) = js.expect("cleo", "receive-message", 2)
    pair.two.process.send_signal(signal.SIGCONT)
    auth = {"token": token, "pid": f"{offset}.anything", "offset": offset}
    js.open("cleo at 2", pair.two.url, token, auth=auth, **WEBSOCKET)
    assert js.expect("cleo at 2", "connect")
    say(js, "cleo", "three")
    assert contents(js.expect("cleo at 2", "receive-message")) == ["three"]
    page = pair.two.request("GET", f"/messages?before={urllib.parse.quote(offset)}&limit=1", headers=bearer(token))
    assert [message["content"] for message in page.body["messages"]] == ["one"]


def test_a_session_of_the_other_server_is_answered_with_what_makes_clients_connect_anew(pair: Pair) -> None:
    answer = pair.one.request("GET", "/socket.io/?EIO=4&transport=polling&sid=2.0123456789")
    assert (answer.status, answer.body["code"]) == (400, 1)


def test_what_ends_a_token_ends_its_sockets_at_both_servers(pair: Pair, js: JsClients) -> None:
    token = pair.one.sign_up("dan")
    js.join("dan at 1", pair.one.url, token, **WEBSOCKET)
    js.join("dan at 2", pair.two.url, token, **WEBSOCKET)
    passwords = {"old_password": "dan's password", "new_password": "another password"}
    assert pair.one.request("POST", "/user/password", passwords, bearer(token)).status == 204
    for name in ("dan at 1", "dan at 2"):
        assert js.expect(name, "session-ended") == [[{"reason": "password_changed"}]]
    assert pair.two.request("GET", "/user", headers=bearer(token)).status == 401


def test_each_user_is_online_once_and_typing_reaches_the_other_server(pair: Pair, js: JsClients) -> None:
    eve, finn = pair.one.sign_up("eve"), pair.two.sign_up("finn")
    js.join("eve at 1", pair.one.url, eve, **WEBSOCKET)
    js.join("eve at 2", pair.two.url, eve, **WEBSOCKET)
    js.join("finn", pair.two.url, finn, **WEBSOCKET)

    for server in (pair.one, pair.two):
        await_until(
            lambda server=server: online(server, finn) == ["eve", "finn"], "both are online at both servers"
        )
    js.emit("finn", "typing")
    ((told,),) = js.expect("eve at 1", "typing")
    assert told["name"] == "finn"
    js.close("eve at 2")
    js.close("finn")
    await_until(lambda: online(pair.one, finn) == ["eve"], "one is left at the other server")


def test_a_server_whose_listening_connection_died_says_so_and_goes_on(pair: Pair, js: JsClients) -> None:
    gina = pair.one.sign_up("gina")
    js.join("gina", pair.two.url, gina, **WEBSOCKET)
    js.join("gina at 1", pair.one.url, gina, **WEBSOCKET)
    pair.database.sql(pair.url.rpartition("/")[2], END_LISTENING)
    say(js, "gina at 1", "unheard")
    assert contents(js.expect("gina", "receive-message")) == ["unheard"]
    await_until(lambda: pair.two.request("GET", "/readyz").status == 200, "the server listens again")


def test_the_users_of_a_killed_server_are_gone_within_ten_seconds(pair: Pair, js: JsClients) -> None:
    with ServerProcess(SERVER_NAME="3", DATABASE_URL=pair.url) as three:
        hal, ida = three.sign_up("hal"), pair.one.sign_up("ida")
        js.join("ida", pair.one.url, ida, **WEBSOCKET)
        js.join("hal", three.url, hal, **WEBSOCKET)
        await_until(lambda: "hal" in online(pair.one, ida), "the user of the third server is online")
        three.process.kill()
        three.process.wait()
        killed_at = time.monotonic()
    await_until(lambda: "hal" not in online(pair.one, ida), "the user has gone")
    assert time.monotonic() - killed_at < GONE_SECONDS
    assert others(pair.one) == ["2"]
