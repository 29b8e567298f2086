"""What strangers may send, for Hypothesis to choose from, and how far it may go."""

import json
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# One server serves all the examples of a test, and is meant to: what one leaves behind is the next one's input.
bounded = settings(
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

# Half surrogate pairs too: JSON can spell them.
any_text = st.text(st.characters(exclude_categories=()), max_size=40)
awkward_text = st.sampled_from(
    [
        "",
        " ",
        "\x00",
        "\ud83d",
        "\udc00\ud83d",
        "\u202e",
        "\U0001f600" * 65,
        "x" * 129,
        "x" * 5000,
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
