"""The page in Chromium: by keyboard, with a screen reader, on a phone, in light and dark; and its pictures."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from handlers.rest.page import read_page
from tests.browser.axe import DESKTOP, PHONE, complaints
from tests.browser.person import Meet
from tests.paths import ROOT
from tests.system.js import JsClients
from tests.system.server import ServerProcess


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["wide", "narrow"])
def test_axe_finds_nothing_and_pictures_are_taken(
    server: ServerProcess, meet: Meet, shots: Path, scheme: str, viewport: dict[str, int]
) -> None:
    name = f"{scheme}-{viewport['width']}"
    ann = meet(server.url, color_scheme=scheme, viewport=viewport)
    bob = meet(server.url)
    for mode in ("Create an account", "I have an account"):
        ann.page.get_by_role("button", name=mode).click()
        assert complaints(ann.page) == []
    ann.page.screenshot(path=shots / f"sign-in-{name}.png")
    ann.sign_up("Ann")
    bob.sign_up("Bob")
    bob.say("Good morning! Did the new release go out?")
    ann.sees("Good morning! Did the new release go out?")
    ann.say("An hour ago. Everything is green so far.")
    ann.say("The notes are at https://chat.example/releases/4.2 (have a look).")
    expect(bob.contents).to_have_count(3)
    bob.say(
        "Lovely, I will tell the others.\n\n"
        "What happens to people who are connected while a server restarts? Do they come back by themselves?"
    )
    expect(ann.contents).to_have_count(4)
    ann.say("They do, and nobody misses a message.")
    expect(ann.contents).to_have_count(5)
    bob.say("@Ann, I ran this:\n```sh\nmake run\n```\nand it said `ready` at www.chat.example")
    expect(ann.contents).to_have_count(6)
    bob.draft.press_sequentially("Then I may", delay=300)
    expect(ann.page.locator("#typing")).to_contain_text("Bob")
    assert complaints(ann.page) == []
    ann.page.screenshot(path=shots / f"chat-{name}.png")
    ann.page.locator("#me").click()
    for part in ("Change password", "Delete account"):
        ann.page.get_by_role("dialog").get_by_text(part).click()
        assert complaints(ann.page) == []
    ann.page.screenshot(path=shots / f"account-{name}.png")


def test_axe_finds_nothing_where_something_is_wrong(meet: Meet, shots: Path) -> None:
    with ServerProcess(MESSAGE_MAX_CHARS="20") as server:
        ann = meet(server.url)
        ann.page.get_by_role("button", name="Create an account").click()
        ann.page.get_by_role("button", name="Sign up").click()
        expect(ann.page.locator("#email-problem")).not_to_be_empty()
        assert complaints(ann.page) == []
        ann.page.screenshot(path=shots / "sign-up-wrong.png")
        ann.page.get_by_role("button", name="I have an account").click()
        ann.page.route("**/asyncapi.json", lambda route: route.abort())  # the page does not learn the limit
        ann.sign_up("Ann")
        ann.say("longer than twenty characters")
        expect(ann.pending).to_contain_text("too long")
        assert complaints(ann.page) == []
    expect(ann.status).to_contain_text("Reconnecting")
    assert complaints(ann.page) == []
    ann.page.screenshot(path=shots / "wrong.png")


def test_everything_can_be_done_by_keyboard(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url)
    keys = ann.page.keyboard
    expect(ann.page.get_by_label("E-mail")).to_be_focused()
    for _ in range(4):  # past the password, the choice to stay and the button
        keys.press("Tab")
    keys.press("Enter")  # Create an account
    expect(ann.page.get_by_label("Name")).to_be_focused()
    for text in ("Ann", "ann@chat.test", "Ann's password"):
        keys.type(text)
        keys.press("Tab")
    keys.press("Enter")  # Sign up
    ann.is_connected()
    expect(ann.draft).to_be_focused()
    keys.type("one line")
    keys.press("Shift+Enter")
    keys.type("and another")
    keys.press("Enter")
    ann.sees("one line\nand another")
    expect(ann.draft).to_be_focused()
    expect(ann.draft).to_have_value("")
    for number in range(40):
        keys.type(str(number))
        keys.press("Enter")
    expect(ann.contents).to_have_count(41)
    keys.press("Shift+Tab")
    expect(ann.page.get_by_role("log", name="Messages")).to_be_focused()
    keys.press("Home")
    expect(ann.contents.first).to_be_in_viewport()
    # The first stop of the page leads past everything.
    keys.press("Shift+Tab")  # Sign out
    keys.press("Shift+Tab")  # the account
    keys.press("Shift+Tab")
    expect(ann.page.get_by_role("link", name="Skip to writing a message")).to_be_focused()
    keys.press("Enter")
    expect(ann.draft).to_be_focused()
    assert ann.draft.evaluate("draft => draft.enterKeyHint") == "send"
    keys.press("Shift+Tab")  # to the newest
    expect(ann.page.get_by_role("button", name="To the newest")).to_be_focused()
    keys.press("Enter")
    keys.press("Shift+Tab")
    keys.press("Enter")  # Sign out
    expect(ann.page.get_by_role("dialog", name="Sign in to Chat.io")).to_be_visible()


def test_a_screen_reader_finds_its_way(server: ServerProcess, meet: Meet, js: JsClients) -> None:
    ann = meet(server.url, "Ann")
    for role, name in [("banner", ""), ("main", "Chat"), ("complementary", "Online"), ("log", "Messages")]:
        expect(ann.page.get_by_role(role, name=name)).to_have_count(1)  # type: ignore[arg-type]
    js.join("bob", server.url, server.sign_up("Bob"))
    announcer = ann.page.locator("#announcer[aria-live=polite]")
    ann.page.wait_for_timeout(1000)  # what comes in the first second is history
    js.burst("bob", [{"content": "Hello"}, {"content": "again"}])
    expect(announcer).to_have_text("Bob: Hello Bob: again")
    js.burst("bob", [{"content": str(number)} for number in range(20)])
    expect(announcer).to_have_text("20 new messages")
    # A screen reader reads neither the whole history to a new user, nor their own messages.
    ann.page.reload()
    ann.is_connected()
    expect(ann.contents).to_have_count(22)
    ann.say("mine")
    expect(ann.contents).to_have_count(23)
    ann.page.wait_for_timeout(1500)  # longer than what came is gathered
    expect(announcer).to_have_text("")


def test_on_a_phone_everything_fits_and_people_are_a_tap_away(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url, viewport={"width": 320, "height": 568}, has_touch=True, is_mobile=True)
    ann.sign_up("Ann-with-a-rather-long-name-that-goes-on")
    ann.draft.fill("Hello")
    ann.page.get_by_role("button", name="Send").tap()
    ann.sees("Hello")
    assert ann.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    people = ann.page.get_by_role("complementary", name="Online")
    toggle = ann.page.get_by_role("button", name=re.compile("online"))
    expect(people).to_be_hidden()
    toggle.tap()
    expect(people).to_be_visible()
    expect(toggle).to_have_attribute("aria-expanded", "true")
    toggle.tap()
    expect(people).to_be_hidden()
    toggle.tap()
    expect(people).to_be_visible()
    ann.contents.tap()  # outside
    expect(people).to_be_hidden()
    expect(toggle).to_have_attribute("aria-expanded", "false")
    expect(ann.page.locator("#me")).to_be_visible()
    expect(ann.page.locator("#me")).to_contain_text("Ann-with")
    for button in ann.page.get_by_role("button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 32
    # On a touch screen Enter is a new line, and the key says so.
    assert ann.draft.evaluate("draft => draft.enterKeyHint") == "enter"
    ann.draft.press_sequentially("a")
    ann.draft.press("Enter")
    expect(ann.draft).to_have_value("a\n")


def test_keyboard_of_a_phone_does_not_cover_the_composer(server: ServerProcess, meet: Meet) -> None:
    """In Safari the keyboard lies over the page, and only the visual viewport tells."""
    ann = meet(server.url, viewport=PHONE, has_touch=True, is_mobile=True)
    ann.page.add_init_script(
        """Object.defineProperty(visualViewport, "height", { get: () => window.seenHeight ?? innerHeight });"""
    )
    ann.page.reload()
    ann.sign_up("Ann")
    for seen, bottom in ((400, 400), (None, PHONE["height"])):
        ann.page.evaluate(
            "(seen) => { window.seenHeight = seen; visualViewport.dispatchEvent(new Event('resize')); }", seen
        )
        box = ann.page.get_by_role("button", name="Send").bounding_box()
        assert box is not None
        assert bottom - 60 < box["y"] + box["height"] <= bottom


def test_page_weighs_at_most_150_kib_compressed() -> None:
    files = read_page(ROOT / "web")
    assert "/web/socket.io.js" in files
    assert sum(len(file.gzipped) for file in files.values()) <= 150 * 1024


def test_user_that_asked_for_less_motion_gets_none(browser: Browser, server: ServerProcess, meet: Meet) -> None:
    for wish, count in (("reduce", 0), ("no-preference", 1)):
        ann = meet(server.url, reduced_motion=wish)
        expect(ann.page.get_by_role("dialog")).to_be_visible()
        running = ann.page.evaluate(
            "document.querySelector('dialog').getAnimations().length + "
            "(getComputedStyle(document.querySelector('dialog')).animationName !== 'none')"
        )
        assert min(running, 1) == count
