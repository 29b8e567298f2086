import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatio.realtime.socketio.packets import dumps, loads

SURROGATES = st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF)
TEXTS = st.text(st.one_of(st.characters(exclude_categories=[]), SURROGATES, st.sampled_from('\\u"d8\U0001f600')))
VALUES = st.recursive(TEXTS, lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXTS, inner)), max_leaves=8)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {"deep": [math.nan]}])
def test_value_without_json_is_never_written(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        dumps(value)


def test_json_is_short_and_in_ascii() -> None:
    assert dumps({"a": ["é", 1]}) == '{"a":["\\u00e9",1]}'


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("\ud83d", "\ufffd"),
        ("a\ud83db", "a\ufffdb"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        ("\\ud83d", "\\ud83d"),  # a backslash and five letters
        ("\\ud83d\ude00", "\\ud83d\ufffd"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_half_of_a_surrogate_pair_is_read_and_written_as_the_replacement_character(text: str, whole: str) -> None:
    value, expected = {text: [text, {"deep": text}]}, {whole: [whole, {"deep": whole}]}
    assert loads(json.dumps(value)) == expected
    assert json.loads(dumps(value)) == expected


def test_half_of_a_surrogate_pair_is_found_in_capitals_too() -> None:
    assert loads(r'["\uD83D","\uDE00x"]') == ["\ufffd", "\ufffdx"]


@given(VALUES)
def test_all_that_is_read_or_written_is_valid_utf_8(value: Any) -> None:
    read = loads(json.dumps(value))
    json.dumps(read, ensure_ascii=False).encode()
    json.dumps(json.loads(dumps(value)), ensure_ascii=False).encode()
    assert json.loads(dumps(value)) == read


def test_attachments_are_counted_once_beside_half_of_a_surrogate_pair() -> None:
    seen: list[bytes] = []

    def default(value: bytes) -> int:
        seen.append(value)
        return len(seen)

    assert dumps([b"x", "\ud83d", b"y"], default) == '[1,"\\ufffd",2]'
