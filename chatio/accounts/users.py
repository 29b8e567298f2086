"""Users: the rules of registration, login and passwords, for any store."""

import unicodedata
import uuid

from email_validator import EmailNotValidError, validate_email

from chatio.accounts.passwords import PasswordHasher
from chatio.errors import (
    BadCredentials,
    EmailAlreadyUsed,
    FieldError,
    InvalidInput,
    PasswordReplaced,
    UserUnknown,
    WrongPassword,
)
from chatio.stores.base import User, UserStore

MAX_NAME_CHARS = 64
MAX_EMAIL_CHARS, MAX_LOCAL_PART_CHARS = 254, 64  # RFC 5321, 4.5.3.1
PASSWORD_CHARS = range(8, 128 + 1)

# Cc and Cs are no characters; Zl and Zp begin a new line in the middle of a name.
_NOT_IN_NAMES = {"Cc", "Cs", "Zl", "Zp"}
# Embeddings, overrides and isolates of the bidirectional algorithm (UAX #9): one of them in a name reverses the
# text after it on every page.
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_VISIBLE = {"L", "N", "P", "S"}


class UserRegistry:
    """The users of the server. Event loop only."""

    def __init__(self, store: UserStore, hasher: PasswordHasher) -> None:
        self._store = store
        self._hasher = hasher

    async def register(self, name: str, email: str, password: str) -> User:
        """Add a user. Raises `InvalidInput` with every invalid field, `EmailAlreadyUsed`, `Overloaded`."""
        name, email = _checked(name, email, password)
        email_key = _email_key(email)
        if await self._store.get_by_email_key(email_key) is not None:
            raise EmailAlreadyUsed  # without a hash; of two registrations at once `add` refuses one
        password_hash = await self._hasher.hash(password)
        user = User(str(uuid.uuid4()), name, email, email_key, password_hash)
        await self._store.add(user)
        return user

    async def authenticate(self, email: str, password: str) -> User:
        """The user with these credentials. Raises `InvalidInput` if one is empty, `BadCredentials`, `Overloaded`.

        An unknown address raises the same error as a wrong password, and takes as long.
        """
        # Eight spaces are a valid password.
        empty = [name for name, text in (("email", email.strip()), ("password", password)) if not text]
        if empty:
            raise InvalidInput(*(FieldError(name, "This must not be empty.") for name in empty))
        try:
            user = await self._store.get_by_email_key(_email_key(_normalized_email(email)))
        except InvalidInput:
            user = None
        verdict = await self._hasher.verify(_cut(password), user.password_hash if user else None)
        if user is None or not verdict.matches:
            raise BadCredentials
        if verdict.renewed_hash is not None:
            await self._store.replace_password_hash(user.id, old=user.password_hash, new=verdict.renewed_hash)
        return user

    async def get(self, user_id: str) -> User:
        """The user with this id. Raises `UserUnknown`."""
        user = await self._store.get(user_id)
        if user is None:
            raise UserUnknown
        return user

    async def confirm(self, user: User, password: str) -> None:
        """Return if `password` is that of `user`. Raises `WrongPassword`, `Overloaded`.

        A client can guess passwords here as with `authenticate`: the caller limits both by the `LoginThrottle`.
        """
        if not (await self._hasher.verify(_cut(password), user.password_hash)).matches:
            raise WrongPassword

    async def change_password(self, user: User, new_password: str) -> None:
        """Replace the password of `user`, whose old one was confirmed.

        Raises `Overloaded`, and `PasswordReplaced` or `UserUnknown` if another request was faster.
        """
        new = await self._hasher.hash(new_password)
        if not await self._store.replace_password_hash(user.id, old=user.password_hash, new=new):
            await self._raise_overtaken(user)

    async def remove(self, user: User) -> None:
        """Remove `user`, whose password was confirmed. Raises `PasswordReplaced` or `UserUnknown` as above."""
        if not await self._store.remove(user.id, password_hash=user.password_hash):
            await self._raise_overtaken(user)

    async def _raise_overtaken(self, user: User) -> None:
        await self.get(user.id)
        raise PasswordReplaced


def _cut(password: str) -> str:
    """`password`, cut one character past the longest, which still is wrong; passlib raises from 4097 bytes on."""
    return password[: PASSWORD_CHARS.stop]


def account_key(email: str) -> str:
    """The key that all spellings of an e-mail address share, whether a user has it or not; any text has one."""
    try:
        return _email_key(_normalized_email(email))
    except InvalidInput:
        return email.strip().casefold()


def _checked(name: str, email: str, password: str) -> tuple[str, str]:
    """The name and the address as they will be stored. Raises `InvalidInput` with every invalid field."""
    errors: list[FieldError] = []
    name = name.strip()
    if fault := _name_fault(name):
        errors.append(FieldError("name", fault))
    try:
        email = _normalized_email(email)
    except InvalidInput as invalid:
        errors.extend(invalid.errors)
    if fault := password_fault(password):
        errors.append(FieldError("password", fault))
    if errors:
        raise InvalidInput(*errors)
    return name, email


def _name_fault(name: str) -> str | None:
    if not 1 <= len(name) <= MAX_NAME_CHARS:
        return f"A name has 1 to {MAX_NAME_CHARS} characters."
    if any(unicodedata.category(char) in _NOT_IN_NAMES or char in _BIDI_CONTROLS for char in name):
        return "A name has no control characters."
    if not any(unicodedata.category(char)[0] in _VISIBLE for char in name):
        return "A name has at least one visible character."
    return None


def password_fault(password: str) -> str | None:
    """A sentence that says why `password` cannot be a new password; None if it can."""
    if len(password) not in PASSWORD_CHARS:
        return f"A password has {PASSWORD_CHARS.start} to {PASSWORD_CHARS.stop - 1} characters."
    return None


def _normalized_email(text: str) -> str:
    text = text.strip()
    # Looked at before it is parsed: 16 kB of "(" took 9 ms.
    if len(text) > MAX_EMAIL_CHARS or len(text.rpartition("@")[0]) > MAX_LOCAL_PART_CHARS:
        raise InvalidInput(FieldError("email", "This is not an e-mail address."))
    # .test and .local (RFC 2606, RFC 6762) are no domains of the internet, but of local networks. The library has
    # a switch for the first only, so the second is checked as if it were below the first.
    below = ".test" if text.lower().endswith(".local") else ""
    try:
        checked = validate_email(text + below, check_deliverability=False, test_environment=True)
        return checked.normalized.removesuffix(below)
    except (EmailNotValidError, ValueError):
        raise InvalidInput(FieldError("email", "This is not an e-mail address.")) from None


def _email_key(email: str) -> str:
    return email.casefold()
