"""The page in Chromium: what moderators do, and what the users see of it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.axe import complaints
from tests.browser.person import Meet, Person, password_of
from tests.system.operator import operate
from tests.system.server import ServerProcess


class Civil(ServerProcess):
    """A server, and the operator beside it."""

    def __init__(self, socket: Path) -> None:
        super().__init__(ADMIN_SOCKET=str(socket))
        self._settings = {"ADMIN_SOCKET": str(socket)}

    def operate(self, command: str, user: str, **fields: Any) -> dict[str, Any]:
        """Run a command in a thread without the event loop of the browser."""
        rows: list[dict[str, Any]] = []

        def run() -> None:
            rows.extend(operate(self._settings, command, f"{user.lower()}@chat.test", **fields).rows)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return rows[0]


@pytest.fixture
def civil(tmp_path: Path) -> Iterator[Civil]:
    with Civil(tmp_path / "admin") as server:
        yield server


def open_moderation(moderator: Person, text: str) -> None:
    message = moderator.page.locator("#messages .message", has_text=text)
    message.get_by_role("button", name="Moderate").click()


def moderate(moderator: Person, act: str, reason: str = "spam") -> None:
    """Act on the newest message of Eve."""
    of_eve = moderator.page.locator("#messages .message", has=moderator.page.locator(".author", has_text="Eve"))
    of_eve.get_by_role("button", name="Moderate").last.click()
    dialog = moderator.page.get_by_role("dialog", name="Moderate Eve")
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name=act).click()


def test_a_moderator_deletes_mutes_bans_and_lifts_and_each_user_sees_it(
    civil: Civil, meet: Meet, shots: Path
) -> None:
    max_, eve, bob = (meet(civil.url, name) for name in ("Max", "Eve", "Bob"))
    for number, text in enumerate(("hello", "buy this", "buy it now")):
        eve.say(text)
        expect(bob.contents).to_have_count(number + 1)
    expect(max_.page.get_by_role("button", name="Moderate")).to_have_count(0)
    civil.operate("promote", "Max", role="moderator")
    max_.page.reload()
    max_.is_connected()
    max_.sees("hello", "buy this", "buy it now")

    moderate(max_, "Delete this message")
    for person in (max_, eve, bob):
        person.sees("hello", "buy this")

    moderate(max_, "Mute for a day", reason=" ")
    dialog = max_.page.get_by_role("dialog", name="Moderate Eve")
    expect(dialog.get_by_role("alert")).to_contain_text("1 to 500 characters")
    dialog.get_by_label("Reason").fill("spam")
    dialog.get_by_label("Reason").press("Enter")  # presses no button
    dialog.get_by_role("button", name="Mute for a day").click()
    expect(dialog).to_be_hidden()
    eve.say("buy that")
    expect(eve.pending.locator(".problem")).to_contain_text("A moderator has muted you")
    expect(eve.pending.locator(".problem")).to_contain_text("until")
    bob.say("quiet now")
    expect(eve.contents.last).to_have_text("quiet now")  # a muted user reads
    eve.pending.get_by_role("button", name="Remove").click()

    open_moderation(max_, "buy this")
    expect(dialog).to_contain_text("Muted until")
    expect(dialog.get_by_role("button", name="Lift the ban")).to_be_hidden()
    assert complaints(max_.page) == []
    max_.page.screenshot(path=shots / "moderation.png")
    dialog.get_by_role("button", name="Cancel").click()
    moderate(max_, "Lift the mute", "promised to stop")
    eve.say("sorry")
    for person in (max_, eve, bob):
        person.sees("hello", "buy this", "quiet now", "sorry")

    moderate(max_, "Ban for ever")
    notice = eve.page.get_by_role("dialog", name="Sign in to Chat.io")
    expect(notice).to_contain_text("This account is banned without an end.")
    expect(bob.page.locator("#people-count")).to_have_text("2")
    notice.get_by_label("E-mail").fill("eve@chat.test")
    notice.get_by_label("Password").fill(password_of("Eve"))
    notice.get_by_role("button", name="Sign in").click()
    expect(notice.get_by_role("alert")).to_contain_text("This account is banned.")
    expect(eve.page.get_by_role("button", name="Moderate")).to_have_count(0)
    moderate(max_, "Lift the ban", "a second chance")
    notice.get_by_role("button", name="Sign in").click()
    eve.is_connected()
    eve.sees("hello", "buy this", "quiet now", "sorry")


def test_a_code_of_the_operator_sets_a_new_password_and_signs_in(civil: Civil, meet: Meet) -> None:
    ann = meet(civil.url, "Ann")
    code = civil.operate("reset-password", "Ann")["code"]
    other = meet(civil.url)
    other.page.get_by_role("button", name="I have a one-time code").click()
    dialog = other.page.get_by_role("dialog", name="Set a new password")
    dialog.get_by_label("E-mail").fill("ann@chat.test")
    dialog.get_by_label("One-time code").fill("WRONG")
    dialog.get_by_label("Password").fill("a new password")
    dialog.get_by_role("button", name="Set it and sign in").click()
    expect(dialog.get_by_role("alert")).to_contain_text("This code is wrong, used or over.")
    dialog.get_by_label("One-time code").fill(code.lower())
    dialog.get_by_role("button", name="Set it and sign in").click()
    other.is_connected()
    expect(ann.page.get_by_role("dialog", name="Sign in again")).to_be_visible()


def test_a_user_deletes_the_account_with_the_messages(civil: Civil, meet: Meet) -> None:
    ann = meet(civil.url, "Ann")
    ann.say("forget me")
    ann.sees("forget me")
    ann.page.get_by_role("button", name="Ann").click()
    ann.page.get_by_text("Delete account").click()
    part = ann.page.locator("#delete-account")
    part.get_by_label("Your password").fill(password_of("Ann"))
    part.get_by_label("Delete my messages too").check()
    part.get_by_role("button", name="Delete it for good").click()
    expect(ann.page.get_by_role("dialog", name="Sign in to Chat.io")).to_contain_text("This account was deleted.")
    bob = meet(civil.url, "Bob")
    bob.say("anybody here?")
    bob.sees("anybody here?")
