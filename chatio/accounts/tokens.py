"""Tokens: issue, verify and revoke the JSON Web Tokens that authenticate users.

HS256 and no other algorithm (RFC 8725, 3.1: the verifier names the algorithm, not the token). `verify` checks
length, form, signature, times, types and revocation before it returns any claim.

Two clocks: `iat` and `exp` are the time of the day, so that a token lives as long as it should as soon as a wrong
clock is right again. Whether a token is older than a revocation is told by moments, which never go back: the `jti`
of a token begins with its moment.
"""

import binascii
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Annotated

import jwt
import msgspec
from jwt.utils import base64url_decode, base64url_encode
from msgspec import Meta

from chatio.accounts.revocations import Revocations
from chatio.errors import TokenExpired, TokenMalformed, TokenRevoked, TokenSignatureInvalid
from chatio.stores.accounts import Ended

ALGORITHM = "HS256"
# A name of 64 and an address of 254 characters, each escaped as \uXXXX twice over, make about 3.6 kB.
MAX_TOKEN_CHARS = 8192
MAX_EXPIRY = 2**53  # beyond it a number is not the same in each database, or is refused
MIN_KEY_BYTES = 32  # RFC 7518, 3.2: a key of the hash's size or larger
_OWN_START = base64url_encode(b'{"alg":"HS256","typ":"JWT"}').decode() + "."  # of a token as `issue` writes it
_SIGNATURES = jwt.PyJWS().get_algorithm_by_name(ALGORITHM)
_TOKEN_ID = re.compile(r"([0-9a-f]{14})-[0-9a-f]{16}")  # of ours: the moment in microseconds, and 64 random bits
# Two moments differ by at least this; floating point keeps them apart until the year 2242.
_MOMENT_SECONDS = 1e-6
# How far ahead the clock of another server that issues tokens with our key may be.
CLOCK_SKEW_SECONDS = 60


class Claims(msgspec.Struct, frozen=True):
    """The claims of a verified token. Times are seconds since the epoch; `iat` may have a fraction (RFC 7519, 2).

    Another issuer with our key may leave out `jti`: such a token is revoked with all of its user's only.
    """

    subject: str = msgspec.field(name="sub")
    name: str
    email: str
    issued_at: float = msgspec.field(name="iat")
    expires_at: Annotated[int, Meta(le=MAX_EXPIRY)] = msgspec.field(name="exp")
    token_id: str = msgspec.field(name="jti", default="")


