"""Users: the rules of registration, login and passwords, for any store."""

import time
import uuid

from email_validator import validate_email

from chatio.accounts import names, password_rules, reset_codes
from chatio.accounts.passwords import PasswordHasher
from chatio.errors import (
    BadCredentials,
    Banned,
    EmailAlreadyUsed,
    FieldError,
    InvalidInput,
    PasswordReplaced,
    ResetCodeInvalid,
    UserUnknown,
    WrongPassword,
)
from chatio.stores.accounts import User, UserStore

MAX_EMAIL_CHARS, MAX_LOCAL_PART_CHARS = 254, 64  # RFC 5321, 4.5.3.1
# Of a domain, where the time goes that parsing takes: 120 labels of one letter that IDNA maps took 25 ms. A label
# has 63 ASCII characters at most.
MAX_LABELS, MAX_FOREIGN_CHARS = 16, 63


class UserRegistry:
    """The users of the server. Event loop only."""

    def __init__(self, store: UserStore, hasher: PasswordHasher) -> None:
        self._store = store
        self._hasher = hasher

    async def register(self, name: str, email: str, password: str) -> User:
        """Add a user, with the mute and the ban of a deleted account that had the same address.

        Raises `InvalidInput` with every invalid field, `EmailAlreadyUsed`, `NameTaken`, `Overloaded`.
        """
        name, email, email_key = _checked(name, email, password)
        if await self._store.get_by_email_key(email_key) is not None:
            raise EmailAlreadyUsed  # without a hash; of two registrations at once `add` refuses one
        password_hash = await self._hasher.hash(password)
        user = User(
            id=str(uuid.uuid4()),
            name=name,
            name_key=names.key(name),
            name_look=names.look(name),
            email=email,
            email_key=email_key,
            password_hash=password_hash,
        )
        return await self._store.add(user)

    async def authenticate(self, email: str, password: str, *, is_known: bool = False) -> User:
        """The user with these credentials.

        Raises `InvalidInput` if one is empty, `BadCredentials`, `Overloaded`, and `Banned` for the right password.

        `is_known`: the account has been logged in to from the client's address; see `PasswordHasher.verify`.
        An unknown address raises the same error as a wrong password, and takes as long.
        """
        # Eight spaces were a valid password.
        empty = [name for name, text in (("email", email.strip()), ("password", password)) if not text]
        if empty:
            raise InvalidInput(*(FieldError(name, "This must not be empty.") for name in empty))
        user = await self._store.get_by_email_key(account_key(email))
        verdict = await self._hasher.verify(password, user.password_hash if user else None, is_known=is_known)
        if user is None or not verdict.matches:
            raise BadCredentials
        if user.banned_until > time.time():
            raise Banned(until=user.banned_until)
        if verdict.renewed_hash is not None:
            await self._store.replace_password_hash(user.id, old=user.password_hash, new=verdict.renewed_hash)
        return user

    async def get(self, user_id: str) -> User:
        """The user with this id. Raises `UserUnknown`."""
        user = await self._store.get(user_id)
        if user is None:
            raise UserUnknown
        return user

    async def get_by_email(self, email: str) -> User | None:
        """The user with this e-mail address, in any spelling of it, if there is one."""
        return await self._store.get_by_email_key(account_key(email))

    async def get_by_code(self, email: str, code: str) -> User:
        """The user with this address and this one-time code. Raises `ResetCodeInvalid`.

        A client can guess here too: the caller limits it by the `LoginThrottle`.
        """
        user = await self.get_by_email(email)
        if user is None or not reset_codes.is_code_of(user, code):
            raise ResetCodeInvalid
        return user

    async def find(self, part: str, *, after: str = "", limit: int) -> list[User]:
        """The users whose name has `part` in it, in any case, and whose `name_key` sorts after `after`."""
        return await self._store.find(names.key(part), after, limit=limit)

    async def confirm(self, user: User, password: str, *, is_known: bool = False) -> None:
        """Return if `password` is that of `user`. Raises `WrongPassword`, `Overloaded`.

        A client can guess passwords here as with `authenticate`: the caller limits both by the `LoginThrottle`.
        """
        if not (await self._hasher.verify(password, user.password_hash, is_known=is_known)).matches:
            raise WrongPassword

    async def change_password(self, user: User, new_password: str) -> None:
        """Replace the password of `user`, whose old one, or one-time code, was confirmed.

        Raises `Overloaded`, and `PasswordReplaced` or `UserUnknown` if another request was faster.
        """
        new = await self._hasher.hash(new_password)
        if not await self._store.replace_password_hash(user.id, old=user.password_hash, new=new):
            await self._raise_overtaken(user)

    async def remove(self, user: User) -> None:
        """Remove `user`, whose password was confirmed. Raises `PasswordReplaced` or `UserUnknown` as above."""
        if not await self._store.remove(user.id, password_hash=user.password_hash, now=time.time()):
            await self._raise_overtaken(user)

    async def _raise_overtaken(self, user: User) -> None:
        await self.get(user.id)
        raise PasswordReplaced


def account_key(email: str) -> str:
    """The key that all spellings of an e-mail address share, whether a user has it or not; any text has one.

    The part before the @ in lower case, and the domain in ASCII (IDNA 2008): straße.test and strasse.test are two
    domains, and bücher.example is xn--bcher-kva.example.
    """
    try:
        return _parsed_email(email)[1]
    except ValueError:
        return email.strip().lower()


def _checked(name: str, email: str, password: str) -> tuple[str, str, str]:
    """The name, the address and its key as they will be stored. Raises `InvalidInput` with every invalid field."""
    errors: list[FieldError] = []
    try:
        name = names.cleaned(name)
    except ValueError as fault:
        errors.append(FieldError("name", str(fault)))
    key = ""
    try:
        email, key = _parsed_email(email)
    except ValueError:
        errors.append(FieldError("email", "This is not an e-mail address."))
    if wrong := password_rules.fault_of(password, name=name, email=email):
        errors.append(FieldError("password", wrong))
    if errors:
        raise InvalidInput(*errors)
    return name, email, key


def _parsed_email(text: str) -> tuple[str, str]:
    """The address as it is kept, and its key. Raises ValueError for a text that is no address.

    The length goes first: the time of parsing grows with it, and parsing goes before every throttle.
    """
    text = text.strip()
    local_part, _, domain = text.rpartition("@")
    if len(text) > MAX_EMAIL_CHARS or len(local_part) > MAX_LOCAL_PART_CHARS or "\ufffd" in text:
        raise ValueError("email")
    if domain.count(".") >= MAX_LABELS or len(domain) - len(domain.encode("ascii", "ignore")) > MAX_FOREIGN_CHARS:
        raise ValueError("email")
    # .test and .local (RFC 2606, RFC 6762) are no domains of the internet, but of local networks. The library has
    # a switch for the first only, so the second is checked as if it were below the first.
    below = ".test" if text.lower().endswith(".local") else ""
    checked = validate_email(text + below, check_deliverability=False, test_environment=True)  # in NFC
    domain = checked.ascii_domain.removesuffix(below)
    return checked.normalized.removesuffix(below), f"{checked.local_part.lower()}@{domain}"
