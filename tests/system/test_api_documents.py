"""The API documents by the rules of Redocly and Spectral, which tools that read them follow."""

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.documents import chat_document
from tests.system.js import FOLDER
from tests.system.server import ServerProcess

PATHS = ("openapi.json", "asyncapi.json")
UNSOUND: dict[str, dict[str, Any]] = {
    "asyncapi.json": chat_document() | {"channels": 7},
    "openapi.json": {"openapi": "3.1.0", "info": {"title": "-"}, "paths": 7},
}

# Warnings of rules that the documents do not follow, each for a reason.
WAIVED = {
    "info-license": "the project has no licence yet",
    "asyncapi-info-license": "the same",
    "info-contact": "each server has other operators",
    "asyncapi-info-contact": "the same",
    "no-unused-components": "the answers of paths that are not in the document",
    "oas3-unused-component": "the same",
    "operation-description": "the summary says all",
    "asyncapi-3-operation-description": "the same",
    "security-defined": "the token of the chat is in the CONNECT packet, which no security scheme is for",
    "asyncapi-latest-version": "3.1 adds nothing for this chat, and fewer tools read it",
}


class Finding(NamedTuple):
    severity: str
    rule: str
    message: str
    place: str | None


@pytest.fixture(scope="module")  # Node needs two seconds to load the linters
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, list[Finding]]:
    """What the linters find in each document, which is in the folder "sound" or "unsound"."""
    folder = tmp_path_factory.mktemp("documents")
    sound, unsound = folder / "sound", folder / "unsound"
    for each in (sound, unsound):
        each.mkdir()
    for presence in ("on", "off"):
        with ServerProcess(PRESENCE=presence) as server:
            for path in PATHS:
                document = server.request("GET", f"/{path}").body
                (sound / f"presence-{presence}-{path}").write_text(json.dumps(document))
    for path, document in UNSOUND.items():
        (unsound / path).write_text(json.dumps(document))
    files = sorted([*sound.iterdir(), *unsound.iterdir()])
    done = subprocess.run(["node", "lint.mjs", *files], cwd=FOLDER, capture_output=True, text=True, check=True)
    return {Path(file): [Finding(*each) for each in found] for file, found in json.loads(done.stdout).items()}


def test_the_documents_follow_the_rules(findings: dict[Path, list[Finding]]) -> None:
    found = {file: group for file, group in findings.items() if file.parent.name == "sound"}
    assert len(found) == 4
    assert [(file, each) for file, group in found.items() for each in group if each.rule not in WAIVED] == []
    assert {each.rule for group in found.values() for each in group} == set(WAIVED)
    assert {each.severity for group in found.values() for each in group} <= {"warn", "info"}


def test_an_unsound_document_is_found_out(findings: dict[Path, list[Finding]]) -> None:
    found = [group for file, group in findings.items() if file.parent.name == "unsound"]
    assert len(found) == 2
    for group in found:
        assert {"error"} & {each.severity for each in group}


def test_every_start_makes_the_same_documents() -> None:
    made = []
    for _ in range(2):
        with ServerProcess() as server:
            bodies = [server.request("GET", f"/{path}").body for path in PATHS]
            made.append(json.dumps(bodies))  # in the order in which it came
    assert made[0] == made[1]
