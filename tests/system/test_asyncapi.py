"""The AsyncAPI document against the schema of AsyncAPI itself, as its makers publish it on npm."""

import json

import jsonschema_rs
import pytest

from tests.documents import chat_document
from tests.system.js import FOLDER
from tests.system.server import ServerProcess

SPECIFICATION = FOLDER / "node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"


def faults(document: object) -> list[str]:
    validator = jsonschema_rs.validator_for(json.loads(SPECIFICATION.read_text()))
    return [error.message for error in validator.iter_errors(document)]


@pytest.mark.parametrize("presence", ["on", "off"])
def test_the_document_is_sound(presence: str) -> None:
    with ServerProcess(PRESENCE=presence) as server:
        assert faults(server.request("GET", "/asyncapi.json").body) == []


def test_an_unsound_document_is_found_out() -> None:
    assert faults(chat_document() | {"channels": 7})


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document = chat_document()
    references = [part.split('"')[0] for part in json.dumps(document).split('"$ref": "#/')[1:]]
    assert references
    for reference in references:
        place = document
        for name in reference.split("/"):
            place = place[name]


def test_every_start_makes_the_same_documents() -> None:
    made = []
    for _ in range(2):
        with ServerProcess() as server:
            bodies = [server.request("GET", path).body for path in ("/openapi.json", "/asyncapi.json")]
            made.append(json.dumps(bodies))  # in the order in which it came
    assert made[0] == made[1]
