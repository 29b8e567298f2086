"""Names: what a user may be called, and when two names are too much alike.

A name is kept in the form NFKC (UAX #15), so that a fullwidth or ligature spelling is no other name. It has no
character that is not drawn, except joiners where the script or an emoji needs one. No two users have the same key,
nor the same look:

    key     the skeleton of the name in lower case      "Ann" and "ANN", in any script
    look    the skeleton of the name as it is shown     "Ivan" and "lvan", also with a Cyrillic or Greek letter

There are two, because capitals of another script may look like Latin ones whose small letters do not. The skeleton
is that of UTS #39, section 4: each character is replaced by the one that it is drawn like.
"""

import re
import unicodedata
from itertools import chain
from pathlib import Path
from string import ascii_lowercase, digits
from typing import Final

from idna.core import IDNAError, check_bidi, valid_contextj

from chatio.text import BIDI_CONTROLS, BLANK, CONTROLS, DEFAULT_IGNORABLE, VISIBLE

MAX_NAME_CHARS: Final = 64
MAX_WRITTEN_CHARS: Final = 4 * MAX_NAME_CHARS  # before NFKC, which composes letters and their marks

TOO_LONG: Final = f"A name has 1 to {MAX_NAME_CHARS} characters."
CONTROL: Final = "A name has no control characters."
INVISIBLE: Final = "A name has no invisible characters."
NOTHING: Final = "A name has at least one visible character."
RESERVED: Final = "This name is reserved."
CHECKED: Final = "A name has no check mark, which would look like one of the server."
WIDE: Final = "A name has no signs that are much wider than a letter, and none of ancient scripts."
MARKS: Final = "A name has at most two accents on a letter, and none before it."
DIRECTIONS: Final = "A name from right to left begins with a letter, and has no letter from left to right."

# Drawn as letters, and left as they are by NFKC and UTS #39: dark circles and squares, the letters of flags, and
# the digits and signs that stand for letters.
_LETTER_SIGNS: Final = {
    start + number: letter
    for start in (0x1F150, 0x1F170, 0x1F1E6)
    for number, letter in enumerate(ascii_lowercase)
} | str.maketrans("@4$53!", "aassei")

# Private characters and those that are none, which all are drawn as the same box.
_PRIVATE: Final = "\ue000-\uf8ff\ufdd0-\ufdef\U000f0000-\U0010ffff" + "".join(
    f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(15)
)
_FORBIDDEN: Final = re.compile(f"[{CONTROLS}{BIDI_CONTROLS}{_PRIVATE}\ud800-\udfff]")
_NOT_DRAWN: Final = re.compile(f"[{DEFAULT_IGNORABLE}{BLANK}]")
_JOINERS: Final = "\u200c\u200d"
_PICTOGRAPH: Final = (
    "[\u00a9\u00ae\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\U0001f000-\U0001faff]"
)
_EMOJI: Final = re.compile(f"{_PICTOGRAPH}[\ufe0e\ufe0f]?(?:\u200d{_PICTOGRAPH}\ufe0f?)*|[0-9#*]\ufe0f\u20e3")
# A variation selector behind a character that has no variants changes nothing.
_STRAY_SELECTOR: Final = re.compile(f"(?<!{_PICTOGRAPH})[\ufe0e\ufe0f](?!\u20e3)")
# Accents that stand alone, which people type for an apostrophe: NFKC makes a space and an accent of them.
_SPACING_ACCENTS: Final = re.compile(
    "([\u00a8\u00af\u00b4\u00b8\u02d8-\u02dd\u0384\u0385\u1fbd-\u1fc1\u1fcd-\u1fcf\u1fdd-\u1fdf\u1fed-\u1fef\u1ffd\u1ffe])"
)
# Signs that are drawn as 1.6 em or more (Noto Sans; a Chinese character has 1, a Tamil letter up to 2.1) and their
# blocks; and the letters of the scripts of UAX #31, table 4, in plane 1, such as cuneiform, which has 4.6.
_WIDE: Final = re.compile(
    "[\u0604\u0bf5\u0bf8\u0d5d\u0d77\u0d78\u0fd0\u17d8\u1cc0-\u1cc7\u23dc-\u23e1\u2e3a\u2e3b\ua9c1-\ua9cd\uaade\uaadf"
    "\ufd40-\ufd4f\ufdcf\ufdfd-\ufdff\U0001ec70-\U0001ecbf\U00010000-\U000104af\U00010500-\U00010cff"
    "\U00010d40-\U000110ff\U00011150-\U000113ff\U00011480-\U00016eff]"
)
_CHECK_MARKS: Final = re.compile("[\u221a\u237b\u23b7\u2611\u2705\u2713\u2714\U0001f5f8\U0001f5f9\U0001fbb1]")
_APOSTROPHES: Final = "'\u2018\u2019\u02bc\u00b4`"
_SEPARATORS: Final = re.compile(r"[\W_]+")
# Marks that any letter may have. Vietnamese needs two, and NFKC composes those. Scripts with marks of their own,
# such as Burmese, stack more of them, but at most four that take no room (UTS #39, section 5.4).
_ACCENTS: Final = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_MANY_ACCENTS: Final = re.compile(f"{_ACCENTS}{{3}}")
_MAX_MARKS: Final = 4
_MAX_SHORT_CHARS: Final = 3  # "B o t" is reserved, and "Bo T" is a name


