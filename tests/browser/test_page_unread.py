"""The page in Chromium: what a user who looked elsewhere has not read, and how the page tells."""

from playwright.sync_api import Page, expect

from tests.browser.person import Meet
from tests.system.js import JsClients
from tests.system.server import ServerProcess

# Playwright's tabs are all visible; a test says itself that the user looks at another one.
LOOK = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""

# Records what would be shown and heard.
ALERTS = """window.shown = []; window.tones = 0; window.asked = 0;
window.Notification = class {
  static permission = "default";
  static async requestPermission() { window.asked++; return (this.permission = window.answer ?? "granted"); }
  constructor(title, options) { window.shown.push([title, options.body]); }
};
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (...when) { window.tones++; return start.apply(this, when); };"""


def icon(page: Page) -> str:
    return page.locator("link[rel=icon]").get_attribute("href") or ""


def test_title_icon_and_line_tell_of_unread_messages_until_they_are_read(
    server: ServerProcess, meet: Meet, js: JsClients
) -> None:
    ann = meet(server.url)
    ann.sign_up("Ann")
    js.join("bob", server.url, server.sign_up("Bob"))
    js.burst("bob", [{"content": "seen"}])
    expect(ann.contents).to_have_count(1)
    ann.page.wait_for_timeout(1000)  # what comes in the first second is history
    usual = icon(ann.page)
    ann.page.evaluate(LOOK, True)
    js.burst("bob", [{"content": "one"}, {"content": "two"}])
    expect(ann.page).to_have_title("(2) Chat.io")
    assert icon(ann.page) != usual
    assert (
        ann.page.evaluate("(icon) => fetch(icon).then((answer) => answer.text())", icon(ann.page)).count(">2<")
        == 1
    )
    assert ann.page.evaluate("(icon) => fetch(icon).then((answer) => answer.ok)", icon(ann.page))
    line = ann.page.locator("#messages .unread")
    expect(line).to_have_text("New messages")
    assert line.evaluate("line => line.nextElementSibling.querySelector('.content').textContent") == "one"
    ann.page.evaluate(LOOK, False)
    expect(ann.page).to_have_title("Chat.io")
    assert icon(ann.page) == usual
    expect(line).to_be_visible()
    ann.say("I have read it")
    expect(line).to_have_count(0)


def test_user_who_reads_further_up_is_led_down_to_the_line_and_then_to_the_newest(
    server: ServerProcess, meet: Meet, js: JsClients
) -> None:
    ann = meet(server.url)
    ann.sign_up("Ann")
    js.join("bob", server.url, server.sign_up("Bob"))
    js.burst("bob", [{"content": f"old {number}"} for number in range(40)])
    expect(ann.contents).to_have_count(40)
    ann.page.wait_for_timeout(1000)  # what comes in the first second is history
    ann.page.locator("#scroller").focus()
    ann.page.keyboard.press("Home")
    expect(ann.page.get_by_role("button", name="To the newest")).to_be_visible()
    js.burst("bob", [{"content": f"new {number}"} for number in range(40)])
    down = ann.page.get_by_role("button", name="40 new messages below")
    down.click()
    line = ann.page.locator("#messages .unread")
    expect(line).to_be_in_viewport()
    expect(ann.page.get_by_text("new 0", exact=True)).to_be_in_viewport()
    down.click()
    expect(ann.contents.last).to_be_in_viewport()
    expect(down).to_be_hidden()
    expect(ann.page).to_have_title("Chat.io")


def test_user_who_comes_back_begins_at_what_is_new(server: ServerProcess, meet: Meet, js: JsClients) -> None:
    ann = meet(server.url)
    ann.sign_up("Ann")
    js.join("bob", server.url, server.sign_up("Bob"))
    js.burst("bob", [{"content": "old"}])
    expect(ann.contents).to_have_count(1)
    ann.page.close()
    js.burst("bob", [{"content": f"new {number}"} for number in range(40)])
    js.expect("bob", "receive-message", 41)
    ann.page = ann.open_tab()
    line = ann.page.locator("#messages .unread")
    expect(line).to_be_in_viewport()
    assert line.evaluate("line => line.nextElementSibling.querySelector('.content').textContent") == "new 0"
    ann.page.get_by_role("button", name="below").click()
    expect(ann.contents.last).to_be_in_viewport()
    ann.page.reload()
    expect(ann.contents).to_have_count(41)
    expect(ann.contents.last).to_be_in_viewport()
    expect(line).to_have_count(0)


