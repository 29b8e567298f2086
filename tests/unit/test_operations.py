"""docs/operations.md sends nobody after a name that there is not."""

import re

import pytest

from chatio.config.settings import table
from tests.paths import ROOT

PAGE = (ROOT / "docs/operations.md").read_text("utf-8")
CODE = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) + re.findall(r"`([^`\n]+)`", PAGE)


def named(pattern: str) -> set[str]:
    return {name for span in CODE for name in re.findall(pattern, span)}


def test_its_settings_are_settings() -> None:
    names = named(r"\b[A-Z]+(?:_[A-Z]+)+\b")
    assert {"CLIENT_URL", "JWT_SECRET_KEY_PREVIOUS", "MAX_CONNECTIONS"} <= names
    assert names <= {setting.name for setting in table()}


def test_its_events_are_events() -> None:
    """A word that is nothing but an event, such as `no_room`; metrics, and words of nginx, are others."""
    events = set(re.findall(r"^\| `([a-z_]+)` \|", (ROOT / "docs/logging.md").read_text("utf-8"), re.MULTILINE))
    words = {span for span in CODE if re.fullmatch(r"[a-z]+(_[a-z]+)+", span)}
    others = r"(chatio|process)_|worker_(connections|rlimit_nofile)|tcp_syncookies|address_full|jwt_secret_key"
    others += "|server_name$|store_(slow|full)$|integrity_check|max_prepared_statements"
    found = {word for word in words if not re.match(others, word)}
    assert {"overload_began", "slow_client", "key_made"} <= found
    assert found <= events


def test_its_metrics_and_their_reasons_are_metrics() -> None:
    page = (ROOT / "docs/metrics.md").read_text("utf-8")
    names = named(r"\bchatio_[a-z_]+")
    assert {"chatio_connections_max", "chatio_logins_total"} <= names
    assert names <= set(re.findall(r"^\| `(chatio_[a-z_]+)` \|", page, re.MULTILINE))
    assert "| `address_full` |" in page


@pytest.mark.parametrize("unit", ["chatio.service", "chatio.socket", "nginx-site.conf", "install.sh"])
def test_its_figures_of_what_is_installed_are_those(unit: str) -> None:
    text = (ROOT / "deploy" / unit).read_text()
    for figure in {
        "chatio.service": ["LimitNOFILE=65536", "WatchdogSec=30", "/etc/chatio/jwt_secret_key_previous"],
        "chatio.socket": ["127.0.0.1:3000", "Backlog=4096"],
        "nginx-site.conf": ["worker_rlimit_nofile 65536;", "worker_connections 32768;", "http2 backlog=4096;"],
        "install.sh": ["--rollback", "--uninstall", "--purge", "--help"],
    }[unit]:
        assert figure in text
