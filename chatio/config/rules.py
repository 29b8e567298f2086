"""The rule of each setting in one sentence for operators, made from the type that also checks it."""

import contextlib
from typing import Any, Final

import msgspec
from msgspec import inspect

from chatio.telemetry.log_format import harmless

# A value up to this length is quoted. A key is longer; a value that is longer may be one in the wrong place.
MAX_QUOTED_CHARS: Final = 20


def broken_rule(name: str, kind: Any, text: str) -> str:
    """The sentence that the setting `name` must be as its type `kind` says, and is not with the value `text`."""
    rule, title = inspect.type_info(kind), None
    while isinstance(rule, inspect.Metadata | inspect.UnionType):
        if isinstance(rule, inspect.Metadata):
            title = (rule.extra_json_schema or {}).get("title", title)
        rule = rule.type if isinstance(rule, inspect.Metadata) else rule.types[0]
    match rule:
        case inspect.StrType() if title:
            must_be = title
        case inspect.LiteralType(values):
            # In the order of the source, which `inspect` does not keep.
            *others, last = [value for value in kind.__origin__.__args__ if value in values]
            must_be = f"{', '.join(others)} or {last}"
        case inspect.IntType() | inspect.FloatType():
            must_be = f"a {_whole_if_it_matters(rule, text)}number {_bounds(rule)}"
        case _:
            return f"{name} must not be empty"
    return f"{name} must be {must_be}, not {quoted(text)}"


def _whole_if_it_matters(rule: inspect.IntType | inspect.FloatType, text: str) -> str:
    with contextlib.suppress(msgspec.ValidationError):
        if isinstance(rule, inspect.IntType) and not msgspec.convert(text, float, strict=False).is_integer():
            return "whole "
    return ""


def _bounds(rule: inspect.IntType | inspect.FloatType) -> str:
    if rule.le is None:
        return f"of at least {rule.ge}"
    return f"from {rule.ge} to {rule.le}" if rule.gt is None else f"above {rule.gt} and up to {rule.le}"


def quoted(text: str) -> str:
    """`text` in quotation marks, or its length alone if it may be a key in the wrong place."""
    if len(text) <= MAX_QUOTED_CHARS:
        return f"'{harmless(text)}'"
    return f"a text of {len(text)} characters"
