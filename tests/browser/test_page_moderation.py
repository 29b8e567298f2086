"""The page in Chromium: what moderators do, and what the users see of it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

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


def moderate(moderator: Person, act: str, reason: str = "spam") -> None:
    moderator.page.get_by_role("button", name="Moderate").last.click()
    dialog = moderator.page.get_by_role("dialog", name="Moderate Eve")
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name=act).click()


def test_a_moderator_mutes_and_bans_at_the_page(civil: Civil, meet: Meet) -> None:
    max_, eve = meet(civil.url, "Max"), meet(civil.url, "Eve")
    eve.say("buy this")
    max_.sees("buy this")
    expect(max_.page.get_by_role("button", name="Moderate")).to_have_count(0)
    civil.operate("promote", "Max", role="moderator")
    max_.page.reload()
    max_.is_connected()
    moderate(max_, "Mute for a day", reason=" ")
    dialog = max_.page.get_by_role("dialog", name="Moderate Eve")
    expect(dialog.get_by_role("alert")).to_contain_text("1 to 500 characters")
    dialog.get_by_label("Reason").fill("spam")
    dialog.get_by_role("button", name="Mute for a day").click()
    expect(dialog).to_be_hidden()
    eve.say("buy that")
    expect(eve.pending.locator(".problem")).to_contain_text("A moderator has muted you")
    expect(eve.pending.locator(".problem")).to_contain_text("until")
    moderate(max_, "Ban for ever")
    notice = eve.page.get_by_role("dialog", name="Sign in to Chat.io")
    expect(notice).to_contain_text("This account is banned without an end.")
    notice.get_by_label("E-mail").fill("eve@chat.test")
    notice.get_by_label("Password").fill(password_of("Eve"))
    notice.get_by_role("button", name="Sign in").click()
    expect(notice.get_by_role("alert")).to_contain_text("This account is banned.")
    expect(eve.page.get_by_role("button", name="Moderate")).to_have_count(0)


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
