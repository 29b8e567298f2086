"""The bodies of requests and answers in the OpenAPI document: each with its schema, an example and its headers."""

import inspect
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from chatio.errors import (
    ANSWERS,
    Answer,
    Banned,
    ChatioError,
    InvalidInput,
    MethodNotAllowed,
    Temporary,
    TokenError,
    Unforeseen,
)
from handlers.docs.examples import example_of
from handlers.docs.schemas import Json, reference, schemas_of
from handlers.http.operation import Operation
from handlers.http.responses import (
    BannedErrorResponse,
    ErrorResponse,
    InternalErrorResponse,
    TemporaryErrorResponse,
    ValidationErrorResponse,
)


def _header(description: str, **schema: Any) -> Json:
    return {"description": description, "required": True, "schema": {"type": "string", **schema}}


HEADERS: Final[Json] = {
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
ON_A_PREFLIGHT: Final = (
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
    "Access-Control-Max-Age",
)
_ON_A_FAILURE: Final[dict[type[ChatioError], str]] = {
    Temporary: "Retry-After",
    TokenError: "WWW-Authenticate",
    MethodNotAllowed: "Allow",
}
_FAILURES: Final = (
    ErrorResponse,
    BannedErrorResponse,
    ValidationErrorResponse,
    TemporaryErrorResponse,
    InternalErrorResponse,
)


class Bodies:
    """The bodies of requests and answers, each with its schema and an example."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        """Raises `Undescribed` for a field without an example."""
        kinds = {kind for operation in operations for kind in (operation.takes, operation.gives) if kind}
        self.schemas = schemas_of({*kinds, *_FAILURES})
        self._examples = {name: example_of(schema, self.schemas, name) for name, schema in self.schemas.items()}

    def content(self, kind: type[msgspec.Struct]) -> Json:
        return {"application/json": {"schema": reference(kind), "example": self._examples[kind.__name__]}}

    def responses(self, operation: Operation) -> Json:
        success: Json = {"description": "Done.", "headers": headers_of()}
        if operation.gives:
            success["description"] = summary_and_rest(operation.gives)[0] + "."
            success["content"] = self.content(operation.gives)
        by_status: defaultdict[int, list[type[ChatioError]]] = defaultdict(list)
        for kind in dict.fromkeys(operation.raises):
            by_status[ANSWERS[kind].status].append(kind)
        failures = {str(status): self.failure(kinds) for status, kinds in sorted(by_status.items())}
        return {str(operation.status): success, **failures}

    def failure(self, kinds: list[type[ChatioError]]) -> Json:
        """The answer to any of `kinds`, which have one status."""
        by_body: defaultdict[type[ErrorResponse], list[Answer]] = defaultdict(list)
        for kind in kinds:
            by_body[_body_of(kind)].append(ANSWERS[kind])
        schemas = [{**reference(body), "properties": _told(answers)} for body, answers in by_body.items()]
        examples = {
            answer.code: {
                "value": {**self._examples[body.__name__], "message": answer.message, "code": answer.code}
            }
            for body, answers in by_body.items()
            for answer in answers
        }
        extra = [name for kind, name in _ON_A_FAILURE.items() if issubclass(kinds[0], kind)]
        return {
            "description": " ".join(dict.fromkeys(_sentence(ANSWERS[kind].message) for kind in kinds)),
            "headers": headers_of(*extra),
            "content": {
                "application/json": {
                    "schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas},
                    "examples": examples,
                }
            },
        }


def _told(answers: list[Answer]) -> Json:
    """What `message` and `code` of these answers may be."""
    texts = {"message": [answer.message for answer in answers], "code": [answer.code for answer in answers]}
    return {name: {"enum": list(dict.fromkeys(values))} for name, values in texts.items()}


def _body_of(kind: type[ChatioError]) -> type[ErrorResponse]:
    if issubclass(kind, InvalidInput):
        return ValidationErrorResponse
    if issubclass(kind, Temporary):
        return TemporaryErrorResponse
    if issubclass(kind, Banned):
        return BannedErrorResponse
    return InternalErrorResponse if issubclass(kind, Unforeseen) else ErrorResponse


def summary_and_rest(documented: object) -> tuple[str, str]:
    """The first line of a docstring without its full stop, and the rest."""
    summary, _, rest = (inspect.getdoc(documented) or "").partition("\n")
    return summary.removesuffix("."), rest.strip()


def headers_of(*extra: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*_ON_EVERY_ANSWER, *extra)}


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
