"""The page in Chromium: what a user typed and the server has not acknowledged is never lost, and arrives once."""

import re

import pytest
from playwright.sync_api import Dialog, expect

from tests.browser.person import LOST, Meet, Person, password_of
from tests.system.proxy import CuttingProxy
from tests.system.server import ServerProcess


def test_draft_survives_a_reload_and_a_closed_tab_and_is_the_same_in_all_tabs(
    server: ServerProcess, meet: Meet
) -> None:
    ann = meet(server.url)
    ann.sign_up("Ann")
    ann.draft.fill("half of a sentence\nand a line")
    ann.page.reload()
    expect(ann.draft).to_have_value("half of a sentence\nand a line")
    ann.page.close()
    ann.page = ann.open_tab()
    expect(ann.draft).to_have_value("half of a sentence\nand a line")
    first, ann.page = ann.page, ann.open_tab()
    expect(ann.draft).to_have_value("half of a sentence\nand a line")
    ann.draft.press("Enter")
    ann.sees("half of a sentence\nand a line")
    expect(first.get_by_label("Message", exact=True)).to_have_value("")


@pytest.mark.parametrize("ending", ["reload", "close"])
def test_messages_written_offline_survive_the_tab_and_arrive_once_in_order(meet: Meet, ending: str) -> None:
    with ServerProcess() as server, CuttingProxy(server.port) as proxy:
        ann, bob = meet(proxy.url), meet(server.url)
        ann.sign_up("Ann")
        bob.sign_up("Bob")
        proxy.cut()
        expect(ann.status).to_have_text(LOST)
        for text in ("one", "two", "three"):
            ann.say(text)
        expect(ann.pending.locator(".state")).to_have_text(["Not sent yet"] * 3)
        ann.draft.fill("and a draft")
        if ending == "close":
            ann.page.close()
            proxy.mend()
            ann.page = ann.open_tab()
        else:
            proxy.mend()
            ann.page.reload()
        ann.sees("one", "two", "three")
        bob.sees("one", "two", "three")
        expect(ann.draft).to_have_value("and a draft")
        ann.page.reload()
        ann.sees("one", "two", "three")


def test_message_of_a_closed_tab_is_sent_by_another(meet: Meet) -> None:
    with ServerProcess() as server, CuttingProxy(server.port) as proxy:
        ann = meet(proxy.url)
        ann.sign_up("Ann")
        other = ann.open_tab()
        expect(other.locator("#status")).to_have_text("Connected")
        proxy.cut()
        expect(ann.status).to_have_text(LOST)
        ann.say("from the tab that goes")
        ann.page.close()
        ann.page = other
        proxy.mend()
        ann.sees("from the tab that goes")


def test_messages_written_during_thirty_minutes_offline_arrive_by_themselves(meet: Meet) -> None:
    with ServerProcess() as server, CuttingProxy(server.port) as proxy:
        ann, bob = meet(proxy.url), meet(server.url)
        ann.page.clock.install()
        ann.page.reload()
        ann.sign_up("Ann")
        bob.sign_up("Bob")
        proxy.cut()
        expect(ann.status).to_have_text(LOST)
        ann.say("at the beginning")
        ann.page.clock.fast_forward("30:00")
        ann.say("half an hour later")
        expect(ann.pending).to_have_count(2)
        proxy.mend()
        ann.page.clock.run_for(20_000)
        bob.sees("at the beginning", "half an hour later")
        ann.page.clock.run_for(100)
        ann.sees("at the beginning", "half an hour later")


def test_what_is_typed_when_the_sign_in_ends_survives_a_reload(meet: Meet) -> None:
    with ServerProcess(JWT_TTL_SECONDS="4") as server, CuttingProxy(server.port) as proxy:
        ann = meet(proxy.url)
        ann.sign_up("Ann")
        proxy.cut()
        expect(ann.status).to_have_text(LOST)
        ann.say("not sent")
        ann.draft.fill("half of a sen")
        ann.page.wait_for_timeout(5000)  # the life of the token
        proxy.mend()
        dialog = ann.page.get_by_role("dialog", name="Sign in again")
        expect(dialog).to_be_visible()
        ann.page.reload()
        expect(dialog).to_be_visible()
        dialog.get_by_label("Password").fill(password_of("Ann"))
        ann.page.keyboard.press("Enter")
        ann.sees("not sent")
        expect(ann.draft).to_have_value("half of a sen")


def test_message_whose_ack_and_page_were_lost_arrives_once_and_is_pending_no_more(meet: Meet) -> None:
    with ServerProcess(HISTORY_ON_CONNECT="2") as server, CuttingProxy(server.port) as proxy:
        ann, bob = meet(proxy.url), meet(server.url)
        ann.sign_up("Ann")
        bob.sign_up("Bob")
        proxy.delay_seconds = 2.0  # of the message on its way, and of the ack
        ann.say("heard, and never answered")
        bob.sees("heard, and never answered")
        ann.page.close()
        for text in ("one", "two", "three"):  # the message is no longer among those that a new client receives
            bob.say(text)
        proxy.mend()
        ann.page = ann.open_tab()
        expect(ann.pending).to_have_count(0)
        ann.sees("heard, and never answered", "one", "two", "three")
        bob.sees("heard, and never answered", "one", "two", "three")


