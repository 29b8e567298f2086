"""The page in Chromium: what its status line says of a lost connection, and that it is true."""

import re
from pathlib import Path

from playwright.sync_api import Route, expect

from tests.browser.person import LOST, NAMED_HOST, Meet
from tests.system.js import JsClients
from tests.system.proxy import CuttingProxy
from tests.system.server import ServerProcess

WHOLE = "Back, nothing missed."
UNKNOWN = "Back, some messages may be gone."
NEW_LOG = "Back. The server was started anew: what was said meanwhile may be gone."
OLD_LOG = "The server was started anew. It may not have the messages above any more, and some may be missing here."


def bob_says(js: JsClients, first: int, last: int) -> list[str]:
    texts = [f"message {number}" for number in range(first, last)]
    js.burst("bob", [{"content": text} for text in texts])
    js.expect("bob", "receive-message", len(texts))
    return texts


def test_ten_seconds_cut_while_thirty_messages_go_by_lose_nothing(meet: Meet, js: JsClients) -> None:
    with ServerProcess() as server, CuttingProxy(server.port) as proxy:
        js.join("bob", server.url, server.sign_up("bob"))
        ann = meet(proxy.url, "Ann")
        texts = bob_says(js, 0, 5)
        ann.sees(*texts)
        proxy.cut()
        expect(ann.status).to_have_text(LOST)
        ann.say("written without a connection")
        expect(ann.pending.locator(".state")).to_have_text("Not sent yet")
        for third in range(3):
            texts += bob_says(js, 5 + third * 10, 15 + third * 10)
            ann.page.wait_for_timeout(10_000 / 3)  # the time that is named
        expect(ann.status).to_have_text(LOST)
        proxy.mend()
        expect(ann.status).to_have_text(WHOLE)
        ann.sees(*texts, "written without a connection")
        expect(ann.status).to_have_text("Connected")
        expect(ann.page.locator("#messages .note")).to_have_count(0)


def test_what_the_server_has_forgotten_is_said_and_not_shown(meet: Meet, js: JsClients) -> None:
    with ServerProcess(LOG_MAX_MESSAGES="10") as server, CuttingProxy(server.port) as proxy:
        js.join("bob", server.url, server.sign_up("bob"))
        ann = meet(proxy.url, "Ann")
        ann.sees(*bob_says(js, 0, 5))
        proxy.cut()
        expect(ann.status).to_have_text(LOST)
        texts = bob_says(js, 5, 40)[-10:]
        proxy.mend()
        expect(ann.status).to_have_text(UNKNOWN)
        ann.sees(*texts)
        expect(ann.page.locator("#messages .note")).to_have_count(0)


def test_a_page_that_was_away_too_long_for_recovery_shows_all_as_it_is_now(
    meet: Meet, js: JsClients, tmp_path: Path
) -> None:
    """Its messages were edited and deleted meanwhile; the server has none of it in memory."""
    database = f"sqlite:///{tmp_path}/chat.db"
    small = ServerProcess(DATABASE_URL=database, LOG_MAX_MESSAGES="10", HISTORY_ON_CONNECT="5")
    with small as server, CuttingProxy(server.port) as proxy:
        js.join("bob", server.url, server.sign_up("bob"))
        ann = meet(proxy.url, "Ann")
        js.burst("bob", [{"id": f"early-{number}", "content": f"early {number}"} for number in range(8)])
        ann.sees(*(f"early {number}" for number in range(8)))
        ann.say("mine")
        ann.sees(*(f"early {number}" for number in range(8)), "mine")
        proxy.cut()
        expect(ann.status).to_have_text(LOST)
        js.emit("bob", "edit-message", {"id": "early-1", "content": "edited"})
        js.emit("bob", "delete-message", {"id": "early-2"})
        js.expect("bob", "message-deleted")
        js.expect("bob", "receive-message", 9)
        texts = [text for start in range(0, 72, 8) for text in bob_says(js, start, start + 8)]
        asked: list[str] = []

        def fail_once(route: Route) -> None:
            asked.append(route.request.url)
            route.abort() if len(asked) == 1 else route.continue_()

        ann.page.route("**/messages?*limit=1", fail_once)
        ann.say("written meanwhile")
        proxy.mend()
        expect(ann.contents.last).to_have_text("written meanwhile")
        expect(ann.status).to_have_text(WHOLE)
        assert len(asked) == 2
        expect(ann.pending).to_have_count(0)
        expect(ann.page.locator("#messages .unread + .message .content")).to_have_text(texts[-10])
        ann.page.locator("#scroller").focus()
        early = [f"early {number}" for number in range(8) if number != 2]
        expected = ["early 0", "edited", *early[2:], "mine", *texts, "written meanwhile"]
        for _ in range(50):  # a page of older messages, and then the next
            if ann.contents.count() >= len(expected):
                break
            ann.page.keyboard.press("Home")
            ann.page.wait_for_timeout(100)
        ann.sees(*expected)
        expect(ann.page.locator("#messages .message").nth(1).locator(".meta")).to_contain_text("edited")
        expect(ann.page.locator("#beginning")).to_have_text("The server has no earlier messages.")


