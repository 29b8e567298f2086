"""Which passwords a user may choose (OWASP ASVS 5.0, V6.2; NIST SP 800-63B). None of it is asked at a login.

A password is refused if it is common, or if little is left of it beside what is guessed first. To that end it is
shortened: each of these becomes one unit, and a password has at least `MIN_UNITS` of them.

    a common word, also as "P@ssw0rd"      what the user and the server are called, and parts of it
    a row of the alphabet or of keys       a year, a date
    a character again and again            the whole password, if it is one thing again and again

So "Password123!" has three units, "qwertyuiop" has one, and a sentence of a few words has many: one common word is
shortened, and others beside it are not. (The library zxcvbn does all that and more. It takes 2 s of CPU for some
passwords of 60 characters, and 800 kB of lists.)

A password is compared as RFC 8265 prepares it (OpaqueString): in NFC, and every space as U+0020. So it is the same
one on a keyboard that types a letter and its accent as two characters, or a space that does not break.
"""

import re
import unicodedata
from itertools import chain
from pathlib import Path
from string import ascii_lowercase, digits
from typing import Final

PASSWORD_CHARS: Final = range(8, 128 + 1)  # as prepared
# As typed: NFC makes one character of four at most. The time of NFC grows with the square of the length.
MAX_WRITTEN_CHARS: Final = 4 * PASSWORD_CHARS.stop

_SPACES: Final = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")  # Zs but U+0020

LENGTH: Final = f"A password has {PASSWORD_CHARS.start} to {PASSWORD_CHARS.stop - 1} characters."
COMMON: Final = "This password is too common. Please choose another."
OWN: Final = (
    "A password is not your own name or address, nor the name of this server, with a few characters added."
)
PREDICTABLE: Final = (
    "A password is more than a common word, a row of keys or a repetition, with a few characters added."
)

COMMON_FILE: Final = Path(__file__).with_name("common_passwords.txt")

MIN_UNITS: Final = 5
MIN_WORD_CHARS: Final = 5  # of a common word: shorter ones are in every sentence
_MIN_OWN_CHARS: Final = 3
_MIN_ROW_CHARS: Final = 3

_PRODUCT: Final = ("chatio", "chat.io")
_UNIT: Final = "\0"
_UNITS_AND_SIGNS: Final = re.compile(rf"{_UNIT}(?:[\W_]*{_UNIT})+")
_AGAIN: Final = re.compile(r"(.)\1+", re.DOTALL)
_SEPARATORS: Final = re.compile(r"[\W_]+")
_DAY, _MONTH, _YEAR = r"(?:0[1-9]|[12]\d|3[01])", r"(?:0[1-9]|1[0-2])", r"(?:19|20)\d\d"
_DATE: Final = re.compile(
    "[-./]?".join([_YEAR, _MONTH, _DAY])
    + "|"
    + "[-./]?".join([rf"(?:{_DAY}[-./]?{_MONTH}|{_MONTH}[-./]?{_DAY})", _YEAR])
    + f"|{_YEAR}"
)
_LETTER_SIGNS: Final = str.maketrans("@430$51!7+", "aaeossiitt")
_KEYS: Final = (
    ascii_lowercase,
    digits + "0",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "!@#$%^&*()_+",
    "§1234567890-=",
)
_OTHER_KEYS: Final = (
    "qwertzuiopü+",
    "asdfghjklöä#",
    "yxcvbnm,.-",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "йцукенгшщзхъ",
)
_ZIGZAG: Final = (
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.",
    "q1w2e3r4t5y6u7i8o9p0",
    "1q2w3e4r5t6y7u8i9o0p",
    "a1b2c3d4e5f6g7h8i9",
)
_ROWS: Final = "\n".join(chain.from_iterable((row, row[::-1]) for row in (*_KEYS, *_OTHER_KEYS, *_ZIGZAG)))


def prepared(password: str) -> str:
    """`password` as it is compared (RFC 8265, 4.2.2)."""
    return password if password.isascii() else unicodedata.normalize("NFC", _SPACES.sub(" ", password))


def fault_of(password: str, *, name: str, email: str) -> str | None:
    """A sentence that says why `password` cannot be a new password of this user; None if it can."""
    password = prepared(password[:MAX_WRITTEN_CHARS])
    if len(password) not in PASSWORD_CHARS:
        return LENGTH
    text = password.strip().casefold()
    if text in _COMMON_PASSWORDS:
        return COMMON
    without_own = _without_own_words(text, name, email)
    if _units_of(without_own) < MIN_UNITS:
        return PREDICTABLE if without_own == text else OWN
    return None


def _without_own_words(text: str, name: str, email: str) -> str:
    """`text` with a unit for what the user and the server are called, however often."""
    wholes = (email, email.partition("@")[0], name, *_PRODUCT)
    parts = chain.from_iterable(_SEPARATORS.split(whole) for whole in wholes)
    joined = (_SEPARATORS.sub("", whole) for whole in wholes)
    words = {word.casefold() for word in (*wholes, *parts, *joined) if len(word) >= _MIN_OWN_CHARS}
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, _UNIT)
    return _UNITS_AND_SIGNS.sub(_UNIT, text)


def _units_of(text: str) -> int:
    text = _unrepeated(text)
    text = _without_common_word(text)
    text = _DATE.sub(_UNIT, text)
    text = _AGAIN.sub(r"\1", text)
    return _count_without_rows(text)


def _unrepeated(text: str) -> str:
    """What `text` is made of, if it is that again and again."""
    for size in range(1, len(text) // 2 + 1):
        if text.startswith(text[size:]):
            return text[:size]
    return text


def _without_common_word(text: str) -> str:
    """`text` with a unit for the longest common word in it, also if that is written with signs and digits."""
    letters = text.translate(_LETTER_SIGNS)
    for size in range(min(len(text), _LONGEST), MIN_WORD_CHARS - 1, -1):
        for start in range(len(text) - size + 1):
            part = slice(start, start + size)
            if text[part] in _COMMON_PASSWORDS or letters[part] in _COMMON_PASSWORDS:
                return text.replace(text[part], _UNIT)
    return text


def _count_without_rows(text: str) -> int:
    """The number of characters of `text`, each row of keys counted as one."""
    units = start = 0
    while start < len(text):
        end = start + 1
        while end < len(text) and text[start : end + 1] in _ROWS:
            end += 1
        start = end if end - start >= _MIN_ROW_CHARS else start + 1
        units += 1
    return units


def _read_common_passwords() -> frozenset[str]:
    text = COMMON_FILE.read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("# "))


_COMMON_PASSWORDS: Final = _read_common_passwords()
_LONGEST: Final = max(map(len, _COMMON_PASSWORDS))
