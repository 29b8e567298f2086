"""Strict JSON: no NaN or Infinity in either direction, a bounded depth, bounded integers.

The library writes NaN as `NaN`, at which every JavaScript client disconnects with "parse error", and reads JSON as
deep as the interpreter's stack.
"""

import json
import math
from typing import Any

from chatio.realtime.limits import MAX_INTEGER_DIGITS, MAX_JSON_DEPTH, MAX_JSON_VALUES


def _integer(digits: str) -> int:
    if len(digits) > MAX_INTEGER_DIGITS:
        raise ValueError("integer")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):  # "1e999", "NaN", "Infinity"
        raise ValueError("float")
    return number


_DECODER = json.JSONDecoder(parse_constant=_finite, parse_int=_integer, parse_float=_finite)


def loads(text: str) -> Any:
    """The value of a JSON text that a client sent.

    Raises ValueError or RecursionError for a text that is no JSON, has NaN or Infinity, or breaks a limit.
    """
    _check_size(text)
    value = _DECODER.decode(text)
    if sum(map(text.count, "[{")) > MAX_JSON_DEPTH:
        _check_depth(value, MAX_JSON_DEPTH)
    return value


# The shortest JSON text of a value, in ASCII, so that half a surrogate pair survives. Raises ValueError for NaN
# and Infinity, TypeError for a value without JSON.
dumps = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _check_size(text: str) -> None:
    """Refuse more values than a message may have, before they are made.

    Each value but the first has one of `[{,` before it; an empty list or object has two, and counts twice.
    """
    if len(text) < MAX_JSON_VALUES or sum(map(text.count, ",[{")) < MAX_JSON_VALUES:
        return
    # The marks may stand within strings. Every second piece between quotation marks is outside of a string, once
    # escaped quotation marks are gone: 1 MB costs 4 to 15 ms.
    pieces = text.replace("\\\\", "").replace('\\"', "").split('"')
    if sum(map("".join(pieces[::2]).count, ",[{")) >= MAX_JSON_VALUES:
        raise ValueError("values")


def _check_depth(value: Any, levels: int) -> None:
    if isinstance(value, dict | list):
        if not levels:
            raise ValueError("depth")
        for child in value.values() if isinstance(value, dict) else value:
            _check_depth(child, levels - 1)