def test_unsent_message_is_sent_again_edited_or_removed_by_hand(meet: Meet) -> None:
    with ServerProcess() as server, CuttingProxy(server.port) as proxy:
        ann = meet(proxy.url)
        ann.sign_up("Ann")
        proxy.swallow()
        ann.say("into a black hole")
        expect(ann.pending).to_contain_text("Not sent yet", timeout=15_000)
        proxy.mend()
        ann.pending.get_by_role("button", name="Try again").click()
        ann.sees("into a black hole")
        proxy.cut()
        expect(ann.status).to_have_text(LOST)
        ann.say("to be edited")
        ann.say("to be removed")
        ann.pending.filter(has_text="edited").get_by_role("button", name="Edit").click()
        expect(ann.draft).to_have_value("to be edited")
        expect(ann.draft).to_be_focused()
        ann.pending.filter(has_text="removed").get_by_role("button", name="Remove").click()
        expect(ann.pending).to_have_count(0)
        proxy.mend()
        ann.is_connected()
        ann.draft.press("End")
        ann.draft.press_sequentially(", and was")
        ann.draft.press("Enter")
        ann.sees("into a black hole", "to be edited, and was")


def test_user_that_writes_too_fast_is_told_how_long_it_takes_and_loses_neither_text_nor_order(meet: Meet) -> None:
    with ServerProcess(RATE_LIMITS="on", MESSAGE_BURST="2", MESSAGES_PER_SECOND="0.2") as server:
        ann, bob = meet(server.url), meet(server.url)
        ann.sign_up("Ann")
        bob.sign_up("Bob")
        for text in ("one", "two", "three", "four"):
            ann.say(text)
        expect(ann.pending.first).to_contain_text(re.compile(r"too often.* The page tries again in [1-5] s\."))
        expect(ann.pending.first.locator(".state")).to_have_text("Not sent yet")
        expect(ann.page.locator("#announcer")).to_have_text(
            re.compile(r"Not sent yet\. .*too often.* The page tries again in [1-5] seconds\.")
        )
        ann.sees("one", "two", "three", "four")
        bob.sees("one", "two", "three", "four")


def leaving_asks(person: Person) -> bool:
    """Whether the browser warns a user who reloads the page."""
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    person.page.on("dialog", answer)
    person.page.reload()
    person.page.remove_listener("dialog", answer)
    return asked == ["beforeunload"]


def test_leaving_warns_only_where_something_would_be_lost(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url)
    ann.sign_up("Ann")
    ann.draft.press_sequentially("kept when the tab is closed")
    assert not leaving_asks(ann)
    bob = meet(server.url)
    server.sign_up("bob")
    bob.page.get_by_label("Stay signed in").uncheck()
    bob.sign_in("bob")
    assert not leaving_asks(bob)
    bob.draft.press_sequentially("gone with the tab")
    assert leaving_asks(bob)
    expect(bob.draft).to_have_value("gone with the tab")
    bob.page.close(run_before_unload=False)
    bob.page = bob.open_tab()
    expect(bob.page.get_by_role("dialog", name="Sign in to Chat.io")).to_be_visible()


def test_signing_out_asks_before_it_removes_what_is_not_sent(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url)
    ann.sign_up("Ann")
    ann.draft.fill("half of a sentence")
    question = ann.page.get_by_role("alertdialog", name="Something is not sent")
    ann.page.get_by_role("button", name="Sign out").click()
    question.get_by_role("button", name="Stay").click()
    expect(ann.draft).to_have_value("half of a sentence")
    ann.page.get_by_role("button", name="Sign out").click()
    question.get_by_role("button", name="Sign out").click()
    expect(ann.page.get_by_role("dialog", name="Sign in to Chat.io")).to_be_visible()
    assert ann.page.evaluate("localStorage.length") == 0


def test_another_person_neither_sees_nor_sends_what_is_unsent(meet: Meet) -> None:
    with ServerProcess(JWT_TTL_SECONDS="4") as server:
        ann = meet(server.url)
        server.sign_up("bea")
        ann.sign_up("Ann")
        ann.draft.fill("Ann's own words")
        dialog = ann.page.get_by_role("dialog", name="Sign in again")
        dialog.get_by_role("button", name="Sign in as somebody else").click()
        ann.sign_in("bea")
        expect(ann.draft).to_have_value("")


def test_page_works_in_a_browser_that_forbids_storage(server: ServerProcess, meet: Meet) -> None:
    ann = meet("about:blank")
    ann.context.add_init_script(
        """for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, {
             get() { throw new DOMException("denied", "SecurityError"); } });"""
    )
    ann.page.goto(server.url)
    ann.sign_up("Ann")
    ann.say("Hello!")
    ann.sees("Hello!")
    ann.draft.press_sequentially("a draft")
    assert leaving_asks(ann)


def test_full_storage_loses_nothing_while_the_page_is_open_and_warns(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url)
    ann.sign_up("Ann")
    ann.page.evaluate(
        """() => { for (let size = 1 << 22, count = 0; size >= 1; count++)
             try { localStorage.setItem("filler" + count, "x".repeat(size)); } catch { size >>= 1; } }"""
    )
    ann.draft.press_sequentially("a draft that does not fit")
    assert leaving_asks(ann)
    ann.say("sent all the same")
    ann.sees("sent all the same")