def cleaned(written: str) -> str:
    """The name `written` as it is kept. Raises ValueError with a sentence that says why it cannot be a name."""
    written = written.strip()
    if len(written) > MAX_WRITTEN_CHARS:
        raise ValueError(TOO_LONG)
    if _FORBIDDEN.search(written):
        raise ValueError(CONTROL)
    name = "".join(
        part if _SPACING_ACCENTS.fullmatch(part) else unicodedata.normalize("NFKC", part)
        for part in _SPACING_ACCENTS.split(written)
    )
    name = " ".join(_STRAY_SELECTOR.sub("", name).split())
    if not 1 <= len(name) <= MAX_NAME_CHARS:
        raise ValueError(TOO_LONG)
    if all(map(_is_mark, VISIBLE.findall(name))):
        raise ValueError(NOTHING)
    if _has_undrawn(name):
        raise ValueError(INVISIBLE)
    if _WIDE.search(name):
        raise ValueError(WIDE)
    if _is_mark(name[0]) or _MANY_ACCENTS.search(name) or _has_many_marks(unicodedata.normalize("NFD", name)):
        raise ValueError(MARKS)
    if not _has_one_direction(name):
        raise ValueError(DIRECTIONS)
    plain = name.casefold()
    if any(map(_is_reserved, (name, plain, name.translate(_LETTER_SIGNS), _without_accents(plain)))):
        raise ValueError(RESERVED)
    if _CHECK_MARKS.search(name):
        raise ValueError(CHECKED)
    return name


def key(name: str) -> str:
    """The same for names that differ in case only."""
    return _skeleton(unicodedata.normalize("NFKC", name.casefold())).casefold()


def look(name: str) -> str:
    """The same for names that are drawn alike."""
    return _skeleton(name).casefold()


def _is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] == "M"


def _has_one_direction(name: str) -> bool:
    """Whether no other name is drawn as this one by the bidirectional algorithm: the rule of RFC 5893, section 2.

    "\u05d01" and "1\u05d0" look the same, and so do "A \u05d0" and "\u05d0 A" from right to left.
    """
    if not any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in name):
        return True
    signs = "".join(char for char in name if unicodedata.category(char)[0] not in "LMN")
    try:
        return check_bidi(name.strip(signs).replace(" ", "!"))  # a space counts as a sign, which a label may have
    except IDNAError:
        return False


