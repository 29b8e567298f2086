"""The documents in Chromium: a developer tries calls at /docs, under its policy, in light and dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.axe import DESKTOP, PHONE, complaints
from tests.browser.person import PATIENCE_MS
from tests.system.server import ServerProcess


@pytest.fixture
def docs(browser: Browser, server: ServerProcess) -> Iterator[Page]:
    """/docs in a new browser; fails for what its policy blocks, and for requests to elsewhere."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if "Security Policy" in said.text else None)
    page.on("request", lambda sent: None if is_near(sent.url, server) else problems.append(sent.url))
    page.goto(f"{server.url}/docs")
    yield page
    page.close()
    assert problems == []


def is_near(url: str, server: ServerProcess) -> bool:
    return url.startswith((server.url, "data:"))


def operation(docs: Page, identifier: str) -> Locator:
    return docs.locator(f".opblock[id$='-{identifier}']")


def try_out(docs: Page, identifier: str) -> Locator:
    """Run the operation with what is filled in; returns the status of its answer."""
    tried = operation(docs, identifier)
    if tried.get_by_role("button", name="Execute").count() == 0:
        tried.locator(".opblock-summary-control").click()
    tried.get_by_role("button", name="Execute").click()
    return tried.locator(".live-responses-table .response-col_status").last


def test_a_developer_registers_logs_in_and_calls_with_the_token(docs: Page) -> None:
    expect(try_out(docs, "get_user")).to_have_text("401")
    register, login = (
        '{"name": "Dev", "email": "dev@chat.test", "password": "violet kettle"}',
        operation(docs, "post_login"),
    )
    operation(docs, "post_register").locator(".opblock-summary-control").click()
    operation(docs, "post_register").get_by_role("textbox").fill(register)
    expect(try_out(docs, "post_register")).to_have_text("201")
    login.locator(".opblock-summary-control").click()
    login.get_by_role("textbox").fill('{"email": "dev@chat.test", "password": "violet kettle"}')
    expect(try_out(docs, "post_login")).to_have_text("200")
    expect(try_out(docs, "get_user")).to_have_text("200")
    expect(operation(docs, "get_user").locator(".live-responses-table")).to_contain_text("dev@chat.test")
    expect(try_out(docs, "post_logout")).to_have_text("204")
    expect(try_out(docs, "get_user")).to_have_text("401")


def test_examples_stand_in_the_bodies_and_answers(docs: Page) -> None:
    register = operation(docs, "post_register")
    register.locator(".opblock-summary-control").click()
    assert "ann@chat.example" in register.get_by_role("textbox").input_value()
    expect(register.locator(".responses-table").last).to_contain_text("email_already_used")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["wide", "narrow"])
def test_axe_finds_nothing_serious(
    browser: Browser, server: ServerProcess, shots: Path, scheme: str, viewport: dict[str, int]
) -> None:
    page = browser.new_page(color_scheme=scheme, viewport=viewport)  # type: ignore[arg-type]
    page.goto(f"{server.url}/docs")
    page.locator(".opblock-summary-control").first.click()
    expect(page.locator(".responses-table").last).to_be_visible()
    # What Swagger UI itself leaves: the order of its headings, and parts outside of landmarks.
    assert complaints(page, harmless=("minor", "moderate")) == []
    page.screenshot(path=shots / f"docs-{scheme}-{viewport['width']}.png")
    page.get_by_role("link", name="Chat over Socket.IO").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Socket.IO")
    assert complaints(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=shots / f"docs-chat-{scheme}-{viewport['width']}.png")
    page.close()
