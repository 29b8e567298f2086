"""Input of REST requests, read as a Struct: JSON bodies and query strings."""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from chatio.errors import FieldError, InvalidInput

MAX_DIGITS: Final = 15  # of a number in a query string; more are no JavaScript integer

# Of a Content-Type: as many parts as fit into a head take 2 ms.
MAX_TYPE_CHARS: Final = 256

# A pair of escaped surrogates, half of a pair, or all up to the next one: each match is a call.
_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|(\\u[dD][89a-fA-F][\da-fA-F]{2})"
    rb"|(?:[^\\]|\\(?!u[dD][89a-fA-F]).)+",
    re.DOTALL,
)
# Character sets whose every text is UTF-8.
_UTF8: Final = ("utf-8", "utf8", "us-ascii")

T = TypeVar("T", bound=msgspec.Struct)


def is_json(content_type: str, content_encoding: str) -> bool:
    """Whether a request's headers say that its body is JSON in UTF-8, not compressed (RFC 9110, 8.3 and 8.4)."""
    if len(content_type) > MAX_TYPE_CHARS:
        return False
    kind, *parameters = (part.strip() for part in content_type.lower().split(";"))
    charsets = [part.removeprefix("charset=").strip('"') for part in parameters if part.startswith("charset=")]
    is_utf8 = all(charset in _UTF8 for charset in charsets)
    return kind == "application/json" and is_utf8 and content_encoding.lower() in ("", "identity")


def read_json(kind: type[T], body: bytes | bytearray) -> T:
    """The JSON object in a request's body, as a Struct of type `kind`.

    Half of a surrogate pair, which an escape can write and UTF-8 cannot, is read as U+FFFD. Raises `InvalidInput`
    for a body that is no JSON object, and for its fields as `read_fields` does.
    """
    try:
        raw = msgspec.json.decode(_ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidInput(FieldError("body", "The body is not JSON.")) from None
    if not isinstance(raw, dict):
        raise InvalidInput(FieldError("body", "The body is not a JSON object."))
    return read_fields(kind, {name: _whole(value) for name, value in raw.items()})


def _whole(value: object) -> object:
    """5 for 5.0, which JSON Schema takes for an integer (Draft 2020-12, 6.1.1) and Python's clients write."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def read_fields(kind: type[T], raw: Mapping[str, Any]) -> T:
    """`raw`, decoded JSON, as `kind`.

    Raises `InvalidInput` with every field that is missing, of another type, or out of bounds.
    """
    errors = []
    for field in msgspec.structs.fields(kind):
        if field.encode_name not in raw:
            if field.required:
                errors.append(FieldError(field.encode_name, "This is missing."))
        elif not _fits(raw[field.encode_name], field.type):
            expected = _in_words(inspect.type_info(field.type))
            errors.append(FieldError(field.encode_name, f"This must be {expected}."))
    if errors:
        raise InvalidInput(*errors)
    return msgspec.convert(raw, kind)


def read_query(kind: type[T], arguments: Mapping[str, str]) -> T:
    """The arguments of a query string as `kind`; numbers are written in digits. Raises as `read_fields` does."""
    raw: dict[str, str | int] = dict(arguments)
    for field in msgspec.structs.fields(kind):
        text = arguments.get(field.encode_name, "")
        if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS and not _fits(text, field.type):
            raw[field.encode_name] = int(text)
    return read_fields(kind, raw)


def _fits(value: object, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _in_words(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata():
            return _in_words(kind.type)
        case inspect.UnionType():
            return " or ".join(_in_words(other) for other in kind.types)
        case inspect.StrType():
            return "text"
        case inspect.LiteralType(values=values):
            return " or ".join(map(str, values))
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "null"
        case inspect.IntType(ge=int(least), le=int(most)):
            return f"a number from {least} to {most}"
        case inspect.IntType() | inspect.FloatType():
            return "a number"
    return "of another type"
