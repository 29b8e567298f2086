"""axe-core on a page, and the widths of a desktop and a phone."""

import json
from collections.abc import Collection
from typing import Any

from playwright.sync_api import Page

from tests.paths import ROOT

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 375, "height": 780}
AXE = ROOT / "web/node_modules/axe-core/axe.min.js"


def complaints(page: Page, harmless: Collection[str] = ("minor",)) -> list[str]:
    """What axe-core finds on the page as it is now, all its rules and its best practices."""
    page.evaluate("document.getAnimations().forEach((animation) => animation.cancel())")
    page.evaluate(AXE.read_text("utf-8"))
    found: list[dict[str, Any]] = json.loads(page.evaluate("axe.run().then((r) => JSON.stringify(r.violations))"))
    return [
        f"{violation['id']} ({violation['impact']}): {node['html']} {node['failureSummary']}"
        for violation in found
        if violation["impact"] not in harmless
        for node in violation["nodes"]
    ]