def test_a_restarted_server_is_said_to_be_one_and_the_page_goes_on(meet: Meet) -> None:
    with ServerProcess() as server:
        ann, bob = meet(server.url, "Ann"), meet(server.url, "Bob")
        ann.say("before")
        bob.sees("before")
        port = server.port
    expect(ann.status).to_have_text(LOST)
    bob.say("written while the server was away")
    with ServerProcess(SERVER_PORT=str(port)):
        expect(ann.status).to_have_text(NEW_LOG)
        expect(ann.page.locator("#messages .note")).to_have_text(OLD_LOG)
        for person in (ann, bob):
            person.sees("before", "written while the server was away")
        ann.say("after")
        bob.sees("before", "written while the server was away", "after")
        ann.page.locator("#scroller").focus()
        ann.page.keyboard.press("Home")
        expect(ann.page.locator("#beginning")).to_have_text("The server has no earlier messages.")


def test_a_message_whose_acks_are_lost_arrives_once(meet: Meet) -> None:
    with ServerProcess() as server, CuttingProxy(server.port) as proxy:
        ann, bob = meet(proxy.url, "Ann"), meet(server.url, "Bob")
        texts = [f"message {number}" for number in range(5)]
        for text in texts:
            ann.say(text)
            proxy.cut_answers()
            proxy.mend()
        ann.sees(*texts)
        bob.sees(*texts)


def test_message_without_an_answer_is_sent_when_the_connection_is_back(meet: Meet) -> None:
    with ServerProcess() as server, CuttingProxy(server.port) as proxy:
        ann, bob = meet(proxy.url), meet(server.url)
        ann.page.clock.install()
        ann.page.reload()
        ann.sign_up("Ann")
        bob.sign_up("Bob")
        proxy.swallow()
        ann.say("into a black hole")
        for _ in range(2):
            ann.page.clock.run_for(8100)
        expect(ann.pending).to_contain_text("The server does not answer.")
        proxy.cut()
        proxy.mend()
        ann.page.clock.run_for(6000)
        expect(ann.status).to_have_text(WHOLE)
        bob.sees("into a black hole")
        ann.page.clock.run_for(100)
        ann.sees("into a black hole")


def test_a_refused_message_says_why_and_is_edited_or_removed(meet: Meet) -> None:
    with ServerProcess(MESSAGE_MAX_CHARS="20") as server:
        ann = meet(server.url)
        ann.page.route("**/asyncapi.json", lambda route: route.abort())  # the page does not learn the limit
        ann.sign_up("Ann")
        ann.say("longer than twenty characters")
        expect(ann.pending).to_contain_text("The message is too long.")
        expect(ann.page.locator("#counter")).to_have_text("")
        expect(ann.page.locator("#announcer")).to_have_text("Not sent. The message is too long.")
        ann.pending.get_by_role("button", name="Edit").click()
        expect(ann.draft).to_have_value("longer than twenty characters")
        expect(ann.draft).to_be_focused()
        expect(ann.pending).to_have_count(0)
        ann.draft.press("Enter")
        ann.pending.get_by_role("button", name="Remove").click()
        expect(ann.pending).to_have_count(0)
        ann.say("shorter")
        ann.sees("shorter")


def test_counter_tells_near_the_limit_and_keeps_what_is_too_long(meet: Meet) -> None:
    with ServerProcess(MESSAGE_MAX_CHARS="100") as server:
        ann = meet(server.url)
        ann.sign_up("Ann")
        counter = ann.page.locator("#counter")
        ann.draft.fill("x" * 79)
        expect(counter).to_have_text("")
        ann.draft.fill("👋" * 90)
        expect(counter).to_have_text("10 characters left")
        ann.draft.fill("x" * 103)
        expect(counter).to_have_text("3 characters too many")
        ann.draft.press("Enter")
        expect(ann.pending).to_have_count(0)
        expect(ann.draft).to_have_value("x" * 103)
        for _ in range(3):
            ann.draft.press("Backspace")
        expect(counter).to_have_text("0 characters left")
        ann.draft.press("Enter")
        ann.sees("x" * 100)
        expect(counter).to_have_text("")


def test_an_origin_that_the_server_does_not_take_is_told(meet: Meet) -> None:
    refused = re.compile(f"http://{NAMED_HOST}:.*: its CLIENT_URL does not name it")
    with ServerProcess(CLIENT_URL=f"http://{NAMED_HOST}") as server:
        url, port = server.url.replace("127.0.0.1", NAMED_HOST), server.port
        ann = meet(url, "Ann")
    expect(ann.status).to_have_text(LOST)
    with ServerProcess(SERVER_PORT=str(port)):
        expect(ann.status).to_have_text(refused)
        bob = meet(url)
        bob.ask_to_sign_up("Bob")
        expect(bob.page.get_by_role("dialog").get_by_role("alert")).to_have_text(refused)


def test_client_of_a_full_server_is_told_and_joins_when_there_is_room(meet: Meet) -> None:
    with ServerProcess(MAX_CONNECTIONS="1", RATE_LIMITS="on") as server:
        bob, ann = meet(server.url), meet(server.url)
        bob.sign_up("Bob")
        ann.ask_to_sign_up("Ann")
        expect(ann.status).to_have_text("The server is busy. Trying again…")
        bob.page.close()
        ann.is_connected()
