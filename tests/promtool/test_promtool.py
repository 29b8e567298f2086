"""promtool's verdict on the alert rules and on a server's metrics. `make test-metrics` fetches promtool."""

import re
import subprocess
import urllib.request

from tests.paths import ROOT
from tests.system.server import PATIENCE_SECONDS, ServerProcess

DEPLOY = ROOT / "deploy"


def promtool(*arguments: str, text: str | None = None) -> str:
    """The output of promtool, on both streams. Fails if promtool finds a fault."""
    done = subprocess.run(
        ["promtool", *arguments], cwd=DEPLOY, input=text, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_the_rules_are_sound() -> None:
    assert "SUCCESS" in promtool("check", "rules", "alerts.yml")


def test_each_rule_speaks_when_it_should_and_not_otherwise() -> None:
    promtool("test", "rules", "alerts.test.yml")
    rules = set(re.findall(r"alert: (\w+)", (DEPLOY / "alerts.yml").read_text("utf-8")))
    tried = set(re.findall(r'alertname="(\w+)"', (DEPLOY / "alerts.test.yml").read_text("utf-8")))
    assert tried == rules


def test_a_scrape_follows_the_conventions() -> None:
    with ServerProcess(METRICS_PORT="0") as server:
        server.sign_up("ann")
        (url,) = re.findall(r"Metrics are at (\S+)", "\n".join(server.lines))
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - our own server's
            text = answer.read().decode()
    said = promtool("check", "metrics", text=text)
    assert [line for line in said.splitlines() if "chatio" in line] == []
