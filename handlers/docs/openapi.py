"""The REST API as an OpenAPI 3.1 document, made from the URL table and the operations of its handlers."""

import inspect
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from chatio import __version__
from chatio.errors import (
    ANSWERS,
    Banned,
    ChatioError,
    InvalidInput,
    MethodNotAllowed,
    RateLimited,
    RouteUnknown,
    Temporary,
    TokenError,
    Unforeseen,
)
from handlers.auth import is_authenticated
from handlers.base import BaseHandler
from handlers.docs.schemas import Json, arguments_of, reference, schemas_of
from handlers.operation import Operation, operation_of
from handlers.responses import (
    BannedErrorResponse,
    ErrorResponse,
    InternalErrorResponse,
    TemporaryErrorResponse,
    ValidationErrorResponse,
)

_ABOUT: Final = """\
Bodies are JSON in UTF-8, of at most 16 KiB, with `Content-Type: application/json`. A client ignores fields of an
answer that it does not know: new ones may be added.

A path that is not in this document answers 404 (`RouteUnknown`), another method 405 with `Allow`
(`MethodNotAllowed`). `HEAD` is answered wherever `GET` is, and `OPTIONS` answers the preflight of every path. A
slash at the end makes no difference. A request that is malformed, too slow or whose head exceeds
16 KiB is answered 400, 408, 431 or 414, and the connection is closed.

The chat itself goes over Socket.IO: see `/asyncapi.json`."""


def _header(description: str, **schema: Any) -> Json:
    return {"description": description, "required": True, "schema": {"type": "string", **schema}}


_HEADERS: Final[Json] = {
    "Access-Control-Allow-Origin": _header("The origin whose pages may read the answer, or `*`."),
    "Access-Control-Expose-Headers": _header("The headers that a page may read."),
    "Cache-Control": _header("Answers are not cached.", const="no-store"),
    "X-Content-Type-Options": _header("Browsers must not guess another Content-Type.", const="nosniff"),
    "Retry-After": _header("Seconds after which to try again.", pattern="^[1-9][0-9]*$"),
    "WWW-Authenticate": _header("RFC 6750.", enum=["Bearer", 'Bearer error="invalid_token"']),
    "Allow": _header("The methods of this path."),
    "Access-Control-Allow-Methods": _header("The methods of this path."),
    "Access-Control-Allow-Headers": _header("The headers that a page may send."),
    "Access-Control-Max-Age": _header("Seconds for which the preflight may be cached.", pattern="^[0-9]+$"),
}
_ON_EVERY_ANSWER: Final = (
    "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers",
    "Cache-Control",
    "X-Content-Type-Options",
)
_ON_A_PREFLIGHT: Final = (
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
    "Access-Control-Max-Age",
)


def openapi_document(endpoints: Iterable[tuple[str, type[BaseHandler]]]) -> Json:
    """The document of `endpoints`: their paths and handlers. Raises `Undescribed`."""
    paths: Json = {}
    structs: set[type[msgspec.Struct]] = {
        *(ErrorResponse, ValidationErrorResponse, TemporaryErrorResponse, InternalErrorResponse),
        BannedErrorResponse,
    }
    for path, handler in endpoints:
        operations: Json = {}
        for name in handler.methods():
            method = getattr(handler, name.lower())
            if name == "HEAD":  # is GET without a body
                continue
            if (operation := operation_of(method)) is None:
                continue
            operations[name.lower()] = _operation(path, name.lower(), method, operation)
            structs.update(kind for kind in (operation.takes, operation.gives) if kind)
        if operations:
            paths[path] = {**operations, "options": _preflight(path)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Chat.io", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas_of(structs),
            "headers": _HEADERS,
            "responses": {kind.__name__: _failure([kind]) for kind in (RouteUnknown, MethodNotAllowed)},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def summary_and_rest(documented: object) -> tuple[str, str]:
    """The first line of a docstring without its full stop, and the rest."""
    summary, _, rest = (inspect.getdoc(documented) or "").partition("\n")
    return summary.removesuffix("."), rest.strip()


def _operation(path: str, name: str, method: object, operation: Operation) -> Json:
    summary, rest = summary_and_rest(method)
    tag = getattr(method, "__module__", "").rpartition(".")[2]
    item: Json = {"operationId": _identifier(name, path), "summary": summary, "tags": [tag]}
    if rest:
        item["description"] = rest
    if is_authenticated(method):
        item["security"] = [{"token": []}]
    if operation.query:
        item["parameters"] = _parameters(operation.query)
    if operation.takes:
        item["requestBody"] = {"required": True, "content": _content(reference(operation.takes))}
    item["responses"] = _responses(operation)
    return item


def _responses(operation: Operation) -> Json:
    success: Json = {"description": "Done.", "headers": _headers()}
    if operation.gives:
        success["description"] = summary_and_rest(operation.gives)[0] + "."
        success["content"] = _content(reference(operation.gives))
    by_status: defaultdict[int, list[type[ChatioError]]] = defaultdict(list)
    for kind in operation.raises:
        by_status[ANSWERS[kind].status].append(kind)
    failures = {str(status): _failure(kinds) for status, kinds in sorted(by_status.items())}
    return {str(operation.status): success, **failures}


def _failure(kinds: list[type[ChatioError]]) -> Json:
    """The answer to any of `kinds`, which have one status."""
    messages = list(dict.fromkeys(ANSWERS[kind].message for kind in kinds))
    by_body: defaultdict[type[ErrorResponse], list[str]] = defaultdict(list)
    for kind in kinds:
        by_body[_body_of(kind)].append(ANSWERS[kind].message)
    bodies = [
        {**reference(body), "properties": {"message": {"enum": list(dict.fromkeys(texts))}}}
        for body, texts in by_body.items()
    ]
    extra = []
    if issubclass(kinds[0], Temporary):
        extra.append("Retry-After")
    if issubclass(kinds[0], TokenError):
        extra.append("WWW-Authenticate")
    if issubclass(kinds[0], MethodNotAllowed):
        extra.append("Allow")
    return {
        "description": " ".join(_sentence(text) for text in messages),
        "headers": _headers(*extra),
        "content": _content(bodies[0] if len(bodies) == 1 else {"anyOf": bodies}),
    }


def _body_of(kind: type[ChatioError]) -> type[ErrorResponse]:
    if issubclass(kind, InvalidInput):
        return ValidationErrorResponse
    if issubclass(kind, Temporary):
        return TemporaryErrorResponse
    if issubclass(kind, Banned):
        return BannedErrorResponse
    return InternalErrorResponse if issubclass(kind, Unforeseen) else ErrorResponse


def _preflight(path: str) -> Json:
    return {
        "operationId": _identifier("options", path),
        "summary": "Preflight: what a page of another origin may send",
        "responses": {
            "204": {"description": "Done.", "headers": _headers(*_ON_A_PREFLIGHT)},
            "429": _failure([RateLimited]),
        },
    }


def _parameters(query: type[msgspec.Struct]) -> list[Json]:
    schema = arguments_of(query)
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": field}
        for name, field in schema["properties"].items()
    ]


def _headers(*extra: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*_ON_EVERY_ANSWER, *extra)}


def _content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _identifier(method: str, path: str) -> str:
    return f"{method}_{path.strip('/').replace('/', '_')}"


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
