"""Text: half a surrogate pair is replaced, and what a person cannot see is not visible."""

import pytest

from chatio.text import VISIBLE, well_formed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("plain", "plain"), ("", ""), ("Ünï \U0001f600 עדה", "Ünï \U0001f600 עדה"), ("\ufffd", "\ufffd")),
        *(("\ud83d", "\ufffd"), ("a\ude00b", "a\ufffdb"), ("\ude00\ud83d", "\ufffd\ufffd"), ("\udfff", "\ufffd")),
    ],
)
def test_half_a_surrogate_pair_becomes_the_replacement_character(text: str, expected: str) -> None:
    assert well_formed(text) == expected
    assert well_formed(text).encode().decode() == expected


INVISIBLE = (
    *("", " ", "\t\n\r\x0b\x0c", "\x00", "\x1f\x7f", "\x85", "\u00a0", "\u1680", "\u2003", "\u3000", "\u2028"),
    *("\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u180b", "\u180e", "\u200b", "\u200d"),
    *("\u202e", "\u2060", "\u2064", "\u206f", "\u3164", "\ufe0f", "\ufeff", "\uffa0", "\ufff0", "\ufffb"),
    *(
        "\u2800",
        "\U0001d159",
        "\U00013441",
        "\U00013442",
        "\U0001d173",
        "\U000e0001",
        "\U000e0041",
        "\U000e0100",
        "\U000e0fff",
    ),
    *("\u3164\u2800 \u200b\x00",),
)


@pytest.mark.parametrize("text", INVISIBLE)
def test_what_is_not_drawn_is_not_visible(text: str) -> None:
    assert not VISIBLE.search(text)
    assert VISIBLE.search(f"{text}x{text}")


@pytest.mark.parametrize(
    "text",
    [
        *("x", ".", "\u0301", "\ufffd", "\U0001f600", "ㅤㅏ", "⠁", "\u0600", "\ue000", "\uf8ff"),
        *("\u0378", "\U0001faff", "\U000e1000", "\U0003fffd"),  # unassigned
    ],
)
def test_what_is_drawn_or_unassigned_is_visible(text: str) -> None:
    assert VISIBLE.search(text)
