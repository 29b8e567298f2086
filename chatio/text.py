"""Text that clients send: well-formed Unicode, and whether a person can see it.

The ranges are Unicode's own (Default_Ignorable_Code_Point of DerivedCoreProperties.txt, unassigned code points
included, so that they do not change with Python's version of Unicode), and characters that have an empty glyph.
"""

import re
from typing import Final

# Drawn as nothing: joiners, marks of direction, fillers, variation selectors, tags, soft hyphens.
DEFAULT_IGNORABLE: Final = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# The blank Braille pattern, the null notehead, the Khitan filler, the Egyptian blanks, the marks of interlinear
# annotations.
BLANK: Final = r"\u2800\U0001d159\U00016fe4\U00013441\U00013442\ufff9-\ufffb"
# C0, DEL, C1, the line and paragraph separators.
CONTROLS: Final = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
# Embeddings, overrides and isolates of the bidirectional algorithm (UAX #9), and its marks.
BIDI_CONTROLS: Final = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"

# A character that is drawn: none of space, control, default ignorable or blank.
VISIBLE: Final = re.compile(f"[^\\s{CONTROLS}{DEFAULT_IGNORABLE}{BLANK}]")

_CONTROL: Final = re.compile(f"[{CONTROLS}]+")
_BIDI_CONTROL: Final = re.compile(f"[{BIDI_CONTROLS}]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def well_formed(text: str) -> str:
    """`text` with U+FFFD for each half of a surrogate pair, as `toWellFormed` of JavaScript: valid as UTF-8."""
    try:
        text.encode()  # a third of the time of a search
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


def one_line(text: str) -> str:
    """`text`, well formed, with spaces for control characters, and without those of writing's direction."""
    return _CONTROL.sub(" ", _BIDI_CONTROL.sub("", well_formed(text))).strip()
