"""The page in Chromium with 5,000 messages: they all are there, and how long its frames take.

The times are printed, and nothing is asserted of them: `pytest -s tests/browser/test_page_scrolling.py`.
"""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.person import Meet
from tests.system.js import JsClients
from tests.system.server import ServerProcess

COUNT = 5000
WORDS = "the quick brown fox jumps over a lazy dog and goes on about it for a while "

# Scrolls for `count` frames by `step` pixels; the milliseconds between each frame and the next.
SCROLL = """async ([step, count]) => {
  const box = document.querySelector("#scroller");
  const times = [];
  let last = await new Promise(requestAnimationFrame);
  for (let turn = 0; turn < count; turn++) {
    box.scrollTop += step;
    const now = await new Promise(requestAnimationFrame);
    times.push(now - last);
    last = now;
  }
  return times;
}"""


def content(number: int) -> str:
    return f"{number} " + WORDS * (1 + number % 4)


def tell(capsys: pytest.CaptureFixture[str], what: str, times: list[float]) -> None:
    ordered = sorted(times)
    p50, p95, p99 = (ordered[int(len(ordered) * part)] for part in (0.5, 0.95, 0.99))
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{what}: ms p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f}, longest {ordered[-1]:.1f}", end=""
        )


def test_five_thousand_messages_scroll(meet: Meet, js: JsClients, capsys: pytest.CaptureFixture[str]) -> None:
    with ServerProcess(HISTORY_ON_CONNECT=str(COUNT)) as server:
        js.join("bob", server.url, server.sign_up("Bob"))
        for start in range(0, COUNT, 1000):
            js.burst("bob", [{"content": content(number)} for number in range(start, start + 1000)])
            js.expect("bob", "receive-message", 1000)
        ann = meet(server.url, "Ann")
        expect(ann.contents).to_have_count(COUNT)
        expect(ann.contents.last).to_be_in_viewport()
        measured: dict[str, Any] = ann.page.evaluate(
            """() => {
              const [entry] = performance.getEntriesByType("navigation");
              return { nodes: document.querySelectorAll("*").length };
            }"""
        )
        with capsys.disabled():
            print(f"\n{COUNT} messages, {measured['nodes']} elements", end="")  # noqa: T201
        tell(capsys, "standing still", ann.page.evaluate(SCROLL, [0, 120]))
        tell(capsys, "up, slowly", ann.page.evaluate(SCROLL, [-40, 300]))
        tell(capsys, "up, as fast as one can", ann.page.evaluate(SCROLL, [-1500, 200]))
        tell(capsys, "down, slowly", ann.page.evaluate(SCROLL, [40, 300]))
        ann.page.evaluate("document.querySelector('#scroller').scrollTop = 1e9")
        expect(ann.contents.last).to_be_in_viewport()
        # New ones come in while one reads up there, and while one types.
        ann.page.evaluate("document.querySelector('#scroller').scrollTop -= 20000")
        js.burst("bob", [{"content": content(number)} for number in range(200)])
        tell(capsys, "up, while 200 come in", ann.page.evaluate(SCROLL, [-40, 200]))
        expect(ann.contents).to_have_count(COUNT + 200)
        ann.page.get_by_role("button", name="200 new messages below").click()
        expect(ann.page.locator("#messages .unread")).to_be_in_viewport()
        ann.page.get_by_role("button", name="below").click()
        expect(ann.contents.last).to_be_in_viewport()
        ann.draft.focus()
        ann.page.evaluate(
            """() => { window.slow = []; new PerformanceObserver((list) => {
              for (const entry of list.getEntries()) window.slow.push(entry.duration);
            }).observe({ type: "event", durationThreshold: 16 }); }"""
        )
        ann.page.keyboard.type("how long does a key take with so many messages?")
        times: list[float] = ann.page.evaluate("window.slow") or [0.0]
        tell(capsys, "keys that took 16 ms or more", times)
        ann.page.keyboard.press("Enter")
        expect(ann.contents.last).to_have_text("how long does a key take with so many messages?")
        expect(ann.contents.last).to_be_in_viewport()
