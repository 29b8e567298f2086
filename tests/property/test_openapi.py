"""Schemathesis makes valid and invalid requests of the OpenAPI document, and the answers must match it."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
import schemathesis
import schemathesis.openapi
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.documents import closed
from tests.system.operator import promote
from tests.system.server import SECRET, ServerProcess

EXAMPLES = 30  # of each operation, valid and invalid
EXAMPLES_OF_ACTS = 10  # of moderation, which are alike

OPERATIONS = [
    ("POST", "/register"),
    ("POST", "/login"),
    ("POST", "/logout"),
    ("GET", "/user"),
    ("DELETE", "/user"),
    ("POST", "/user/password"),
    ("DELETE", "/user/sessions"),
    ("GET", "/messages"),
    ("GET", "/users/online"),
    ("POST", "/user/reset"),
    ("GET", "/user/export"),
    ("GET", "/users"),
    ("GET", "/audit"),
    *(("POST", f"/moderation/{act}") for act in ("mute", "kick", "ban", "lift", "role", "delete")),
]


class Member:
    """A registered owner; the user registers again under another name after the account is deleted."""

    def __init__(self, server: ServerProcess, settings: dict[str, str]) -> None:
        self._server = server
        self._settings = settings
        self.register()

    def register(self) -> None:
        self.name = f"member-{uuid.uuid4()}"
        self.password = f"{self.name}'s password"
        self._claims = jwt.decode(self._server.sign_up(self.name), SECRET, ["HS256"])
        promote(self._settings, self.name, "owner")

    def token(self) -> str:
        """A new token, which the revocation of another does not end."""
        return jwt.encode({**self._claims, "jti": str(uuid.uuid4()), "iat": time.time()}, SECRET)


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {"ADMIN_SOCKET": str(tmp_path_factory.mktemp("admin") / "sock")}


@pytest.fixture(scope="module")
def server(commands: dict[str, str]) -> Iterator[ServerProcess]:
    with ServerProcess(ADMIN_SOCKET=commands["ADMIN_SOCKET"]) as process:
        yield process


@pytest.fixture(scope="module")
def document(server: ServerProcess) -> dict[str, Any]:
    document: dict[str, Any] = server.request("GET", "/openapi.json").body
    return document


@pytest.fixture(scope="module")
def member(server: ServerProcess, commands: dict[str, str]) -> Member:
    return Member(server, commands)


def test_the_document_is_sound(document: dict[str, Any]) -> None:
    validate(document)


def test_every_operation_of_the_document_is_tried(document: dict[str, Any]) -> None:
    described = [(method.upper(), path) for path, item in document["paths"].items() for method in item]
    assert sorted(described) == sorted([*OPERATIONS, *{("OPTIONS", path) for _, path in OPERATIONS}])


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_in_the_document(
    server: ServerProcess, document: dict[str, Any], member: Member, method: str, path: str
) -> None:
    operation = schema_of(document, server)[path][method]
    cases = st.one_of(
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE),
    )

    examples = EXAMPLES_OF_ACTS if path.startswith("/moderation") else EXAMPLES

    @settings(max_examples=examples, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(cases, st.booleans())
    def attempt(case: schemathesis.Case[Any], knows_password: bool) -> None:
        is_sound = case.meta is not None and case.meta.generation.mode == schemathesis.GenerationMode.POSITIVE
        if knows_password and is_sound and isinstance(case.body, dict):
            case.body |= {name: member.password for name in ("password", "old_password") if name in case.body}
        if "Authorization" in case.headers:  # a case without it is to be refused
            case.headers["Authorization"] = f"Bearer {member.token()}"
        answer = case.call_and_validate(
            # An e-mail address and a name have rules that no schema says.
            excluded_checks=[positive_data_acceptance]
        )
        if path.startswith("/user") and answer.status_code == 204:
            member.register()

    attempt()


def schema_of(document: dict[str, Any], server: ServerProcess) -> Any:
    """The document, in which an answer may have no fields but those that it names."""
    load_all_checks()
    taken = frozenset(
        {
            method["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            for item in document["paths"].values()
            for method in item.values()
            if "requestBody" in method
        }
    )
    components = {**document["components"], "schemas": closed(document["components"]["schemas"], but=taken)}
    schema = schemathesis.openapi.from_dict({**document, "components": components})
    schema.config.update(base_url=server.url)
    return schema
