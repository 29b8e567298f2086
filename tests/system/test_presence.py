"""Presence and typing, as official clients receive them."""

import pytest

from tests.system.js import JsClients
from tests.system.server import ServerProcess


def test_users_are_told_which_users_came_and_left(server: ServerProcess, js: JsClients) -> None:
    ann, bob = server.sign_up("ann"), server.sign_up("bob")
    js.join("ann", server.url, ann)
    ((alone,),) = js.expect("ann", "presence")
    assert (alone["online"], [person["name"] for person in alone["came"]], alone["left"]) == (1, ["ann"], [])
    for page in ("bob 1", "bob 2"):
        js.join(page, server.url, bob)
    ((both,),) = js.expect("ann", "presence")
    assert (both["online"], [person["name"] for person in both["came"]]) == (2, ["bob"])
    online = server.request("GET", "/users/online", headers={"Authorization": f"Bearer {ann}"}).body
    assert online["online"] == 2
    assert [person["name"] for person in online["users"]] == ["ann", "bob"]
    assert set(online["users"][0]) == {"id", "name"}
    js.close("bob 1")
    js.close("bob 2")
    ((left,),) = js.expect("ann", "presence")
    assert (left["online"], [person["name"] for person in left["left"]]) == (1, ["bob"])


@pytest.mark.alone("the other server is told a moment later")
def test_typing_is_told_to_the_others_once_a_second(server: ServerProcess, js: JsClients) -> None:
    for name, transports in (("ann", ["websocket"]), ("bob", ["websocket"]), ("eve", ["polling"])):
        js.join(name, server.url, server.sign_up(name), transports=transports)
    for number in range(5):
        js.emit("ann", "typing", ack=f"typing {number}")
    js.emit("ann", "send-message", {"content": "typed"})
    assert [js.expect("ann", f"ack:typing {number}") for number in range(5)] == [[[]]] * 5
    for name in ("ann", "bob", "eve"):
        js.expect(name, "receive-message")
    ((told,),) = js.kept("bob", "typing")
    assert told["name"] == "ann"
    assert set(told) == {"id", "name"}
    assert js.kept("eve", "typing") in ([], [[told]])  # between two GETs she does without
    assert js.kept("ann", "typing") == []


def test_typing_and_presence_can_be_turned_off(js: JsClients) -> None:
    with ServerProcess(PRESENCE="off") as server:
        token = server.sign_up("ann")
        for name in ("ann", "bob"):
            js.join(name, server.url, token)
        js.emit("ann", "typing")
        js.emit("ann", "send-message", {"content": "typed"})
        js.expect("bob", "receive-message")
        assert js.kept("bob", "typing") == []
        reply = server.request("GET", "/users/online", headers={"Authorization": f"Bearer {token}"})
        assert reply.status == 404


def test_recovery_is_not_affected_by_other_events(server: ServerProcess, js: JsClients) -> None:
    """A client takes the last text argument of any event as its offset."""
    js.join("ann", server.url, server.sign_up("ann"), transports=["websocket"], reconnectionDelay=20)
    js.join("bob", server.url, server.sign_up("bob"), transports=["websocket"])
    js.emit("bob", "send-message", {"content": "first"})
    js.expect("ann", "receive-message")
    js.emit("bob", "typing")
    js.expect("ann", "typing")
    js.expect("ann", "presence")
    js.emit("ann", "send-message", {"content": ""}, nonsense=True)
    js.expect("ann", "message-rejected")
    js.cut("ann")
    js.expect("ann", "disconnect")
    assert js.expect("ann", "connect")[0][2] is True
