"""One-time codes for a new password, for a user who has forgotten the old one.

The operator makes a code on the server's machine and gives it to the user, who may have to type it. The store
keeps its digest: 100 random bits need no slow hash.
"""

import hashlib
import re
import secrets
import time
from typing import Final

from chatio.stores.accounts import User

SECONDS: Final = 3600
_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's 32, without I, L, O and U
_GROUPS, _GROUP_CHARS = 5, 4
_MOST_TYPED_CHARS: Final = 64


def new_code() -> str:
    """A code, such as 7K2M-9QXT-0DHV-C4RB-W8EN."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_GROUP_CHARS)) for _ in range(_GROUPS))
    return "-".join(groups)


def digest_of(code: str) -> str:
    """What the store keeps of a code: the same in any case, and however it is grouped."""
    typed = re.sub(r"[\W_]", "", code[:_MOST_TYPED_CHARS].upper()).translate(str.maketrans("OIL", "011"))
    return hashlib.sha256(typed.encode("utf-8", "surrogatepass")).hexdigest()


def is_code_of(user: User, code: str) -> bool:
    """Whether `code` is that of `user`, and not over."""
    is_same = secrets.compare_digest(digest_of(code), user.reset_hash)
    return is_same and user.reset_until > time.time()
