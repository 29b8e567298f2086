"""The API documents by the rules of Redocly and Spectral, which tools that read them follow."""

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.documents import chat_document
from tests.system.js import FOLDER
from tests.system.server import ServerProcess

PATHS = ("openapi.json", "asyncapi.json")

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


def findings_in(folder: Path) -> dict[str, list[Finding]]:
    """What the linters find in each document of `folder`."""
    files = sorted(folder.iterdir())
    done = subprocess.run(["node", "lint.mjs", *files], cwd=FOLDER, capture_output=True, text=True, check=True)
    return {Path(file).name: [Finding(*each) for each in found] for file, found in json.loads(done.stdout).items()}


def test_the_documents_follow_the_rules(tmp_path: Path) -> None:
    for presence in ("on", "off"):
        with ServerProcess(PRESENCE=presence) as server:
            for path in PATHS:
                document = server.request("GET", f"/{path}").body
                (tmp_path / f"presence-{presence}-{path}").write_text(json.dumps(document))
    found = findings_in(tmp_path)
    assert len(found) == 4
    assert [(file, each) for file, group in found.items() for each in group if each.rule not in WAIVED] == []
    assert {each.rule for group in found.values() for each in group} == set(WAIVED)
    assert {each.severity for group in found.values() for each in group} <= {"warn", "info"}


def test_an_unsound_document_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "asyncapi.json").write_text(json.dumps(chat_document() | {"channels": 7}))
    (tmp_path / "openapi.json").write_text(json.dumps({"openapi": "3.1.0", "info": {"title": "-"}, "paths": 7}))
    for found in findings_in(tmp_path).values():
        assert {"error"} & {each.severity for each in found}


def test_every_start_makes_the_same_documents() -> None:
    made = []
    for _ in range(2):
        with ServerProcess() as server:
            bodies = [server.request("GET", f"/{path}").body for path in PATHS]
            made.append(json.dumps(bodies))  # in the order in which it came
    assert made[0] == made[1]
