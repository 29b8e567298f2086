"""The page in Chromium at 320 px: no name and no message of one user breaks the page of another."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.person import Meet
from tests.system.js import JsClients
from tests.system.server import ServerProcess

PHONE = {"width": 320, "height": 568}
MARKS = "\u0301\u0336\u0489\u033f" * 50
NAMES = {
    "unbroken": "W" * 64,
    "marks": "ก็" * 32,  # a letter of Thai and its mark; more on one letter are refused
    "right-to-left": "שלום עולם " * 6,
    "emoji": "👩‍👩‍👧‍👦" * 9,
    "wide letters": "ஔ" * 64,  # wider ones are refused
}
TEXTS = {
    "unbroken": "W" * 10_000,
    "marks": "".join(letter + MARKS for letter in "zalgo text "),
    "lines": "x\n" * 5_000,
    "right-to-left": "\u202e" + "שלום עולם " * 400 + "\u2067",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈🇩🇪" * 600,
    "wide glyphs": "﷽𒐫𒈙⸻" * 200,
    "code": "```\n" + "W" * 4000 + "\n```\n`" + "W" * 400 + "`",
    "address": "https://chat.example/" + "a" * 900,
    "letters that just fit": "W" * 290,
    "spaces": " " * 5_000 + "x",
    "tabs": "\t" * 3_000 + "x",
}

# The elements of the page that are wider than the page, or stand out of the element that should contain them.
STANDING_OUT = """() => {
  const out = [];
  const say = (element, why) => out.push(`${why}: ${element.className || element.id || element.tagName}`);
  const isClipped = (box) => /hidden|clip/.test(getComputedStyle(box).overflowX);
  const root = document.scrollingElement;
  if (root.scrollWidth > innerWidth) say(root, "scrolls sideways");
  for (const box of document.querySelectorAll("#scroller, #people, header, #foot, #typing"))
    if (box.offsetParent && box.scrollWidth > box.clientWidth && !isClipped(box))
      say(box, "scrolls sideways");
  for (const bubble of document.querySelectorAll(".bubble")) {
    const outer = bubble.getBoundingClientRect();
    if (outer.left < 0 || outer.right > innerWidth) say(bubble, "leaves the page");
    if (outer.height > innerHeight) say(bubble, "fills the room");
    for (const part of bubble.children) {
      const inner = part.getBoundingClientRect();
      const isIn =
        inner.left > outer.left - 1 && inner.right < outer.right + 1 && inner.bottom < outer.bottom + 1;
      if (inner.width > 1 && !isIn)
        say(part, "leaves its bubble");
    }
  }
  return out;
}"""


def standing_out(page: Page) -> list[str]:
    found: list[str] = page.evaluate(STANDING_OUT)
    return found


def test_no_text_leaves_its_bubble_and_long_ones_are_folded(
    server: ServerProcess, meet: Meet, js: JsClients
) -> None:
    ann = meet(server.url, viewport=PHONE, has_touch=True, is_mobile=True)
    ann.sign_up("Ann")
    js.join("bob", server.url, server.sign_up("Bob"))
    for count, (kind, text) in enumerate(TEXTS.items(), start=1):
        js.burst("bob", [{"content": text}])
        expect(ann.contents).to_have_count(count)
        expect(ann.page.locator("#messages .message").last).to_be_in_viewport()
        assert standing_out(ann.page) == [], kind


def test_marks_are_not_painted_over_the_message_above(server: ServerProcess, meet: Meet, js: JsClients) -> None:
    ann = meet(server.url, viewport=PHONE)
    ann.sign_up("Ann")
    js.join("bob", server.url, server.sign_up("Bob"))
    js.burst("bob", [{"content": "plain"}])
    expect(ann.contents).to_have_count(1)
    js.burst("bob", [{"content": TEXTS["marks"]}])
    expect(ann.contents).to_have_count(2)
    painted = ann.contents.first.screenshot()
    ann.contents.last.evaluate("content => content.style.visibility = 'hidden'")
    assert ann.contents.first.screenshot() == painted


def test_folded_message_is_unfolded_and_folded_again(server: ServerProcess, meet: Meet, js: JsClients) -> None:
    ann = meet(server.url, viewport=PHONE)
    ann.sign_up("Ann")
    js.join("bob", server.url, server.sign_up("Bob"))
    js.burst("bob", [{"content": TEXTS["lines"]}])
    message = ann.page.locator("#messages .message")
    expect(message).to_have_count(1)
    folded = message.bounding_box()
    assert folded is not None
    message.get_by_role("button", name="Show all").click()
    unfolded = message.bounding_box()
    assert unfolded is not None
    assert unfolded["height"] > 50_000
    message.get_by_role("button", name="Show less").click()
    assert message.bounding_box()["height"] == folded["height"]  # type: ignore[index]
    expect(message).to_be_in_viewport()


@pytest.mark.parametrize("kind", NAMES)
def test_no_name_breaks_the_page_of_its_owner_or_of_another(
    server: ServerProcess, meet: Meet, js: JsClients, kind: str
) -> None:
    name = NAMES[kind]
    ann = meet(server.url, viewport=PHONE, has_touch=True, is_mobile=True)
    ann.page.get_by_role("button", name="Create an account").tap()
    for label, text in (("Name", name), ("E-mail", "odd@chat.test"), ("Password", "a long password")):
        ann.page.get_by_label(label).fill(text)
    ann.page.get_by_role("button", name="Sign up").tap()
    ann.is_connected()
    ann.draft.fill("mine")
    ann.page.get_by_role("button", name="Send").tap()
    bob = meet(server.url, viewport=PHONE, has_touch=True, is_mobile=True)
    bob.sign_up("Bob")
    expect(bob.contents).to_have_text(["mine"])
    ann.draft.press_sequentially("typing", delay=500)  # the page tells of it at most once in two seconds
    expect(bob.page.locator("#typing")).to_contain_text("is typing…")
    # The sentence is whole, in its own direction, whatever the name is.
    assert bob.page.evaluate(
        """() => {
          const line = document.querySelector("#typing");
          const range = document.createRange();
          range.selectNodeContents(line.lastChild);
          const end = range.getBoundingClientRect();
          return end.right <= line.getBoundingClientRect().right + 1 && end.left > 0 && end.width > 40;
        }"""
    )
    for person in (ann, bob):
        person.page.get_by_role("button", name="online").tap()
        assert standing_out(person.page) == []
