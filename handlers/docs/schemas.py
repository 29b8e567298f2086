"""Types as JSON Schema, for both documents."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

Json = dict[str, Any]

_TEMPLATE: Final = "#/components/schemas/{name}"


def reference(kind: type[msgspec.Struct]) -> Json:
    return {"$ref": _TEMPLATE.format(name=kind.__name__)}


def schemas_of(kinds: Iterable[type[msgspec.Struct]]) -> Json:
    """The schemas of `kinds`, and of the types of their fields, by name.

    A field with a default value is always sent; a field that may be missing has the default `msgspec.UNSET`.
    """
    # Sorted: the order of a set of types differs between processes.
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=_TEMPLATE)
    for schema in schemas.values():
        needed = schema.get("required", [])
        for name, field in schema.get("properties", {}).items():
            if field.pop("default", None) is not None:
                needed.append(name)
    return schemas


def arguments_of(query: type[msgspec.Struct]) -> Json:
    """The schema of `query`, whose fields are the arguments of a query string."""
    schema: Json = msgspec.json.schema_components([query])[1][query.__name__]
    return schema