def test_user_begins_at_the_line_also_where_what_is_new_comes_in_parts(server: ServerProcess, meet: Meet) -> None:
    """The first part fits on the screen, so that the page still follows the newest when the second one comes."""
    begun = meet(server.url).page.evaluate(
        """async () => {
          const { Unread } = await import("/web/unread.js");
          const begun = [];
          const timeline = { line: null, lastOffset: "2", isAfter: (one, other) => one > other, };
          timeline.mark = (id) => (timeline.line = id);
          const scroller = { follows: true, onMove: () => {}, show: (line) => begun.push(line) };
          const storage = { getItem: () => "0", setItem: () => {} };
          const unread = new Unread(timeline, scroller, document.createElement("button"), storage, "ann");
          for (const id of ["1", "2"]) unread.cameBefore([{ id, offset: id }]);
          return begun;
        }"""
    )
    assert begun == ["1", "1"]


def test_what_one_tab_shows_is_read_in_the_other(server: ServerProcess, meet: Meet, js: JsClients) -> None:
    ann = meet(server.url)
    ann.sign_up("Ann")
    other = ann.open_tab()
    expect(other.locator("#status")).to_have_text("Connected")
    js.join("bob", server.url, server.sign_up("Bob"))
    other.wait_for_timeout(1000)  # what comes in the first second is history
    other.evaluate(LOOK, True)
    ann.page.evaluate(LOOK, True)
    js.burst("bob", [{"content": "one"}])
    expect(other).to_have_title("(1) Chat.io")
    ann.page.evaluate(LOOK, False)
    expect(other).to_have_title("Chat.io")


def test_notifications_and_sound_are_off_until_the_user_turns_them_on(
    server: ServerProcess, meet: Meet, js: JsClients
) -> None:
    ann = meet(server.url)
    ann.page.add_init_script(ALERTS)
    ann.page.reload()
    ann.sign_up("Ann")
    js.join("bob", server.url, server.sign_up("Bob"))
    ann.page.wait_for_timeout(1000)  # what comes in the first second is history
    ann.page.evaluate(LOOK, True)
    js.burst("bob", [{"content": "unheard"}])
    expect(ann.page).to_have_title("(1) Chat.io")
    ann.page.wait_for_timeout(600)  # longer than an alert takes
    assert ann.page.evaluate("[asked, shown.length, tones]") == [0, 0, 0]
    ann.page.evaluate(LOOK, False)
    ann.page.get_by_role("button", name="Ann").click()
    ann.page.get_by_label("Show notifications").check()
    ann.page.get_by_label("Play a sound").check()
    ann.page.get_by_role("button", name="Close").click()
    js.burst("bob", [{"content": "seen"}])
    expect(ann.contents).to_have_count(2)
    ann.page.wait_for_timeout(600)
    tones = ann.page.evaluate("tones")  # one heard what it is
    assert ann.page.evaluate("[asked, shown.length]") == [1, 0]
    ann.page.evaluate(LOOK, True)
    js.burst("bob", [{"content": "Are you there?"}])
    ann.page.evaluate("async () => { while (shown.length < 1) await new Promise(requestAnimationFrame); }")
    assert ann.page.evaluate("shown") == [["Bob", "Are you there?"]]
    assert ann.page.evaluate("tones") > tones
    assert sorted(ann.page.evaluate("Object.keys(localStorage)"))[-2:] == ["chatio.sound", "chatio.token"]


def test_browser_that_allows_no_notifications_is_said_to_be_one(server: ServerProcess, meet: Meet) -> None:
    ann = meet(server.url)
    ann.page.add_init_script(ALERTS + 'window.answer = "denied";')
    ann.page.reload()
    ann.sign_up("Ann")
    ann.page.get_by_role("button", name="Ann").click()
    box = ann.page.get_by_label("Show notifications")
    box.click()
    expect(ann.page.get_by_text("The browser does not allow notifications")).to_be_visible()
    expect(box).not_to_be_checked()
