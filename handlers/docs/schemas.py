"""Types as JSON Schema, as both documents want it."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

Json = dict[str, Any]

_TEMPLATE: Final = "#/components/schemas/{name}"


def reference(kind: type[msgspec.Struct]) -> Json:
    return {"$ref": _TEMPLATE.format(name=kind.__name__)}


def schemas_of(kinds: Iterable[type[msgspec.Struct]]) -> Json:
    """The schemas of `kinds`, bodies and events, and of what is in them, by their names.

    A field that is made with a default is always sent; one that may be left out is `msgspec.UNSET` by default.
    """
    # In one order: a set of types has another one in every process.
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=_TEMPLATE)
    for schema in schemas.values():
        needed = schema.get("required", [])
        for name, field in schema.get("properties", {}).items():
            if field.pop("default", None) is not None:
                needed.append(name)
    return schemas


def arguments_of(query: type[msgspec.Struct]) -> Json:
    """The schema of `query`, whose fields are the arguments of an address."""
    schema: Json = msgspec.json.schema_components([query])[1][query.__name__]
    return schema
