"""Fixtures: Debian's Chromium, users in it, and those of the system tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.person import NAMED_HOST, Meet, Person
from tests.paths import ROOT
from tests.system.conftest import js, server

__all__ = ["browser", "js", "meet", "server", "shots"]

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", f"--host-resolver-rules=MAP {NAMED_HOST} 127.0.0.1"),
]
WIDE = {"width": 1200, "height": 760}


@pytest.fixture(scope="module")  # while it is open no other event loop runs in this thread
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def meet(browser: Browser) -> Iterator[Meet]:
    """Make users, each with a browser of their own; one that is given a name signs up.

    An error in one of their pages fails the test.
    """
    people: list[Person] = []

    def make(url: str, name: str = "", **options: Any) -> Person:
        context = browser.new_context(**{"viewport": WIDE, "locale": "en-GB", **options})
        people.append(Person(context, url))
        if name:
            people[-1].sign_up(name)
        return people[-1]

    yield make
    for person in people:
        person.context.close()
    assert [problem for person in people for problem in person.problems] == []


@pytest.fixture
def shots() -> Path:
    """The folder of screenshots, for developers to look at; git ignores it."""
    folder = ROOT / "tests/browser/shots"
    folder.mkdir(exist_ok=True)
    return folder
