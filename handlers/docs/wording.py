"""JSON Schema in a few words, and the prose of a document as HTML, for the page /docs."""

import html
import re
from typing import Any


def prose(text: str) -> str:
    """`text` as HTML: parts between backticks become code, everything else is escaped."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text))


def outline(schema: dict[str, Any]) -> str:
    """`schema` in one line, such as "text, 1 to 64 characters"; other schemas appear by name."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "allOf" in schema:
        return outline(schema["allOf"][0])
    if "anyOf" in schema:
        return " or ".join(outline(other) for other in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(f"“{value}”" for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"]).lower()
    if schema.get("type") == "array":
        return f"list of {outline(schema['items'])}"
    name = {"string": "text", "integer": "whole number", "null": "null"}.get(schema.get("type", ""), "anything")
    return ", ".join([name, *_limits(schema)])


def _limits(schema: dict[str, Any]) -> list[str]:
    limits = []
    if schema.get("format") == "email":
        limits.append("an e-mail address")
    if schema.get("format") == "date-time":
        limits.append("a time")
    least, most = schema.get("minLength"), schema.get("maxLength")
    if most is not None:
        limits.append(f"{least or 0} to {most} characters")
    elif least:
        limits.append("not empty")
    if "maximum" in schema:
        limits.append(f"{schema['minimum']} to {schema['maximum']}")
    if "default" in schema:
        limits.append(f"{schema['default']} without it")
    return limits
