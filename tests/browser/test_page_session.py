"""The page in Chromium: a sign-in that ends, is renewed, or is shared by two tabs."""

from playwright.sync_api import expect

from tests.browser.person import Meet, password_of
from tests.system.server import ServerProcess

TTL_SECONDS = 8


def test_a_token_that_ends_asks_for_the_password_and_loses_nothing_typed(meet: Meet) -> None:
    with ServerProcess(JWT_TTL_SECONDS=str(TTL_SECONDS)) as server:
        ann = meet(server.url, "Ann")
        ann.say("before")
        ann.sees("before")
        ann.draft.fill("half of a sen")
        dialog = ann.page.get_by_role("dialog", name="Sign in again")
        expect(dialog).to_contain_text("What you typed is still here.")
        expect(dialog.get_by_label("E-mail")).to_have_value("ann@chat.test")
        expect(dialog.get_by_label("Password")).to_be_focused()
        ann.page.keyboard.press("Escape")
        ann.page.keyboard.press("Escape")
        expect(dialog).to_be_visible()
        dialog.get_by_label("Password").fill(password_of("Ann"))
        ann.page.keyboard.press("Enter")
        expect(ann.status).to_have_text("Back, nothing missed.")
        expect(ann.draft).to_be_focused()
        ann.page.keyboard.type("tence")
        ann.page.keyboard.press("Enter")
        ann.sees("before", "half of a sentence")


def test_a_token_that_is_about_to_end_is_renewed_without_leaving(meet: Meet) -> None:
    with ServerProcess(JWT_TTL_SECONDS=str(TTL_SECONDS)) as server:
        ann = meet(server.url, "Ann")
        ann.draft.fill("still here")
        other = ann.open_tab()
        ann.page.bring_to_front()
        for _ in range(2):  # then the first token has ended
            ann.page.get_by_role("button", name="Stay signed in").click()
            dialog = ann.page.get_by_role("dialog", name="Stay signed in")
            dialog.get_by_label("Password").fill(password_of("Ann"))
            dialog.get_by_role("button", name="Stay signed in").click()
            expect(dialog).to_be_hidden()
            expect(ann.draft).to_be_focused()
            expect(ann.page.locator("#ending")).to_be_empty()
        expect(ann.status).to_have_text("Connected")
        ann.page.keyboard.press("Enter")
        ann.sees("still here")
        expect(other.locator("#messages .content")).to_have_text("still here")
        expect(other.locator("#status")).to_have_text("Connected")


def test_two_tabs_of_one_person_are_in_step(server: ServerProcess, meet: Meet) -> None:
    ann, bob = meet(server.url, "Ann"), meet(server.url, "Bob")
    other = ann.open_tab()
    expect(other.locator("#status")).to_have_text("Connected")
    ann.say("from the first tab")
    bob.say("from Bob")
    expect(other.locator("#messages .content")).to_have_text(["from the first tab", "from Bob"])
    expect(other.locator("#messages .own .content")).to_have_text(["from the first tab"])
    # Slowly: the server reports a user as typing once a second.
    other.get_by_label("Message", exact=True).press_sequentially("from the second tab", delay=200)
    expect(bob.page.locator("#typing")).to_contain_text("Ann")
    assert ann.page.locator("#typing").text_content() == ""
    other.keyboard.press("Enter")
    ann.sees("from the first tab", "from Bob", "from the second tab")
    expect(ann.page.locator("#messages .own")).to_have_count(2)
    expect(bob.page.locator("#people li")).to_have_count(2)

    ann.page.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("dialog")).to_contain_text("You signed out in another tab")
    expect(other.locator("#messages li")).to_have_count(0)
    ann.sign_in("Ann")
    expect(other.locator("#status")).to_have_text("Connected")
    expect(other.locator("#messages .content")).to_have_count(3)
    expect(other.get_by_role("dialog")).to_be_hidden()


def test_another_person_in_one_tab_is_that_person_in_all(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url, "Ann")
    other = ann.open_tab()
    ann.page.get_by_role("button", name="Sign out").click()
    ann.sign_up("Bea")
    expect(other.locator("#me")).to_have_text("Bea")
    expect(other.locator("#status")).to_have_text("Connected")


def test_an_account_that_was_deleted_elsewhere_is_signed_out(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url, "Ann")
    token = ann.page.evaluate("localStorage.getItem('chatio.token')")
    answer = server.request(
        "DELETE", "/user", {"password": password_of("Ann")}, {"Authorization": f"Bearer {token}"}
    )
    assert answer.status == 204
    expect(ann.page.get_by_role("dialog")).to_contain_text("This account was deleted.")
    expect(ann.page.get_by_role("dialog", name="Sign in to Chat.io")).to_be_visible()
