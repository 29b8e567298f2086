"""An example of each body and event, put together from the examples of the types of their fields.

Every text and number has one (`msgspec.Meta(examples=[...])`): no server starts without.
"""

from typing import Any

from handlers.docs.schemas import Json
from handlers.http.operation import Undescribed


def example_of(schema: Json, schemas: Json, place: str = "a body") -> Any:
    """An example of `schema`, whose references lead to `schemas`. Raises `Undescribed` for a field without one.

    `place` names the schema in that error.
    """
    match schema:
        case {"$ref": str(target)}:
            name = target.rpartition("/")[2]
            return example_of(schemas[name], schemas, name)
        case {"examples": [first, *_]} | {"const": first} | {"enum": [first, *_]}:
            return first
        case {"allOf": [first, *_]} | {"anyOf": [first, *_]}:
            return example_of(first, schemas, place)
        case {"type": "array", "items": items}:
            return [example_of(items, schemas, place)]
        case {"properties": fields}:
            return {name: example_of(field, schemas, f"{place}.{name}") for name, field in fields.items()}
    raise Undescribed(f"{place} has no example")
