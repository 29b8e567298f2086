import math
from typing import Any

import pytest

from chatio.realtime import strict_json


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {"deep": [math.nan]}])
def test_value_without_json_is_never_written(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        strict_json.dumps(value)


def test_json_is_short_and_in_ascii() -> None:
    assert strict_json.dumps({"a": ["é", "\ud83d"]}) == '{"a":["\\u00e9","\\ud83d"]}'
