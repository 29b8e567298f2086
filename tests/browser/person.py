"""A user at the page; the helper finds elements by their labels."""

from collections.abc import Callable

from playwright.sync_api import BrowserContext, Locator, Page, expect

PATIENCE_MS = 20_000

NAMED_HOST = "chat.test"  # to the browsers of the tests a name of 127.0.0.1

LOST = "Connection lost. Reconnecting…"

expect.set_options(timeout=PATIENCE_MS)

# The browser's own console lines: about answers that the page handles, and a header that plain http ignores.
_DEALT_WITH = (
    "Failed to load resource",
    "WebSocket connection to",
    "The Cross-Origin-Opener-Policy header has been",
)


def password_of(name: str) -> str:
    return f"{name}'s password"


class Person:
    """One browser with one tab at first. `problems`: errors in the console, and exceptions."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.problems: list[str] = []
        self.page = self.open_tab()

    def open_tab(self) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda said: self._heard(said.type, said.text))
        page.goto(self.url)
        return page

    def sign_up(self, name: str) -> None:
        self.ask_to_sign_up(name)
        self.is_connected()

    def ask_to_sign_up(self, name: str, email: str | None = None) -> None:
        self.page.get_by_role("button", name="Create an account").click()
        self.page.get_by_label("Name").fill(name)
        self._credentials(name, email)
        self.page.get_by_role("button", name="Sign up").click()

    def sign_in(self, name: str) -> None:
        self._credentials(name)
        self.page.get_by_role("button", name="Sign in").click()
        self.is_connected()

    def is_connected(self) -> None:
        expect(self.status).to_have_text("Connected")

    @property
    def status(self) -> Locator:
        return self.page.locator("#status")

    @property
    def draft(self) -> Locator:
        return self.page.get_by_label("Message", exact=True)

    @property
    def contents(self) -> Locator:
        """The contents of the messages that are shown."""
        return self.page.locator("#messages .content")

    @property
    def pending(self) -> Locator:
        return self.page.locator("#pending li")

    def say(self, text: str) -> None:
        self.draft.fill(text)
        self.draft.press("Enter")

    def sees(self, *texts: str) -> None:
        """Wait until exactly `texts` are shown, in order, and no own message is pending."""
        expect(self.contents).to_have_text(list(texts), use_inner_text=True)
        expect(self.pending).to_have_count(0)

    def _credentials(self, name: str, email: str | None = None) -> None:
        self.page.get_by_label("E-mail").fill(email or f"{name.lower().replace(' ', '.')}@chat.test")
        self.page.get_by_label("Password").fill(password_of(name))

    def _heard(self, kind: str, text: str) -> None:
        if kind == "error" and not text.startswith(_DEALT_WITH):
            self.problems.append(text)


Meet = Callable[..., Person]  # the fixture `meet`
