"""Which passwords a user may choose (OWASP ASVS 5.0, V6.2; NIST SP 800-63B). None of it is asked at a login."""

import re
from pathlib import Path
from string import digits
from typing import Final

from chatio.accounts.passwords import MAX_WRITTEN_CHARS, PASSWORD_CHARS, prepared
from chatio.text import VISIBLE

LENGTH: Final = f"A password has {PASSWORD_CHARS.start} to {PASSWORD_CHARS.stop - 1} characters."
COMMON: Final = "This password is too common. Please choose another."
OWN: Final = "A password is not your own name or address, nor the name of this server."
ONE_CHARACTER: Final = "A password is more than one character again and again."

COMMON_FILE: Final = Path(__file__).with_name("common_passwords.txt")

_PRODUCT: Final = "chatio"
_MIN_WORD_CHARS: Final = 3  # a shorter name is part of too many words
_NO_LETTERS: Final = re.compile(r"[\W_]+")


def fault_of(password: str, *, name: str, email: str) -> str | None:
    """A sentence that says why `password` cannot be a new password of this user; None if it can."""
    password = prepared(password[:MAX_WRITTEN_CHARS])
    if len(password) not in PASSWORD_CHARS:
        return LENGTH
    if len(set(password.casefold())) == 1 or not VISIBLE.search(password):
        return ONE_CHARACTER
    if password.strip().lower() in _COMMON_PASSWORDS:
        return COMMON
    if any(_is_made_of(word, password) for word in (email, email.partition("@")[0], name, _PRODUCT)):
        return OWN
    return None


def _is_made_of(word: str, password: str) -> bool:
    """Whether `password` is nothing but `word`, once or more, with signs and with digits around it."""
    core = _plain(word).strip(digits)
    if len(core) < _MIN_WORD_CHARS:
        return _plain(password) == _plain(word)
    rest = _plain(password).strip(digits)
    return rest != "" and rest.replace(core, "") == ""


def _plain(text: str) -> str:
    return _NO_LETTERS.sub("", text.casefold())


def _read_common_passwords() -> frozenset[str]:
    text = COMMON_FILE.read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("# "))


_COMMON_PASSWORDS: Final = _read_common_passwords()
