"""The page in Chromium: signing in, and talking."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.person import Meet
from tests.client.protocol import token
from tests.system.js import JsClients
from tests.system.server import SECRET, ServerProcess

ODD_TEXTS = [
    *("<img src=x onerror=alert(1)><b>bold?</b> &amp; <script>alert(1)</script>", "x" * 10_000),
    *("שלום עולם, this way", "👩‍👩‍👧 👋🏽 e\u0301", "two\n\nparagraphs", "  spaces   kept  "),
    "' \" \\ \u202eturned\u202c",
]


def test_two_people_sign_up_and_talk(server: ServerProcess, meet: Meet) -> None:
    ann, bob = meet(server.url, "Ann"), meet(server.url, "Bob")
    ann.say("Hello!")
    bob.sees("Hello!")
    bob.say("Hi Ann.")
    ann.sees("Hello!", "Hi Ann.")

    own, other = ann.page.locator("#messages .message").all()
    assert "own" in str(own.get_attribute("class")).split()
    assert "own" not in str(other.get_attribute("class")).split()
    expect(own).to_contain_text("Sent")
    expect(own.locator(".author")).to_have_text("You")
    expect(other.locator(".author")).to_have_text("Bob")
    assert other.locator(".author").bounding_box()["width"] > 10  # type: ignore[index]  # and is seen
    expect(ann.page.locator("#messages .day")).to_have_text(["Today"])


def test_signing_out_and_in_again_shows_the_history(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url, "Ann")
    ann.say("Hello!")
    ann.sees("Hello!")
    ann.page.get_by_role("button", name="Sign out").click()
    expect(ann.page.get_by_role("dialog")).to_contain_text("Sign in to Chat.io")
    expect(ann.page.locator("#messages li")).to_have_count(0)
    assert ann.page.evaluate("localStorage.length") == 0
    ann.sign_in("Ann")
    ann.sees("Hello!")
    ann.page.reload()
    ann.is_connected()
    ann.sees("Hello!")


def test_what_is_wrong_with_a_sign_up_stands_beside_its_field(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url)
    dialog = ann.page.get_by_role("dialog")
    ann.page.get_by_role("button", name="Create an account").click()
    ann.page.get_by_label("E-mail").fill("nobody")
    ann.page.get_by_role("button", name="Sign up").click()
    expect(ann.page.get_by_label("Name")).to_be_focused()
    for label in ("Name", "E-mail", "Password"):
        expect(ann.page.get_by_label(label)).to_have_attribute("aria-invalid", "true")
        expect(ann.page.get_by_label(label)).to_have_accessible_description(re.compile(r"\w"))
    server.sign_up("Bob")
    ann.page.get_by_role("button", name="I have an account").click()
    ann.page.get_by_label("E-mail").fill("Bob@chat.test")
    ann.page.get_by_label("Password").fill("not his password")
    ann.page.get_by_role("button", name="Sign in").click()
    expect(dialog.get_by_role("alert")).to_have_text("E-mail or password is wrong.")


def test_what_the_server_refuses_of_a_sign_up_is_told_in_its_words(server: ServerProcess, meet: Meet) -> None:
    server.sign_up("Bob")
    ann = meet(server.url)
    alert = ann.page.get_by_role("dialog").get_by_role("alert")
    ann.ask_to_sign_up("Bob", email="ann@chat.test")
    expect(alert).to_have_text("This name is taken, or looks like one that is. Please choose another.")
    ann.page.get_by_label("Name").fill("Ann")
    ann.page.get_by_label("Password").fill("12345678")
    ann.page.get_by_role("button", name="Sign up").click()
    common = "This password is too common. Please choose another."
    expect(ann.page.get_by_label("Password")).to_have_accessible_description(common)
    ann.page.get_by_label("Password").fill("a password of 2026")
    ann.page.get_by_label("E-mail").fill("bob@chat.test")
    ann.page.get_by_role("button", name="Sign up").click()
    expect(alert).to_have_text("Email already used.")


def test_user_who_has_an_account_and_no_token_yet_signs_in_to_it(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url)
    busy = {"message": "The server is busy. Please try again in a moment.", "retry_after_seconds": 3}
    ann.page.route(
        "**/login", lambda route: route.fulfill(status=503, headers={"Retry-After": "3"}, json=busy), times=1
    )
    ann.ask_to_sign_up("Ann")
    dialog = ann.page.get_by_role("dialog", name="Sign in to Chat.io")
    expect(dialog).to_contain_text("Your account is made.")
    expect(dialog.get_by_role("alert")).to_have_text("The server is busy. Please try again in a moment. (In 3 s.)")
    dialog.get_by_role("button", name="Sign in", exact=True).click()
    ann.is_connected()


@pytest.mark.parametrize("text", ODD_TEXTS, ids=["html", "long", "rtl", "emoji", "lines", "spaces", "turned"])
def test_a_text_is_shown_as_it_is_and_is_nothing_but_text(server: ServerProcess, meet: Meet, text: str) -> None:
    ann, bob = meet(server.url, "Ann"), meet(server.url, "Bob", viewport={"width": 360, "height": 640})
    ann.say(text)
    expect(bob.contents).to_have_count(1)
    for person in (ann, bob):
        expect(person.contents).to_have_count(1)
        assert person.contents.text_content() == text
        assert person.contents.locator("*").count() == 0
        assert person.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        box = person.contents.bounding_box()
        assert box is not None
        assert box["width"] <= person.page.viewport_size["width"]  # type: ignore[index]


def test_addresses_are_links_and_only_those_that_are_safe(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url, "Ann")
    ann.say(
        "See https://chat.example/a_(b)?q=1&r=2, (http://other.example/x). javascript:alert(1) "
        "data:text/html,x https://bank.example@evil.example/ https:// HTTPS://UP.example "
        "www.chat.example/news, awww.chat.example www. mailto:ann@chat.example. mailto:nobody "
        "mail@www.chat.example"
    )
    links = ann.contents.get_by_role("link")
    expect(links).to_have_text(
        [
            *("https://chat.example/a_(b)?q=1&r=2", "http://other.example/x", "HTTPS://UP.example"),
            *("www.chat.example/news", "mailto:ann@chat.example"),
        ]
    )
    for link in links.all():
        assert link.get_attribute("rel") == "noopener noreferrer nofollow"
        assert link.get_attribute("target") == "_blank"
    hrefs = [link.get_attribute("href") for link in links.all()]
    assert hrefs[2:] == ["https://up.example/", "https://www.chat.example/news", "mailto:ann@chat.example"]


def test_code_stands_in_its_own_type_and_nothing_in_it_is_a_link(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url)
    ann.sign_up("Ann")
    ann.say(
        "Run `make <test>` and see:\n```js\nlet x = `<b>`;\n  // https://chat.example\n```\n"
        "Done. A lone ` stays, ``` too."
    )
    ann.sees("Run make <test> and see:\nlet x = `<b>`;\n  // https://chat.example\nDone. A lone ` stays, ``` too.")
    expect(ann.contents.locator("code")).to_have_text(["make <test>", "let x = `<b>`;\n  // https://chat.example"])
    expect(ann.contents.locator("pre")).to_have_count(1)
    expect(ann.contents.get_by_role("link")).to_have_count(0)


def test_mentions_are_highlighted_and_those_of_the_reader_stand_out(server: ServerProcess, meet: Meet) -> None:
    ann, bob = meet(server.url), meet(server.url)
    ann.sign_up("Ann Lee")
    bob.sign_up("Bob")
    for person in (ann, bob):
        expect(person.page.locator("#people li")).to_have_count(2)
    bob.say("@ann lee, @Ann: ask @Bob. @Annette and ann@ann are nobody.")
    marks = ann.contents.locator("mark")
    expect(marks).to_have_text(["@ann lee", "@Ann", "@Bob"])
    expect(ann.contents.locator(".own-name")).to_have_count(2)
    expect(ann.page.locator("#messages .to-me")).to_have_count(1)
    expect(bob.contents.locator("mark")).to_have_text(["@ann lee", "@Bob"])
    expect(bob.page.locator("#messages .to-me")).to_have_count(0)


def test_older_messages_load_on_scroll_without_a_jump(server: ServerProcess, meet: Meet, js: JsClients) -> None:
    texts = [f"message {number}" for number in range(200)]
    js.join("bob", server.url, server.sign_up("Bob"))
    js.burst("bob", [{"content": text} for text in texts])
    js.expect("bob", "receive-message", len(texts))
    ann = meet(server.url, "Ann")
    expect(ann.contents.last).to_be_in_viewport()
    shown = ann.contents.count()
    assert shown < 200
    # The topmost visible message stays in place while older ones are added above it.
    jump = ann.page.evaluate(
        """async () => {
          const box = document.querySelector("#scroller");
          const first = document.querySelector("#messages .bubble");
          const count = document.querySelectorAll("#messages .bubble").length;
          box.scrollTop = first.getBoundingClientRect().top - box.getBoundingClientRect().top + box.scrollTop;
          const before = first.getBoundingClientRect().top;
          while (document.querySelectorAll("#messages .bubble").length === count)
            await new Promise(requestAnimationFrame);
          await new Promise(requestAnimationFrame);
          return Math.abs(first.getBoundingClientRect().top - before);
        }"""
    )
    assert jump < 2
    ann.page.locator("#scroller").focus()
    while not ann.page.get_by_text("The server has no earlier messages.").is_visible():
        ann.page.keyboard.press("Home")
        ann.page.wait_for_timeout(50)
    ann.sees(*texts)
    ann.page.wait_for_timeout(1000)  # what comes in the first second is history
    js.burst("bob", [{"content": "the newest"}])
    ann.page.get_by_role("button", name="1 new message below").click()
    expect(ann.contents.last).to_have_text("the newest")
    expect(ann.contents.last).to_be_in_viewport()


def test_days_are_apart(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url, timezone_id="Europe/Berlin")
    lines = ann.page.evaluate(
        """async () => {
          const { Timeline } = await import("/web/timeline.js");
          const list = document.createElement("ol");
          const scroller = { grew() {}, follows: false, keeping: (_, change) => change() };
          const timeline = new Timeline(list, scroller, "me", { show: (_, name) => [name] });
          const by = { author_id: "x", author_name: "X" };
          const said = (id, sent_at) => ({ id, sent_at, content: id, offset: id, ...by });
          timeline.append([said("c", "2026-03-02T22:30:00.000Z"), said("d", "2026-03-02T23:30:00.000Z")]);
          timeline.prepend([said("a", "2026-02-28T12:00:00.000Z"), said("b", "2026-03-02T22:29:00.000Z")]);
          timeline.append([said("d", "2026-03-02T23:30:00.000Z")]);
          return [...list.querySelectorAll("li")].map((item) =>
            (item.querySelector(".day time")?.dateTime ?? (item.matches(".follows") ? "follows" : "")) + "|" +
            item.querySelector(".content").textContent);
        }"""
    )
    assert lines == ["2026-02-28|a", "2026-03-02|b", "follows|c", "2026-03-03|d"]


def test_page_shows_the_users_online_and_typing(server: ServerProcess, meet: Meet) -> None:
    ann, bob = meet(server.url, "Ann"), meet(server.url, "Bob")
    people = ann.page.get_by_role("complementary", name="Online").get_by_role("listitem")
    expect(people).to_have_text([re.compile(r"Ann\s*\(you\)"), re.compile("Bob")])
    bob.draft.press_sequentially("I am")
    expect(ann.page.locator("#typing")).to_contain_text("is typing…")
    expect(bob.page.locator("#typing")).to_have_text("")
    bob.draft.press("Enter")
    ann.sees("I am")
    expect(ann.page.locator("#typing")).to_have_text("")
    bob.page.close()
    expect(people).to_have_text([re.compile("Ann")])


def test_two_people_of_one_name_are_told_apart(server: ServerProcess, meet: Meet, js: JsClients) -> None:
    ann, first = meet(server.url), meet(server.url)
    ann.sign_up("Ann")
    first.sign_up("Bob Lee")
    first.say("from one")
    expect(ann.page.locator("#messages .author")).to_have_text("Bob Lee", use_inner_text=True)
    # No account has the name of another one, but another issuer of tokens may give it.
    js.join("second", server.url, token(SECRET, "another", name="bob  LEE"))
    js.burst("second", [{"content": "from another"}])
    ann.sees("from one", "from another")
    # Both names get a tag, also where one stood already; the colours differ, and the initials are of both words.
    expect(ann.page.locator("#messages .tag:not(:empty)")).to_have_count(2)
    expect(ann.page.locator("#people .tag:not(:empty)")).to_have_count(2)
    tags = ann.page.locator("#messages .tag").all_text_contents()
    assert len(set(tags)) == 2
    grounds = ann.page.locator("#messages .avatar").evaluate_all(
        """all => all.map((one) =>
            getComputedStyle(one).backgroundColor + getComputedStyle(one, '::before').content)"""
    )
    assert len(set(grounds)) == 2
    assert all('"BL"' in ground for ground in grounds)


def test_without_presence_there_is_no_panel(meet: Meet) -> None:
    with ServerProcess(PRESENCE="off") as server:
        ann = meet(server.url, "Ann")
        ann.say("Hello!")
        ann.sees("Hello!")
        expect(ann.page.locator("#people")).to_be_hidden()


def test_a_long_day_of_messages_does_not_grow_for_ever(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url)
    shown = ann.page.evaluate(
        """async () => {
          const { Timeline } = await import("/web/timeline.js");
          const list = document.createElement("ol");
          const scroller = { grew() {}, follows: true, keeping: (_, change) => change() };
          const timeline = new Timeline(list, scroller, "me", { show: (_, name) => [name] });
          const by = { author_id: "x", author_name: "X", sent_at: "2026-03-02T22:30:00.000Z" };
          const say = (number) => ({ id: `${number}`, content: `${number}`, offset: `o${number}`, ...by });
          for (let hundred = 0; hundred < 65; hundred++)
            timeline.append(Array.from({ length: 100 }, (_, one) => say(hundred * 100 + one)));
          const count = list.childElementCount, first = timeline.firstOffset;
          scroller.follows = false;
          timeline.prepend([say(498), say(499)]);
          return [count, first, timeline.firstOffset, list.querySelectorAll(".day").length];
        }"""
    )
    assert shown == [6000, "o500", "o498", 1]