def _has_undrawn(name: str) -> bool:
    rest = _EMOJI.sub("\U0001f600", name)
    return any(
        not (found.group() in _JOINERS and _joins(rest, found.start())) for found in _NOT_DRAWN.finditer(rest)
    )


def _has_many_marks(name: str) -> bool:
    """Whether marks are stacked so high that they cover the lines above and below, or one is repeated."""
    row, last = 0, ""
    for char in name:
        row = row + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        if row > _MAX_MARKS or (row > 1 and char == last):
            return True
        last = char
    return False


def _joins(name: str, position: int) -> bool:
    """Whether the script of `name` needs the joiner at `position` (RFC 5892, A.1 and A.2): Persian, Hindi."""
    try:
        return valid_contextj(name, position)
    except ValueError:  # beside a character that is newer than the library's Unicode
        return False


def _without_accents(name: str) -> str:
    return re.sub(_ACCENTS, "", unicodedata.normalize("NFD", name))


def _is_reserved(name: str) -> bool:
    """Also with a number behind each word, which may stand for a letter: "Admin2", "Inf0"."""
    return _are_reserved(name, digits) or _are_reserved(name, "")


def _are_reserved(name: str, ignored: str) -> bool:
    words = _words(name, ignored)
    return (
        not _ROLES.isdisjoint(words)
        or _say(words, _RESERVED)
        or any(_say(_words(part, ignored), _CLAIMS) for part in _parts(name))
    )


def _words(name: str, ignored: str) -> list[str]:
    return [_plain(word) for each in _SEPARATORS.split(name) if (word := each.rstrip(ignored))]


def _parts(name: str) -> list[str]:
    """What signs set apart: "Ann" and "mod" of "Ann [mod]", of "Ann | mod" and of "Ann-mod"."""
    is_sign = [unicodedata.category(char)[0] in "PS" and char not in _APOSTROPHES for char in name]
    return "".join("\n" if sign else char for char, sign in zip(name, is_sign, strict=True)).split("\n")


def _say(words: list[str], reserved: frozenset[str]) -> bool:
    """Whether `words` are a reserved one, also letter by letter, or several, beside fillers at most."""
    joined = "".join(words)
    if joined in reserved and (len(joined) > _MAX_SHORT_CHARS or len(words) in (1, len(joined))):
        return True
    return any(word in reserved for word in words) and all(word in _BESIDE_RESERVED for word in words)


def _plain(word: str) -> str:
    """The look of `word`, whose I, l and 1 are the same in any case."""
    return key(look(word)).replace("i", "l")


def _skeleton(text: str) -> str:
    text = _NOT_DRAWN.sub("", unicodedata.normalize("NFD", text))
    text = unicodedata.normalize("NFD", text.translate(_CONFUSABLES))
    return text.replace("i\u0307", "i").replace("j\u0307", "j")  # the dot that they have already


def _read_confusables() -> dict[int, str]:
    table: dict[int, str] = {}
    for line in Path(__file__).with_name("confusables.txt").read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            drawn_like, chars = line.split(";")
            text = "".join(chr(int(code, 16)) for code in drawn_like.split())
            table.update((int(code, 16), text) for code in chars.split())
    return table


def _read_reserved(kind: str) -> frozenset[str]:
    """The looks of the reserved words of one kind."""
    lines = Path(__file__).with_name("reserved_names.txt").read_text(encoding="utf-8").splitlines()
    words = (line.removeprefix(f"{kind}:").split() for line in lines if line.startswith(f"{kind}:"))
    return frozenset(map(_plain, chain.from_iterable(words)))


_CONFUSABLES: Final = _read_confusables()
_ROLES: Final = _read_reserved("role")
_CLAIMS: Final = _ROLES | _read_reserved("claim")
_RESERVED: Final = _CLAIMS | _read_reserved("alone")
_BESIDE_RESERVED: Final = _RESERVED | _read_reserved("filler")
