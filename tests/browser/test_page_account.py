"""The page in Chromium: the account dialog."""

import json
from pathlib import Path

from playwright.sync_api import Route, expect

from tests.browser.axe import complaints
from tests.browser.person import Meet, password_of
from tests.system.server import ServerProcess


def test_password_is_changed_and_this_page_goes_on_while_the_others_sign_in_again(
    server: ServerProcess, meet: Meet
) -> None:
    ann, elsewhere = meet(server.url), meet(server.url)
    ann.sign_up("Ann")
    elsewhere.sign_in("Ann")
    other = ann.open_tab()
    ann.draft.fill("still here")
    ann.page.get_by_role("button", name="Ann").click()
    dialog = ann.page.get_by_role("dialog", name="Ann")
    dialog.get_by_text("Change password").click()
    dialog.get_by_label("Old password").fill("not hers at all")
    dialog.get_by_label("New password").fill("a password of 2026")
    dialog.get_by_role("button", name="Change it").click()
    expect(dialog.get_by_role("alert")).to_have_text("This is not your password.")
    dialog.get_by_label("Old password").fill(password_of("Ann"))
    dialog.get_by_label("New password").fill("x")
    dialog.get_by_role("button", name="Change it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("characters")
    dialog.get_by_label("New password").fill("a password of 2026")
    assert complaints(ann.page) == []
    dialog.get_by_role("button", name="Change it").click()
    expect(dialog).to_be_hidden()
    expect(ann.draft).to_have_value("still here")
    ann.draft.press("Enter")
    ann.sees("still here")
    expect(ann.page.get_by_role("dialog")).to_have_count(0)
    expect(other.locator("#messages .content")).to_have_text(["still here"])
    expect(other.get_by_role("dialog")).to_have_count(0)
    again = elsewhere.page.get_by_role("dialog", name="Sign in again")
    expect(again).to_contain_text("password was changed")
    again.get_by_label("Password").fill("a password of 2026")
    again.get_by_role("button", name="Sign in", exact=True).click()
    elsewhere.sees("still here")


def test_signing_out_everywhere_ends_every_device(server: ServerProcess, meet: Meet) -> None:
    ann, elsewhere = meet(server.url), meet(server.url)
    ann.sign_up("Ann")
    elsewhere.sign_in("Ann")
    ann.page.get_by_role("button", name="Ann").click()
    dialog = ann.page.get_by_role("dialog", name="Ann")
    dialog.get_by_text("Sign out everywhere").click()
    dialog.get_by_role("button", name="Sign out on every device").click()
    expect(ann.page.get_by_role("dialog")).to_contain_text("You are signed out on every device.")
    expect(elsewhere.page.get_by_role("dialog", name="Sign in to Chat.io")).to_contain_text("on another device")
    ann.sign_in("Ann")


def test_account_is_deleted_for_good(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url)
    ann.sign_up("Ann")
    ann.page.get_by_role("button", name="Ann").click()
    dialog = ann.page.get_by_role("dialog", name="Ann")
    dialog.get_by_text("Delete account").click()
    dialog.locator("#delete-account").get_by_label("Your password").fill(password_of("Ann"))
    dialog.get_by_role("button", name="Delete it for good").click()
    expect(ann.page.get_by_role("dialog")).to_contain_text("This account was deleted.")
    assert ann.page.evaluate("localStorage.length") == 0
    assert (
        server.request("POST", "/login", {"email": "ann@chat.test", "password": password_of("Ann")}).status == 404
    )


def test_signing_out_here_leaves_the_other_devices(server: ServerProcess, meet: Meet) -> None:
    phone = {"width": 320, "height": 568}
    ann, elsewhere = meet(server.url, viewport=phone, has_touch=True, is_mobile=True), meet(server.url)
    ann.sign_up("Ann")
    elsewhere.sign_in("Ann")
    ann.page.locator("#me").tap()
    ann.page.get_by_role("button", name="Sign out here").tap()
    expect(ann.page.get_by_role("dialog", name="Sign in to Chat.io")).to_be_visible()
    elsewhere.say("still here")
    elsewhere.sees("still here")


def test_export_is_offered_where_the_server_has_it(server: ServerProcess, meet: Meet, tmp_path: Path) -> None:
    ann = meet(server.url)
    kept = {"name": "Ann", "messages": ["Hello!"]}

    def describe(route: Route) -> None:
        document = route.fetch().json()
        document["paths"]["/user/export"] = document["paths"].get("/user/export", {})
        route.fulfill(json=document)

    ann.page.route("**/openapi.json", describe)
    ann.page.route("**/user/export", lambda route: route.fulfill(json=kept))
    ann.sign_up("Ann")
    ann.page.get_by_role("button", name="Ann").click()
    with ann.page.expect_download() as downloading:
        ann.page.get_by_role("button", name="Download my data").click()
    downloading.value.save_as(tmp_path / "export.json")
    assert json.loads((tmp_path / "export.json").read_text("utf-8")) == kept


def test_user_that_does_not_stay_signed_in_is_signed_out_with_the_tab(server: ServerProcess, meet: Meet) -> None:
    server.sign_up("ann")
    ann = meet(server.url)
    ann.page.get_by_label("Stay signed in").uncheck()
    ann.sign_in("ann")
    assert ann.page.evaluate("localStorage.length") == 0
    ann.page.reload()
    ann.is_connected()
    ann.page.close()
    ann.page = ann.open_tab()
    expect(ann.page.get_by_role("dialog", name="Sign in to Chat.io")).to_be_visible()
    ann.sign_in("ann")
    ann.page.close()
    ann.page = ann.open_tab()
    ann.is_connected()
