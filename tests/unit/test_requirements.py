"""Every package that the server runs on is installed by its version and hash: the same install twice."""

import importlib.metadata
import re

import pytest

from tests.paths import ROOT

LISTED = (ROOT / "requirements.in").read_text("utf-8")
PINNED = (ROOT / "requirements.txt").read_text("utf-8")
REQUIREMENT = re.compile(r"^([a-z0-9.-]+)==([\w.]+)(?: ; [^\\\n]+)?", re.MULTILINE)


def test_every_package_has_a_version_and_hashes() -> None:
    requirements = re.split(r"(?m)^(?=[a-z])", re.sub(r"(?m)^ *#.*\n", "", PINNED))[1:]
    assert len(requirements) > len(REQUIREMENT.findall(LISTED))
    for requirement in requirements:
        assert re.fullmatch(rf"{REQUIREMENT.pattern}( \\\n    --hash=sha256:[0-9a-f]{{64}})+\n", requirement)


def test_what_is_listed_is_pinned_in_the_same_version() -> None:
    """When it fails: `make pins`."""
    assert set(REQUIREMENT.findall(LISTED)) <= set(REQUIREMENT.findall(PINNED))
    lines = [line.partition("#")[0].strip() for line in LISTED.splitlines()]
    assert len(REQUIREMENT.findall(LISTED)) == len([line for line in lines if line])


@pytest.mark.parametrize(("name", "version"), REQUIREMENT.findall(PINNED))
def test_the_tests_run_on_the_pinned_versions(name: str, version: str) -> None:
    assert importlib.metadata.version(name) == version


def test_no_registry_is_named() -> None:
    assert "://" not in LISTED + PINNED
    assert "--index" not in LISTED + PINNED


@pytest.mark.parametrize("path", ["Makefile", "deploy/install.sh"])
def test_hashes_are_required_wherever_the_server_is_installed(path: str) -> None:
    text = (ROOT / path).read_text("utf-8").replace("\\\n", "")
    commands = re.findall(r"[^&|{}\n]+ -r \S*requirements\.txt", text)
    assert commands
    assert all("--require-hashes" in command for command in commands)