class _OwnClaims(Claims, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The claims that `issue` writes. A token with any other, such as `nbf` or `aud`, is for PyJWT to check."""

    id: str


_OWN_CLAIMS = msgspec.json.Decoder(_OwnClaims)


def fault_of_key(key: str) -> str:
    """What is wrong with `key`, after "the key ", or "" for a sound one."""
    if len(key.encode()) < MIN_KEY_BYTES:
        return f"must have at least {MIN_KEY_BYTES} bytes"
    try:
        _SIGNATURES.prepare_key(key)
    except jwt.InvalidKeyError:
        return "must be random text, and not a certificate, a JWK, or a key of a pair (PEM, DER, SSH)"
    return ""


class Tokens:
    """Issues, verifies and revokes tokens, with one key of at least 32 bytes. Event loop only.

    While a key is being replaced, tokens of the previous key are as valid as tokens of the new one.
    """

    def __init__(
        self,
        key: str,
        *,
        previous_key: str = "",
        ttl_seconds: int,
        revocations: Revocations | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`previous_key` verifies tokens too, and signs none; of at least 32 bytes, or "" for none.

        Raises ValueError for a key with a fault (`fault_of_key`).
        """
        if fault := fault_of_key(key) or fault_of_key(previous_key or key):
            raise ValueError(f"a key {fault}")
        self._key = key
        self._previous_key = previous_key
        self._keys = [_SIGNATURES.prepare_key(each) for each in (key, previous_key) if each]
        self._ttl_seconds = ttl_seconds
        self._revocations = Revocations(clock=clock) if revocations is None else revocations
        self._clock = clock
        self._last_moment = 0.0
        self._last_issued_at = 0.0
        self._jwt = jwt.PyJWT(
            # `iat` is ours to check: our own tokens stay valid when the clock is set back.
            options={"enforce_minimum_key_length": True, "require": ["exp", "iat", "sub"], "verify_iat": False},
        )

    def moment(self) -> float:
        """A moment later than every one before: the time now, unless the clock was set back."""
        self._last_moment = round(max(self._clock(), self._last_moment + _MOMENT_SECONDS), 6)
        return self._last_moment

    def issue(self, *, subject: str, name: str, email: str, as_of: float | None = None) -> str:
        """A token for the user with the id `subject`.

        `as_of` (by default now) is its moment: a login gives the one before it looked up the password. Raises
        `TokenRevoked` if the user's tokens up to that moment have been revoked since: a login that overlaps a
        change of the password gives no token.
        """
        moment = self.moment() if as_of is None else as_of
        token_id = f"{round(moment * 1e6):014x}-{secrets.token_hex(8)}"
        if self._revocations.is_revoked(subject, token_id, moment):
            raise TokenRevoked
        issued_at = round(self._clock(), 6)
        self._last_issued_at = max(self._last_issued_at, issued_at)
        claims = {
            "id": subject,
            "name": name,
            "email": email,
            "sub": subject,
            "iat": issued_at,
            "exp": int(issued_at) + self._ttl_seconds,
            "jti": token_id,
        }
        return self._jwt.encode(claims, self._key, ALGORITHM)

    def verify(self, token: str) -> Claims:
        """The claims of `token`, which may be any text.

        Raises `TokenExpired`, `TokenSignatureInvalid`, `TokenRevoked` or `TokenMalformed`, and no other error.
        """
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise TokenMalformed
        claims = self._read_own(token) or self._read(token)
        if not claims.issued_at <= self._latest_issue():  # in this form NaN fails too
            raise TokenMalformed
        if self.is_revoked(claims.subject, claims.token_id, claims.issued_at):
            raise TokenRevoked
        return claims

    def _read_own(self, token: str) -> Claims | None:
        """The claims of a token that is sound, and in the form of our own; None: `_read` tells what it is.

        PyJWT prepares the key and looks at each character anew for each token: 45 µs, a fifth of a connect.
        """
        if not token.startswith(_OWN_START):
            return None
        signed, _, signature = token.rpartition(".")
        made = [base64url_encode(_SIGNATURES.sign(signed.encode(), key)) for key in self._keys]
        if not any([hmac.compare_digest(each, signature.encode()) for each in made]):  # noqa: C419 - in one time
            return None
        payload = signed.removeprefix(_OWN_START).replace("-", "+").replace("_", "/")
        padding = "=" * (-len(payload) % 4)
        try:
            claims = _OWN_CLAIMS.decode(binascii.a2b_base64(payload + padding, strict_mode=True))
        except ValueError:
            return None
        return claims if claims.expires_at > time.time() else None

    def _read(self, token: str) -> Claims:
        try:
            payload = self._jwt.decode(token, self._key_of(token), [ALGORITHM])
            claims = msgspec.convert(payload, Claims)
            f"{claims.subject}{claims.name}{claims.email}".encode()  # fails for halves of surrogate pairs
        except jwt.ExpiredSignatureError:
            raise TokenExpired from None
        except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
            raise TokenSignatureInvalid from None
        except (jwt.InvalidTokenError, msgspec.ValidationError, ValueError, OverflowError, RecursionError):
            raise TokenMalformed from None
        return claims

    def is_revoked(self, subject: str, token_id: str, issued_at: float) -> bool:
        """Whether a token that was verified has been revoked since."""
        return self._revocations.is_revoked(subject, token_id, _moment_of(token_id, issued_at))

    def require_capacity(self, subject: str) -> None:
        """Raise `Overloaded` if the table of revocations is full, and has no entry of the user `subject` yet.

        Then no token of the user can be revoked. The caller of `ending_all` calls this first.
        """
        self._revocations.require_capacity(subject)

    def ending(self, claims: Claims) -> Ended:
        """What revokes one token; without a `jti`, all of its user that are not younger.

        The caller gives it to the `RevocationStore`, and to `end`. Raises `Overloaded` or `RateLimited`.
        """
        if claims.token_id:
            self._revocations.require_capacity_for_token(claims.subject)
        else:
            self.require_capacity(claims.subject)
        until = claims.expires_at if claims.token_id else max(claims.expires_at, self._last_expiry())
        return Ended(claims.subject, claims.token_id, _moment_of(claims.token_id, claims.issued_at), until)

    def ending_all(self, subject: str) -> Ended:
        """What revokes every token that `subject` has now; tokens of later logins are valid."""
        return Ended(subject, "", self.moment(), self._last_expiry())

    def end(self, ended: Ended) -> Ended:
        """Revoke, in this process, the tokens that `ended` names."""
        subject, token_id, before, until = msgspec.structs.astuple(ended)
        if token_id:
            self._revocations.revoke(subject, token_id, issued_at=before, expires_at=until)
        else:
            self._revocations.revoke_all(subject, before=before, until=until)
        return ended

    def restore(self, ended: Iterable[Ended]) -> None:
        """Revoke again what was revoked before this process began; the tokens that it issues are younger."""
        for each in ended:
            self.end(each)
            self._last_moment = max(self._last_moment, each.before)
        self._revocations.remove_expired()

    def _key_of(self, token: str) -> str:
        """The key to verify `token` with: the previous key if it signed the token, else the current one.

        Tokens name no key (`kid`, RFC 7515, 4.1.4), because those of other issuers with our key would not either.
        Each token is verified with the previous key here, and with the chosen key by the caller, so that neither
        the time nor the error tells which key signed it. Raises ValueError for a signature that is no base64url.
        """
        if not self._previous_key:
            return self._key
        signed, _, signature = token.rpartition(".")
        given = base64url_decode(signature)
        is_previous = _SIGNATURES.verify(signed.encode(), self._previous_key.encode(), given)
        return self._previous_key if is_previous else self._key

    def _last_expiry(self) -> float:
        """When the last token that has been issued expires."""
        return max(self._clock(), self._last_issued_at) + self._ttl_seconds

    def _latest_issue(self) -> float:
        """The latest `iat` that a token may have now.

        If the clock was set back, tokens of ours have a later one than now. If it was ahead by more than the
        lifetime of a token, they are refused: they would live for too long.
        """
        now = self._clock()
        return min(max(now, self._last_issued_at), now + self._ttl_seconds) + CLOCK_SKEW_SECONDS


def _moment_of(token_id: str, issued_at: float) -> float:
    """The moment of a token; for one of another issuer, or of an older version, its `iat`."""
    ours = _TOKEN_ID.fullmatch(token_id)
    return int(ours[1], 16) / 1e6 if ours else issued_at
