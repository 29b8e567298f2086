"""The server's documents, read strictly: no field may be on the wire that they do not name."""

import json
from collections.abc import Mapping
from typing import Any, Final

import jsonschema_rs

from handlers.chat.namespace import NAMESPACE
from handlers.docs.asyncapi import asyncapi_document

Json = dict[str, Any]

MALFORMED: Final = b"The request is malformed."

# Clients may send more than these name.
_OPEN: Final = frozenset({"ConnectAuth", "Draft", "Renewal"})


def chat_document() -> Json:
    """The default /asyncapi.json."""
    return asyncapi_document(namespace=NAMESPACE, message_max_chars=10_000, has_presence=True)


def closed(schemas: Json, *, but: frozenset[str] = frozenset()) -> Json:
    """The schemas of a document, with no room for a field that none of them names."""
    return {
        name: schema if name in but or "properties" not in schema else {**schema, "additionalProperties": False}
        for name, schema in schemas.items()
    }


class Wire:
    """The events of the AsyncAPI document. A message of it has a key, and a list of arguments."""

    def __init__(self, document: Json) -> None:
        components = document["components"]
        schemas = {"schemas": closed(components["schemas"], but=_OPEN)}
        self._validators = {
            key: jsonschema_rs.Draft7Validator(
                {**message["payload"], "components": schemas}, validate_formats=True
            )
            for key, message in components["messages"].items()
        }
        self._replies = {
            key: [reply["$ref"].rpartition("/")[2] for reply in operation["reply"]["messages"]]
            for key, operation in document["operations"].items()
            if "reply" in operation
        }

    def fault(self, key: str, arguments: object) -> str | None:
        """The fault of a message of this key; None if it conforms to the document."""
        validator = self._validators.get(key)
        if validator is None:
            return f"{key} is not in the document"
        errors = [error.message for error in validator.iter_errors(arguments)]
        return f"{key}: {'; '.join(errors)} in {json.dumps(arguments)[:500]}" if errors else None

    def fault_of_reply(self, key: str, arguments: object) -> str | None:
        """The fault of these arguments as the ack of a message of this key."""
        faults = [self.fault(reply, arguments) for reply in self._replies.get(key, [])]
        if not faults:
            return f"{key} has no reply in the document"
        return None if None in faults else "; ".join(filter(None, faults))


class Doors:
    """The answers of the OpenAPI document."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._validators: dict[tuple[str, str, str], jsonschema_rs.Draft202012Validator] = {}

    def fault(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> str | None:
        """The fault of an answer; None if it conforms to the document, or the document does not describe it.

        The names of `headers` are in lower case.
        """
        path = path.partition("?")[0].removesuffix("/")
        item = self._document["paths"].get(path, {})
        if method.lower() not in item or (
            status == 400 and MALFORMED in body
        ):  # what is no HTTP never came to a door
            return None
        response = item[method.lower()]["responses"].get(str(status))
        if response is None:
            return f"{method} {path} answers {status}, which is not in the document"
        if missing := [name for name in response["headers"] if name.lower() not in headers]:
            return f"{method} {path} answers {status} without {missing}"
        if "content" not in response:
            return f"{method} {path} answers {status} with a body" if body else None
        errors = list(self._validator(method.lower(), path, str(status)).iter_errors(json.loads(body)))
        return f"{method} {path} answers {status}: {[error.message for error in errors]}" if errors else None

    def _validator(self, method: str, path: str, status: str) -> jsonschema_rs.Draft202012Validator:
        key = (method, path, status)
        if key not in self._validators:
            schema = self._document["paths"][path][method]["responses"][status]["content"]["application/json"]
            schemas = {"schemas": closed(self._document["components"]["schemas"])}
            self._validators[key] = jsonschema_rs.Draft202012Validator(
                {**schema["schema"], "components": schemas}, validate_formats=True
            )
        return self._validators[key]
