"""The page in Chromium: users edit and delete their own messages, and every page shows it."""

from playwright.sync_api import Locator, expect

from tests.browser.axe import complaints
from tests.browser.person import Meet, Person
from tests.system.server import ServerProcess


def dialog(person: Person) -> Locator:
    return person.page.get_by_role("dialog", name="Your message")


def open_change(person: Person, text: str) -> None:
    message = person.page.locator("#messages .message", has_text=text)
    message.get_by_role("button", name="Edit or delete").click()


def test_a_message_is_edited_and_deleted_on_every_page(server: ServerProcess, meet: Meet) -> None:
    ann, bob = meet(server.url, "Ann"), meet(server.url, "Bob")
    for text in ("one", "two", "three"):
        ann.say(text)
    bob.sees("one", "two", "three")
    bob.say("mine")
    bob.sees("one", "two", "three", "mine")
    open_change(ann, "two")
    assert complaints(ann.page) == []
    dialog(ann).get_by_role("textbox").fill("**second**")
    dialog(ann).get_by_role("button", name="Save").click()
    expect(dialog(ann)).to_be_hidden()
    for person in (ann, bob):
        expect(person.contents).to_have_count(4)
        expect(person.contents.nth(1)).to_contain_text("second")
        expect(person.page.locator("#messages .message").nth(1)).to_contain_text("edited")
    expect(ann.draft).to_be_focused()
    ann.draft.press("ArrowUp")
    expect(dialog(ann).get_by_role("textbox")).to_have_value("three")
    dialog(ann).get_by_role("button", name="Delete it for good").click()
    for person in (ann, bob):
        expect(person.contents).to_have_count(3)
        expect(person.contents.nth(2)).to_have_text("mine")
    bob.page.reload()
    bob.is_connected()
    expect(bob.contents).to_have_count(3)
    expect(bob.contents.nth(1)).to_contain_text("second")
    expect(bob.page.get_by_role("button", name="Edit or delete")).to_have_count(1)  # at the own message only


def test_a_page_that_was_away_shows_the_changes_when_it_is_back(server: ServerProcess, meet: Meet) -> None:
    ann, bob = meet(server.url, "Ann"), meet(server.url, "Bob")
    for text in ("one", "two"):
        ann.say(text)
    bob.sees("one", "two")
    bob.context.set_offline(True)
    bob.page.evaluate("dispatchEvent(new Event('offline'))")
    open_change(ann, "one")
    dialog(ann).get_by_role("textbox").fill("first")
    dialog(ann).get_by_role("button", name="Save").click()
    open_change(ann, "two")
    dialog(ann).get_by_role("button", name="Delete it for good").click()
    ann.sees("first")
    bob.context.set_offline(False)
    bob.sees("first")


def test_a_change_that_is_refused_says_why(meet: Meet) -> None:
    with ServerProcess(EDIT_SECONDS="0") as server:
        ann = meet(server.url, "Ann")
        ann.say("one")
        ann.sees("one")
        open_change(ann, "one")
        dialog(ann).get_by_role("textbox").fill("first")
        dialog(ann).get_by_role("button", name="Save").click()
        expect(dialog(ann).get_by_role("alert")).to_have_text("It is too late to change this message.")
        dialog(ann).get_by_role("button", name="Cancel").click()
        ann.sees("one")
