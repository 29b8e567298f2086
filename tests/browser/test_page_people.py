"""The page in Chromium with 3,000 people online: it counts and finds them, and does not become slow.

Presence is what the page makes of it; the server's part has tests of its own. The times are printed.
"""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser.person import Meet
from tests.system.server import ServerProcess

# As the server's events come, once a second; here as fast as the page takes them.
CHURN = """async () => {
  const { People } = await import("/web/people.js");
  const { Names } = await import("/web/person.js");
  const byId = (id) => document.getElementById(id);
  const [panel, toggle, search, count, list] =
    ["people", "people-toggle", "people-search", "people-count", "people-list"].map(byId);
  const users = Array.from({ length: 3000 }, (_, number) => ({ id: `p${number}`, name: `Person ${number}` }));
  const parts = { panel, toggle, search, count, list };
  const people = new People(parts, "p7", new Names({ id: "p7", name: "Person 7" }), async () => ({ users }));
  await people.load();
  const times = [];
  for (let turn = 0; turn < 100; turn++) {
    const came = Array.from({ length: 10 }, (_, one) => ({ id: `n${turn}-${one}`, name: `New ${turn} ${one}` }));
    const before = performance.now();
    people.apply({ online: 3000 + came.length * (turn + 1), came, left: [], more: 0 });
    await new Promise(requestAnimationFrame);
    await new Promise((resolve) => setTimeout(resolve));
    times.push(performance.now() - before);
  }
  return times.sort((a, b) => a - b);
}"""


def test_three_thousand_people_are_counted_found_and_scrolled_through(
    server: ServerProcess, meet: Meet, capsys: pytest.CaptureFixture[str]
) -> None:
    ann = meet(server.url)
    users = [{"id": f"p{number}", "name": f"Person {number}"} for number in range(2998)]
    users += [{"id": "zoe", "name": "Zoë Ödegaard"}]

    def answer(route: Route) -> None:  # in two pages, as the server does with so many
        if "?" in route.request.url:
            assert route.request.url.endswith("?after=p1999")
            own = route.fetch().json()["users"]
            route.fulfill(json={"online": len(users) + 1, "users": users[2000:] + own, "after": None})
        else:
            route.fulfill(json={"online": len(users) + 1, "users": users[:2000], "after": "p1999"})

    ann.page.route(re.compile("/users/online"), answer)
    ann.sign_up("Ann")
    panel = ann.page.get_by_role("complementary", name="Online")
    expect(ann.page.locator("#people-count")).to_have_text("3000")
    expect(panel.get_by_role("listitem").first).to_have_text("Ann (you)")
    assert panel.get_by_role("listitem").count() < 300
    for _ in range(3):
        panel.get_by_role("listitem").last.scroll_into_view_if_needed()
        expect(panel.get_by_role("listitem").last).to_have_text(re.compile("more"))
    assert panel.get_by_role("listitem").count() > 300
    panel.get_by_role("searchbox").fill("zoë")
    expect(panel.get_by_role("listitem")).to_have_text(["Zoë Ödegaard"])
    expect(ann.page.locator("#people-count")).to_have_text("1 of 3000")
    panel.get_by_role("searchbox").fill("no such person")
    expect(panel.get_by_role("listitem")).to_have_text(["Nobody of that name"])
    times: list[float] = ann.page.evaluate(CHURN)
    with capsys.disabled():
        print(f"\na change among 3,000 people: ms p50 {times[50]:.1f}, p99 {times[98]:.1f}", end="")  # noqa: T201
