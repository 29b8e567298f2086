"""Strategies for the input of clients, and the settings of property tests."""

import json
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# One server serves all examples of a test on purpose: the state that one example leaves is part of the next.
bounded = settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

# Halves of surrogate pairs too: JSON can contain them.
any_text = st.text(st.characters(exclude_categories=()), max_size=40)
awkward_text = st.sampled_from(
    [
        *("", " ", "\x00", "\ud83d", "\udc00\ud83d", "\u202e", "\U0001f600" * 65, "x" * 129, "x" * 5000),
        "ada@chat.test",
    ]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | any_text | awkward_text | st.just(10**400)
any_json: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)

addresses = (
    st.emails()
    | any_text
    | awkward_text
    | st.builds("{}@{}".format, any_text, any_text)
    | st.builds("{}@{}.{}".format, any_text, any_text, st.sampled_from(["test", "local", "com", "LOCAL", "xn--a"]))
)


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()
