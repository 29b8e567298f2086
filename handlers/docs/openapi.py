"""The REST API as an OpenAPI 3.1 document, made from the URL table and the operations of its handlers."""

from collections.abc import Iterable
from typing import Final

import msgspec

from chatio import __version__
from chatio.errors import (
    MethodNotAllowed,
    RateLimited,
    RouteUnknown,
)
from handlers.docs.answers import HEADERS, ON_A_PREFLIGHT, Bodies, headers_of, summary_and_rest
from handlers.docs.schemas import Json, arguments_of
from handlers.http.auth import is_authenticated
from handlers.http.base import BaseHandler
from handlers.http.operation import Operation, Undescribed, operation_of

_ABOUT: Final = """\
Bodies are JSON in UTF-8, of at most 16 KiB, with `Content-Type: application/json`. A client ignores fields of an
answer that it does not know: new ones may be added.

Every error has one shape: `message` is a sentence for users, `code` is for programs and the same one as over
Socket.IO. Some have more fields: `errors`, `retry_after_seconds` or `reference`.

A path that is not in this document answers 404 (`RouteUnknown`), another method 405 with `Allow`
(`MethodNotAllowed`). `HEAD` is answered wherever `GET` is, and `OPTIONS` answers the preflight of every path. A
slash at the end makes no difference. A request that is malformed, too slow or whose head exceeds
16 KiB is answered 400, 408, 431 or 414, and the connection is closed.

The chat itself goes over Socket.IO: see `/asyncapi.json`."""

_PREFLIGHT: Final = "Preflight"
# By which a reader finds an operation; each handler has one.
_TAGS: Final = {
    "Account": "Registration, login, and the account of the user who is logged in.",
    "Moderation": "For moderators and owners: users, acts and the audit trail.",
    "Chat": "What the chat keeps: messages, and the users online.",
    _PREFLIGHT: "What browsers ask by themselves before a page of another origin may call (CORS).",
}


def openapi_document(endpoints: Iterable[tuple[str, type[BaseHandler]]]) -> Json:
    """The document of `endpoints`: their paths and handlers. Raises `Undescribed`, also for a missing example."""
    described = [(path, handler, _operations_of(handler)) for path, handler in endpoints]
    bodies = Bodies(operation for _, _, operations in described for _, operation in operations.values())
    paths = {
        path: {
            **{name: _operation(path, name, *operations[name], handler.tag, bodies) for name in operations},
            "options": _preflight(path, bodies),
        }
        for path, handler, operations in described
        if operations
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Chat.io", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": bodies.schemas,
            "headers": HEADERS,
            "responses": {kind.__name__: bodies.failure([kind]) for kind in (RouteUnknown, MethodNotAllowed)},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operations_of(handler: type[BaseHandler]) -> dict[str, tuple[object, Operation]]:
    """The methods of `handler` that are part of the API, by their names in lower case."""
    methods = [name.lower() for name in handler.methods() if name != "HEAD"]  # which is GET without a body
    found = [(name, getattr(handler, name)) for name in methods]
    operations = {name: (method, operation_of(method)) for name, method in found}
    described = {name: (method, operation) for name, (method, operation) in operations.items() if operation}
    if described and handler.tag not in _TAGS:
        raise Undescribed(f"{handler.__name__} has no tag, one of {', '.join(_TAGS)}")
    return described


def _operation(path: str, name: str, method: object, operation: Operation, tag: str, bodies: Bodies) -> Json:
    summary, rest = summary_and_rest(method)
    item: Json = {"operationId": _identifier(name, path), "tags": [tag], "summary": summary}
    if rest:
        item["description"] = rest
    item["security"] = [{"token": []}] if is_authenticated(method) else []
    if operation.query:
        item["parameters"] = _parameters(operation.query)
    if operation.takes:
        item["requestBody"] = {"required": True, "content": bodies.content(operation.takes)}
    item["responses"] = bodies.responses(operation)
    return item


def _preflight(path: str, bodies: Bodies) -> Json:
    return {
        "operationId": _identifier("options", path),
        "tags": [_PREFLIGHT],
        "summary": "Preflight: what a page of another origin may send",
        "security": [],
        "responses": {
            "204": {"description": "Done.", "headers": headers_of(*ON_A_PREFLIGHT)},
            "429": bodies.failure([RateLimited]),
        },
    }


def _parameters(query: type[msgspec.Struct]) -> list[Json]:
    schema = arguments_of(query)
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": field}
        for name, field in schema["properties"].items()
    ]


def _identifier(method: str, path: str) -> str:
    return f"{method}_{path.strip('/').replace('/', '_')}"
